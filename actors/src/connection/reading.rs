//! What a connection reads, when, and how it is cut into packets.
//!
//! It reads through the worker's shared buffer and keeps only what is not a whole packet, or waits for its turn.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::Bytes;
use micro_mq_core::compact::Recent;
use micro_mq_core::pressure::IncompleteBytes;
use micro_mq_core::protocol::{COST_OF_PACKET, Effects, Ending, Step, Stepped, Violation};
use micro_mq_core::session::Reading;
use mqtt_codec::{FrameHeader, PacketType, ReasonCode, Sender, decode_body, read_header};

use super::actor::{Connection, RareConnection};
use super::long_change::{LongChange, is_long};
use super::partial::{self, Partial, Received};
use super::subscribing::{FILTERS_IN_WORK_MAX, PendingChange};
use crate::transport::WebSocketRefusal;
use crate::turns::go_on_behind_sockets;
use crate::worker::{SCRATCH_BYTES, Worker};

/// Reads of one turn. The second usually finds nothing, without a system call, and leaves the waker with the socket.
const READS_PER_TURN: usize = 2;
/// What one read takes, in bytes, of a client that sends small packets: the more, the longer those wait that stand behind
/// who never stops sending. Beside ten such publishers a message takes 0.5 ms; with 64 KiB it took 1.4 ms, and a publish
/// of theirs a tenth less CPU.
const READ_BYTES: usize = 16 * 1024;
/// What the packets may cost that one turn steps through before others have theirs: an acknowledgement 1. 16 KiB may hold
/// 4,096 of them.
const COST_PER_TURN: usize = 1024;
/// SUBSCRIBE and UNSUBSCRIBE packets of one client in work at a time; beyond, it is not read.
const CHANGES_MAX: usize = 64;
/// So much of a packet, read at once, is a sign of life like a whole one: a large packet may take a slow client longer than
/// its keep alive. Fewer bytes are none, so that nobody stays by dripping.
const SIGN_OF_LIFE_BYTES: usize = 1024;
/// Bytes of topic names, properties and short payloads in one batch; topic aliases make them more than was read.
const BATCH_BYTES_MAX: usize = 256 * 1024;

impl RareConnection {
    fn filters_in_work(&self) -> usize {
        self.changes.iter().map(PendingChange::filters).sum()
    }

    fn has_too_many_changes(&self) -> bool {
        self.changes.len() >= CHANGES_MAX || self.filters_in_work() > FILTERS_IN_WORK_MAX
    }
}

impl Connection {
    /// Whether the client is not read because the node is not done with what it sent before.
    pub(super) fn waits_for_node(&self) -> bool {
        let waits = self.rare.as_ref().is_some_and(|rare| {
            rare.held_up || rare.asked.is_some() || rare.opening.is_some() || rare.has_too_many_changes()
        });
        waits || self.is_held()
    }

    /// Notes what a packet that is received in part holds. False if that is more than there may be.
    pub(super) fn may_hold_incomplete(&mut self) -> bool {
        // Whole packets that wait for their turn are what two reads bring: the sender of those is not to blame.
        let waiting = if self.partial_is_ready { READS_PER_TURN * SCRATCH_BYTES } else { 0 };
        let long = self.rare.as_ref().and_then(|rare| rare.long_change.as_ref());
        let long_bytes = long.map_or(0, |long| long.held_bytes());
        let bytes =
            self.partial.held_bytes().saturating_sub(waiting) + self.transport.held_back() + long_bytes;
        let is_held = self.rare.as_ref().is_some_and(|rare| rare.incomplete.is_some());
        if !IncompleteBytes::is_needed(bytes) {
            if is_held {
                self.rare().incomplete = None;
            }
            return true;
        }
        let node = Arc::clone(&self.worker.node);
        self.rare()
            .incomplete
            .get_or_insert_with(|| IncompleteBytes::new(&node.incomplete_packets))
            .hold(bytes)
    }

    pub(super) fn may_read(&self) -> bool {
        if self.waits_for_node() {
            return false;
        }
        let sessions = &self.worker.state().sessions;
        let Some(online) = sessions.get(self.key).and_then(|session| session.online.as_ref()) else {
            return false;
        };
        let is_full = online.outbox.waiting_bytes() >= self.worker.node.settings.node.outbox_bytes_max;
        if is_full && !self.is_broken() {
            // It takes nothing in, so nothing more is taken from it.
            self.worker.counters.reading_paused_outbox.add(1);
            return false;
        }
        true
    }

    /// A client that is not read cannot be blamed for its silence.
    pub(super) fn note_pause(&self) {
        let waits = self.partial_is_ready && !self.partial.is_empty() || self.has_long_change();
        let paused = waits || !self.may_read();
        let sessions = &mut self.worker.state().sessions;
        if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
            online.reading = if paused { Reading::Paused } else { Reading::GoesOn };
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        let sessions = &self.worker.state().sessions;
        let online = sessions.get(self.key).and_then(|session| session.online.as_ref());
        online.is_some_and(|online| online.reading == Reading::Doubted)
    }

    /// The keep alive of a client that is not read is over. If it is not read because it does not read itself, and it has
    /// sent nothing meanwhile, it is gone [MQTT-3.1.2-22]. What it has sent is taken from the socket to find out, and
    /// waits; of a client that has sent a whole buffer nothing more is taken, and it stays.
    pub(super) fn look_for_life(
        &mut self,
        task: &mut TaskContext<'_>,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.scratch.borrow_mut();
        if self.waits_for_node() || self.partial.len() >= scratch.len() {
            return None;
        }
        match self.transport.poll_read(task, &mut scratch) {
            Poll::Pending | Poll::Ready(Ok(0)) => {}
            Poll::Ready(Ok(read)) => {
                worker.counters.bytes_received.add(read as u64);
                self.bytes_received.add(read as u64);
                self.partial.extend_from_slice(&scratch[..read], &worker.node.decode_limits);
                self.partial_is_ready = true;
                return None;
            }
            Poll::Ready(Err(_)) => return Some(Ending::because(ReasonCode::UnspecifiedError)),
        }
        // What it sent before holds, its DISCONNECT above all.
        let partial = self.partial.take();
        let ending = self.step_through_held(partial, now, fx);
        if self.has_long_change() || self.partial_is_ready {
            // More of what it sent is to be done: it is looked at again.
            return ending;
        }
        if ending.is_none() && fx.end.is_none() {
            worker.counters.keep_alive_timeouts.add(1);
            return Some(Ending::because(ReasonCode::KeepAliveTimeout));
        }
        ending
    }

    /// Reads once and steps through what is there.
    pub(super) fn read(
        &mut self,
        task: &mut TaskContext<'_>,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        if self.has_long_change() {
            return self.go_on_with_long_change(now, fx);
        }
        if self.partial_is_ready {
            let partial = self.partial.take();
            if let Some(ending) = self.step_through_held(partial, now, fx) {
                return Some(ending);
            }
            if fx.end.is_some() || self.partial_is_ready {
                return None;
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        for _ in 0..READS_PER_TURN {
            // The rest of a large packet is read by as much as there is room for: it is not stepped through yet.
            let read_bytes = if self.partial.len() < READ_BYTES { READ_BYTES } else { scratch.len() };
            let mut read = self.transport.poll_read(task, &mut scratch[..read_bytes]);
            if read.is_pending() && (self.gives_way() || self.is_broken()) {
                read = self.transport.poll_read_unheard(task, &mut scratch[..read_bytes]);
            }
            let read = match read {
                Poll::Pending if self.is_broken() => {
                    return Some(Ending::because(ReasonCode::UnspecifiedError));
                }
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) => return Some(Ending::because(ReasonCode::Success)),
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(error)) => {
                    worker.peer().websocket_refusals.count(WebSocketRefusal::of_read(&error));
                    return Some(Ending::because(ReasonCode::UnspecifiedError));
                }
            };
            worker.counters.bytes_received.add(read as u64);
            self.bytes_received.add(read as u64);
            if let Some(ending) = self.take_in(&scratch[..read], now, fx) {
                return Some(ending);
            }
            if fx.end.is_some() || self.partial_is_ready {
                return None;
            }
            if fx.cost >= COST_PER_TURN / 2 {
                break;
            }
        }
        // Whatever the socket still holds is read in the next turn, behind the others'.
        go_on_behind_sockets(task);
        None
    }

    /// Steps through bytes received; what is not a whole packet is kept.
    fn take_in(&mut self, received: &[u8], now: Instant, fx: &mut Effects) -> Option<Ending> {
        let ending = self.step_into(received, now, fx);
        if !self.partial.is_empty() && received.len() >= SIGN_OF_LIFE_BYTES {
            let heard = Recent::new(self.worker.node.started, now);
            let sessions = &mut self.worker.state().sessions;
            if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
                online.last_received = heard;
            }
        }
        ending
    }

    fn step_into(&mut self, received: &[u8], now: Instant, fx: &mut Effects) -> Option<Ending> {
        if !self.partial.is_empty() {
            let limits = &Rc::clone(&self.worker).node.decode_limits;
            self.partial.extend_from_slice(received, limits);
            let partial = self.partial.take();
            return self.step_through_held(partial, now, fx);
        }
        match self.step_through(received, now, fx) {
            Ok(used) => {
                if used < received.len() {
                    self.partial = Partial::of(received[used..].to_vec());
                }
                None
            }
            Err(violation) => Some(violation.into()),
        }
    }

    /// Steps through bytes that are this connection's own; what is not a whole packet is kept.
    fn step_through_held(&mut self, received: Received, now: Instant, fx: &mut Effects) -> Option<Ending> {
        let mut bytes = match received.settle(&self.worker.node.decode_limits) {
            Received::Growing(bytes) => bytes,
            Received::Whole(whole) => return self.step_through_whole(whole, now, fx),
        };
        match self.step_through(&bytes, now, fx) {
            Ok(used) => {
                bytes.drain(..used);
                partial::shrink(&mut bytes);
                self.partial = Partial::of(bytes);
                None
            }
            Err(violation) => Some(violation.into()),
        }
    }

    /// The same, of bytes that begin with a large packet, whose payload is not copied.
    fn step_through_whole(&mut self, whole: Bytes, now: Instant, fx: &mut Effects) -> Option<Ending> {
        fx.source = Some(whole.clone());
        let stepped = self.step_through(&whole, now, fx);
        fx.source = None;
        match stepped {
            Ok(0) => self.partial = Partial::whole(whole),
            Ok(used) => self.partial = Partial::of(whole[used..].to_vec()),
            Err(violation) => return Some(violation.into()),
        }
        None
    }

    /// Steps through whole packets; answers how many bytes are done with.
    fn step_through(&mut self, bytes: &[u8], now: Instant, fx: &mut Effects) -> Result<usize, Violation> {
        let worker = Rc::clone(&self.worker);
        let node = &worker.node;
        (self.partial_is_ready, self.goes_on) = (false, false);
        let in_force = node.policy.in_force();
        if fx.batch.is_empty() {
            // The earliest by which any of it is judged.
            fx.batch.revision = in_force.revision;
        }
        let (version, heard) = (self.protocol.version(), Recent::new(node.started, now));
        let in_work = InWork {
            waits_for_changes: self.waits_for_changes() && !self.gives_way(),
            changes: self.rare.as_ref().map_or(0, |rare| rare.changes.len()),
            filters: self.rare.as_ref().map_or(0, |rare| rare.filters_in_work()),
        };
        let (mut refused, mut long) = (None, None);
        let (again, promises) = (self.was_refused(), node.keeps_promises());
        let stepped = worker
            .state()
            .with_desk(self.key, now, |session, desk| {
                let mut step = Step {
                    desk,
                    counters: &worker.counters,
                    authorizes: in_force.policy.authorizes,
                    revision: in_force.revision,
                    retained: &node.retained_messages,
                    again,
                    promises,
                };
                let mut used = 0;
                while fx.end.is_none()
                    && let Some(header) =
                        read_header(&bytes[used..], &node.decode_limits).inspect_err(|error| {
                            count_decode_error(&worker, error.reason_code());
                        })?
                {
                    let end = used + header.frame_bytes();
                    if end > bytes.len() {
                        break;
                    }
                    if in_work.holds_up(header.packet_type, fx) {
                        (self.partial_is_ready, self.goes_on) = (true, true);
                        break;
                    }
                    let body = &bytes[used + usize::from(header.header_bytes)..end];
                    if is_long(header) {
                        long = Some(header);
                        break;
                    }
                    let packet = decode_body(header, body, version, Sender::Client, &node.decode_limits)
                        .inspect_err(|error| count_decode_error(&worker, error.reason_code()))?;
                    if let Some(online) = &mut session.online {
                        // A whole packet is a sign of life, the beginning of one is not [MQTT-3.1.2-22].
                        online.last_received = heard;
                    }
                    match self.protocol.on_packet(packet, session, &mut step, fx)? {
                        Stepped::Done => {}
                        stepped => {
                            refused = stepped.limit();
                            self.partial_is_ready = true;
                            break;
                        }
                    }
                    step.again = false;
                    worker.counters.packets_received.add(1);
                    fx.cost += cost_of(header.packet_type);
                    used = end;
                }
                Ok(used)
            })
            .unwrap_or(Ok(bytes.len()));
        let stepped = stepped.and_then(|used| match long {
            Some(header) => Ok(used + self.begin_long(header, &bytes[used..], fx)?),
            None => Ok(used),
        });
        if again || refused.is_some() {
            self.note_refusal(refused, stepped.as_ref().is_ok_and(|used| *used > 0), now);
        }
        stepped
    }

    /// A SUBSCRIBE or UNSUBSCRIBE that is stepped through in pieces. Answers how many bytes it has.
    fn begin_long(&mut self, header: FrameHeader, packet: &[u8], fx: &Effects) -> Result<usize, Violation> {
        let worker = Rc::clone(&self.worker);
        let (version, limits) = (self.protocol.version(), &worker.node.decode_limits);
        let body = &packet[usize::from(header.header_bytes)..header.frame_bytes()];
        let begun = LongChange::begin(header, body, fx.source.as_ref(), version, limits)
            .inspect_err(|error| count_decode_error(&worker, error.reason_code()))?;
        self.rare().long_change = Some(Box::new(begun));
        (self.partial_is_ready, self.goes_on) = (true, true);
        Ok(header.frame_bytes())
    }
}

/// What of a client's changes of subscriptions is under way as a step begins.
struct InWork {
    waits_for_changes: bool,
    changes: usize,
    filters: usize,
}

impl InWork {
    /// Whether the next packet has to wait for another turn, behind what was stepped through in this one.
    #[inline]
    fn holds_up(&self, packet_type: PacketType, fx: &Effects) -> bool {
        let is_full = fx.cost >= COST_PER_TURN || fx.batch.text_bytes() >= BATCH_BYTES_MAX;
        match packet_type {
            // A PUBLISH is to find the subscriptions that its client asked for before, and these are to begin behind
            // what it published before, which may have to wait for room.
            PacketType::Publish => is_full || self.waits_for_changes || !fx.changes.is_empty(),
            PacketType::Subscribe | PacketType::Unsubscribe => {
                is_full || !fx.batch.is_empty() || self.are_many_with(fx)
            }
            _ => is_full,
        }
    }

    /// Whether those of a step and these are as many as may be in work.
    fn are_many_with(&self, fx: &Effects) -> bool {
        self.changes + fx.changes.len() >= CHANGES_MAX
            || (self.filters > 0 || !fx.changes.is_empty())
                && self.filters + fx.filters_to_change() > FILTERS_IN_WORK_MAX
    }
}

fn cost_of(packet_type: PacketType) -> usize {
    match packet_type {
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => 1,
        _ => COST_OF_PACKET,
    }
}

pub(super) fn count_decode_error(worker: &Worker, reason: ReasonCode) {
    match reason {
        ReasonCode::PacketTooLarge => worker.counters.packets_too_large.add(1),
        _ => worker.counters.protocol_errors.add(1),
    }
}
