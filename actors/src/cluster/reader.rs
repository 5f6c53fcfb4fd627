//! The thread that reads `routes`: it keeps the view of what other nodes have a match for, says hello and ticks for this
//! one, and sees to it that what is gone is forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_mq_cluster::members::{Change, Members};
use micro_mq_cluster::own_routes::OwnedName;
use micro_mq_cluster::routes_log::{Incarnation, Record, SLOTS, VERSION};
use micro_mq_cluster::view::View;
use micro_mq_core::homes::drawn_key;
use micro_mq_core::records::DecodeError;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::atomic::Ordering::SeqCst;
use tracing::{error, info, warn};

use super::consumer::Assignment;
use super::figures::count;
use super::handle::{Cluster, Host, NOBODY};
use super::kafka::{ClusterError, PATIENCE, RETRY, Unusable, Words, consumer_config, end_of, ensure_topics};
use super::queue::Order;
use super::status::MemberStatus;
use crate::clock;

/// How often a node says that it lives when nothing else makes it.
const TICK_INTERVAL: Duration = Duration::from_millis(500);
/// How often it does at most.
const TICKS_APART: Duration = Duration::from_millis(5);
/// How long routes that nobody wants any more are kept: who unsubscribes and subscribes again costs nothing.
const LEAVING_INTERVAL: Duration = Duration::from_millis(500);
/// How often what is to be seen is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);
/// How long a node may say nothing before the others hold it for dead.
const VOID_AFTER: Duration = Duration::from_secs(15);
/// Records that are read between two looks at what else is due.
const RECORDS_TOGETHER: usize = 1024;

/// Routes of lives that are over, to be taken out of the log, and how many of them at a time.
type Leftover = (u8, Incarnation, OwnedName);
const LEFTOVERS_TOGETHER: usize = 256;

/// Reads until the cluster ends.
pub(super) fn run(cluster: &Arc<Cluster>, host: &dyn Host, assignment: &Assignment) {
    if !until_topics_are_there(cluster) {
        return cluster.queue.end();
    }
    let words = Words(Arc::clone(cluster));
    let config = consumer_config(&cluster.options.kafka);
    let consumer = match BaseConsumer::from_config_and_context(&config, words) {
        Ok(consumer) => consumer,
        Err(error) => {
            cluster.queue.end();
            return (cluster.options.end)(ClusterError::Client(error));
        }
    };
    let now = clock::now();
    let nonce = u64::from_le_bytes(std::array::from_fn(|at| drawn_key()[at]));
    let mut reading = Reading {
        cluster,
        host,
        assignment,
        consumer,
        members: Members::new(&cluster.options.node, nonce),
        view: View::default(),
        changes: Vec::new(),
        leftovers: Vec::new(),
        end: 0,
        asked_at: None,
        ticked_at: now,
        has_news: false,
        left_at: now,
        status_at: now,
        voided: Vec::new(),
    };
    reading.run();
    cluster.queue.end();
}

fn until_topics_are_there(cluster: &Cluster) -> bool {
    let mut is_told = false;
    while !cluster.is_stopping() {
        match ensure_topics(&cluster.options.kafka) {
            Ok(()) => return true,
            Err(Unusable::Wrong(error)) => {
                (cluster.options.end)(error);
                return false;
            }
            Err(Unusable::Away(why)) => {
                if !std::mem::replace(&mut is_told, true) {
                    warn!(
                        brokers = cluster.options.kafka.brokers,
                        why, "kafka does not answer; the node waits for it"
                    );
                }
                cluster.status.lock().kafka_trouble = Some(why);
                std::thread::sleep(RETRY);
            }
        }
    }
    false
}

struct Reading<'a> {
    cluster: &'a Arc<Cluster>,
    host: &'a dyn Host,
    assignment: &'a Assignment,
    consumer: BaseConsumer<Words>,
    members: Members,
    view: View,
    changes: Vec<Change>,
    leftovers: Vec<Leftover>,
    /// Where `routes` ended at the start.
    end: u64,
    /// When it last said hello, if it is no member.
    asked_at: Option<Instant>,
    ticked_at: Instant,
    /// Something was read that others wait for to be read.
    has_news: bool,
    left_at: Instant,
    status_at: Instant,
    /// Lives that this node has held for dead, and when.
    voided: Vec<(Incarnation, Instant)>,
}

impl Reading<'_> {
    fn run(&mut self) {
        let mut partitions = TopicPartitionList::new();
        let routes = self.cluster.options.kafka.routes();
        let Some(end) = end_of(self.cluster, &self.consumer, &routes, 0) else { return };
        self.end = end;
        let added = partitions.add_partition_offset(&routes, 0, Offset::Beginning);
        if let Err(error) = added.and_then(|()| self.consumer.assign(&partitions)) {
            return (self.cluster.options.end)(ClusterError::Client(error));
        }
        while !self.cluster.is_stopping() {
            if !self.read() {
                return;
            }
            self.see_to_what_is_due(clock::now());
        }
        self.leave();
    }

    /// Reads what is there. Returns whether to go on.
    fn read(&mut self) -> bool {
        let mut patience = self.patience(clock::now());
        for _ in 0..RECORDS_TOGETHER {
            match self.consumer.poll(patience) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => {
                    self.cluster.note_kafka_trouble(&error, "routes cannot be read");
                    break;
                }
                Some(Ok(message)) => {
                    let offset = message.offset() as u64;
                    let record = Record::decode(message.key().unwrap_or_default(), message.payload());
                    match record {
                        Ok(Some(record)) => {
                            self.has_news |= !matches!(record, Record::Tick { .. });
                            let now = clock::now();
                            self.members.read(offset, &record, now, &mut self.changes);
                            if let Record::Route { slot, incarnation, name, online } = record {
                                count(&self.cluster.figures.routes_read, 1);
                                let leftover = route_read(
                                    &self.members,
                                    &mut self.view,
                                    self.cluster,
                                    (slot, incarnation),
                                    name,
                                    online,
                                );
                                self.leftovers.extend(leftover);
                            }
                        }
                        Ok(None) => self.members.skip(offset),
                        Err(cause @ DecodeError::Version(_)) => {
                            let topic = self.cluster.options.kafka.routes();
                            (self.cluster.options.end)(ClusterError::Record { topic, cause });
                            return false;
                        }
                        Err(error) => {
                            self.members.skip(offset);
                            count(&self.cluster.figures.records_malformed, 1);
                            error!(%error, offset, "a record of routes is not one");
                        }
                    }
                }
            }
            if !self.changes.is_empty() && !self.carry_out_changes() {
                return false;
            }
            patience = Duration::ZERO;
        }
        true
    }

    /// Until when there is nothing to do but to read.
    fn patience(&self, now: Instant) -> Duration {
        let tick_at = self.ticked_at + if self.has_news { TICKS_APART } else { TICK_INTERVAL };
        let mut until = tick_at.min(self.left_at + LEAVING_INTERVAL).min(self.status_at + STATUS_INTERVAL);
        if let Some(silence) = self.members.next_silence(now) {
            until = until.min(silence + Duration::from_millis(1));
        }
        until.saturating_duration_since(now)
    }

    /// What was read is acted upon. Returns whether to go on.
    fn carry_out_changes(&mut self) -> bool {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Came(slot) => {
                    let Some(member) = self.members.at(slot) else { continue };
                    info!(node = member.node, slot, incarnation = member.incarnation.0, "a node came");
                    self.cluster.incarnations[usize::from(slot)].store(member.incarnation.0, SeqCst);
                }
                Change::Went(slot, incarnation) => {
                    info!(slot, incarnation = incarnation.0, "a node is gone");
                    self.cluster.incarnations[usize::from(slot)].store(NOBODY, SeqCst);
                    let routes = self.view.forget(slot, &self.cluster.matches);
                    self.leftovers.extend(routes.into_iter().map(|name| (slot, incarnation, name)));
                }
                Change::Admitted(incarnation) => {
                    let Some((slot, _)) = self.members.own() else { continue };
                    info!(
                        node = self.cluster.options.node,
                        slot,
                        incarnation = incarnation.0,
                        "this node is a member"
                    );
                    self.asked_at = None;
                    let mut own = self.cluster.own.lock();
                    own.life = Some((slot, incarnation));
                    own.routes.forget_known();
                    self.cluster.write_all_routes(&own);
                }
                Change::SlotTaken(slot) => {
                    self.asked_at = None;
                    if self.cluster.options.slot.is_some() {
                        (self.cluster.options.end)(ClusterError::SlotTaken(slot));
                        return false;
                    }
                }
                Change::Voided => {
                    warn!("the other nodes held this one for dead; it becomes a member anew");
                    self.no_member();
                }
                Change::NameTaken => {
                    self.no_member();
                    (self.cluster.options.end)(ClusterError::NameTaken(self.cluster.options.node.clone()));
                    return false;
                }
            }
        }
        true
    }

    fn no_member(&mut self) {
        self.cluster.set_fresh_until(None);
        self.cluster.own.lock().life = None;
    }

    fn see_to_what_is_due(&mut self, now: Instant) {
        if self.members.applied().map_or(0, |applied| applied + 1) < self.end {
            return;
        }
        if self.members.own().is_none() {
            if self.asked_at.is_none_or(|at| now.saturating_duration_since(at) > PATIENCE) {
                self.say_hello(now);
            }
        } else {
            self.let_barrier_pass(now);
            let apart = if self.has_news { TICKS_APART } else { TICK_INTERVAL };
            if now.saturating_duration_since(self.ticked_at) >= apart {
                self.tick(now);
            }
            if now.saturating_duration_since(self.left_at) >= LEAVING_INTERVAL {
                self.left_at = now;
                self.write_what_left();
                self.void_the_dead(now);
            }
        }
        if now.saturating_duration_since(self.status_at) >= STATUS_INTERVAL {
            self.status_at = now;
            self.show_status(now);
        }
    }

    /// Asks for a slot. What others send there from then on is read.
    fn say_hello(&mut self, now: Instant) {
        self.asked_at = Some(now);
        let options = &self.cluster.options;
        let Some(slot) = options.slot.or_else(|| self.members.free_slot()) else {
            return (options.end)(ClusterError::NoSlot);
        };
        let end = self.consumer.fetch_watermarks(&options.kafka.slots(), slot.into(), PATIENCE);
        let end = match end {
            Ok((_, end)) => end,
            Err(error) => {
                warn!(%error, slot, "the end of the slot is not known; it is asked again");
                self.asked_at = Some(now - PATIENCE + RETRY);
                return;
            }
        };
        self.assignment.set(slot, end);
        let (node, address) = (&*options.node, &*options.address);
        let nonce = self.members.nonce();
        let hello = Record::Hello { node, slot, nonce, version: VERSION, address };
        self.cluster.queue.push(Order::Routes(hello.encode(), None));
    }

    fn tick(&mut self, now: Instant) {
        (self.ticked_at, self.has_news) = (now, false);
        let at = self.host.wall_clock(now).0;
        if let Some(tick) = self.members.tick(now, at) {
            count(&self.cluster.figures.ticks, 1);
            self.cluster.queue.push(Order::Routes(tick.encode(), None));
        }
    }

    fn let_barrier_pass(&mut self, now: Instant) {
        let fresh_until = self.members.fresh_until();
        self.cluster.set_fresh_until(fresh_until);
        if fresh_until.is_some() && !self.cluster.is_ready() {
            info!(routes = self.view.len(), "the node knows what the others have a match for");
            self.cluster.ready.send_replace(true);
        }
        let mut own = self.cluster.own.lock();
        own.read_by_all = self.members.read_by_all(now);
        self.cluster.pass_barrier(&mut own);
    }

    /// Routes that nobody wants any more, and those of nodes that are gone.
    fn write_what_left(&mut self) {
        {
            let mut own = self.cluster.own.lock();
            if let Some((slot, incarnation)) = own.life {
                for name in own.routes.take_left() {
                    let gone = Record::Route { slot, incarnation, name: name.name(), online: None };
                    self.cluster.queue.push(Order::Routes(gone.encode(), None));
                }
            }
        }
        let some = self.leftovers.len().min(LEFTOVERS_TOGETHER);
        let is_eldest = self.members.is_eldest(clock::now());
        for (slot, incarnation, name) in self.leftovers.drain(..some) {
            // One of the nodes does it for all.
            if is_eldest {
                let gone = Record::Route { slot, incarnation, name: name.name(), online: None };
                self.cluster.queue.push(Order::Routes(gone.encode(), None));
            }
        }
    }

    /// Whoever has said nothing for very long is no member any more.
    fn void_the_dead(&mut self, now: Instant) {
        self.voided.retain(|(_, at)| now.saturating_duration_since(*at) < VOID_AFTER);
        if !self.cluster.is_fresh() || !self.members.is_eldest(now) {
            return;
        }
        for (slot, member) in self.members.silent_for(VOID_AFTER, now) {
            let incarnation = member.incarnation;
            if self.voided.iter().any(|(other, _)| *other == incarnation) {
                continue;
            }
            warn!(
                node = member.node,
                slot, "a node has said nothing for {VOID_AFTER:?}: it is no member any more"
            );
            self.voided.push((incarnation, now));
            let void = Record::Void { node: &member.node, incarnation, slot };
            self.cluster.queue.push(Order::Routes(void.encode(), None));
        }
    }

    /// This node ends: what it has in the log goes with it.
    fn leave(&mut self) {
        let mut own = self.cluster.own.lock();
        let Some((slot, incarnation)) = own.life.take() else { return };
        for name in own.routes.names() {
            let gone = Record::Route { slot, incarnation, name, online: None };
            self.cluster.queue.push(Order::Routes(gone.encode(), None));
        }
        let void = Record::Void { node: &self.cluster.options.node, incarnation, slot };
        self.cluster.queue.push(Order::Routes(void.encode(), None));
    }

    fn show_status(&self, now: Instant) {
        let wall = self.host.wall_clock(now).0 as i64;
        let of = |(slot, member): (u8, &micro_mq_cluster::members::Member)| MemberStatus {
            node: member.node.clone(),
            slot,
            incarnation: member.incarnation.0,
            address: member.address.clone(),
            applied: member.ticked.map(|ticked| ticked.applied),
            alive: member.may_match(now),
            clock_skew_ms: member.ticked.map(|ticked| {
                let since = now.saturating_duration_since(ticked.read_at).as_millis() as i64;
                ticked.at as i64 - (wall - since)
            }),
        };
        let mut status = self.cluster.status.lock();
        let own = self.members.own();
        status.slot = own.map(|(slot, _)| slot);
        status.incarnation = own.map(|(_, incarnation)| incarnation.0);
        status.applied = self.members.applied();
        status.routes = self.view.len();
        status.members = self.members.iter().map(of).collect();
    }
}

/// A route was read. Returns it if it is of a life that is over, and stands in the log still.
fn route_read(
    members: &Members,
    view: &mut View,
    cluster: &Cluster,
    (slot, incarnation): (u8, Incarnation),
    name: micro_mq_cluster::routes_log::RouteName<'_>,
    online: Option<u32>,
) -> Option<Leftover> {
    debug_assert!(slot < SLOTS);
    if members.at(slot).is_none_or(|member| member.incarnation != incarnation) {
        return online.map(|_| (slot, incarnation, OwnedName::of(name)));
    }
    if members.own() != Some((slot, incarnation)) {
        view.set(slot, incarnation, name, online, &cluster.matches);
    }
    None
}
