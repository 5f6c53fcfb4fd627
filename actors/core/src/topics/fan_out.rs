//! Getting messages to the sessions of one worker.
//!
//! **The one exception to "everything is a message"**: the router appends to the outboxes and queues of its own
//! worker's sessions directly, and wakes each network connection once per run of turns. One mailbox message per
//! subscriber in its place costs about twice the CPU of a bulk fan-out.

use std::time::Instant;

use super::handoff::Passing;
use super::router::Router;
use crate::completion::Opened;
use crate::ids::CopyId;
use crate::matching::Subscriber;
use crate::message::Publication;
use crate::queue::Identifiers;
use crate::routing::Current;
use crate::session::{Desk, FrameCache, Offered, Storing, Wanted};
use crate::worker::WorkerState;

/// Bytes that cost about as much to copy as a delivery to make.
const COPIED_BYTES_PER_DELIVERY: usize = 512;

/// What a copy of a message costs beside the delivery, in deliveries: its topic name and properties may be long. A long
/// payload is shared.
#[inline]
pub(super) fn cost_of_copy(publication: &Publication<'_>) -> usize {
    (publication.topic.len() + publication.properties.len()) / COPIED_BYTES_PER_DELIVERY
}

/// How a session wants a message by a subscription and those that are merged into it [MQTT-3.3.1-12, MQTT-3.3.1-13].
fn wanted(subscriber: &Subscriber, merged: &[Subscriber], is_retained: bool) -> Wanted {
    let mut how = Wanted {
        qos: subscriber.options.qos,
        retain: is_retained && subscriber.options.retain_as_published,
        identifiers: one(subscriber.identifier),
        group: None,
    };
    if !merged.is_empty() {
        merge_into(&mut how, merged, is_retained);
    }
    how
}

pub(super) fn one(identifier: u32) -> Identifiers {
    if identifier == 0 { Identifiers::None } else { Identifiers::One(identifier) }
}

impl Router {
    /// Delivers a run to subscribers and groups. Returns whether all of them had it.
    pub(super) fn deliver(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        budget: &mut usize,
        now: Instant,
    ) -> bool {
        let records = worker.copies.is_on;
        if records {
            worker.begin_copies(current.storing());
        }
        let is_done = self.deliver_to_subscribers(worker, current, budget, now)
            && self.deliver_to_groups(worker, current, budget, now);
        if records && current.stored.iter().any(Storing::has_copies) {
            let opened = self.position.as_ref().and_then(|position| position.opened.as_deref());
            record_copies(worker, current, opened);
        }
        is_done
    }

    /// The budget is looked at between subscriptions: none has a part of a run.
    fn deliver_to_subscribers(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        budget: &mut usize,
        now: Instant,
    ) -> bool {
        let Self { frames, .. } = self;
        let WorkerState { node, sessions, pool, wakes, ledger, copies, .. } = worker;
        let settings = &*node.settings;
        let Current { batch, item, run, matches, next_subscriber, stored, .. } = current;
        let own = batch.publisher.is_none();
        let merge = settings.mqtt.merge_overlapping_subscriptions;
        let (single, several): ([_; 1], Vec<_>);
        let publications: &[Publication<'_>] = if *run == 1 {
            single = [batch.publication(*item)];
            &single
        } else {
            several = (*item..*item + *run).map(|index| batch.publication(index)).collect();
            &several
        };
        let cost = *run + publications.iter().map(cost_of_copy).sum::<usize>();
        // Those of another run, or made in a turn before: what remains of a message expiry interval has changed.
        frames.iter_mut().take(*run).for_each(FrameCache::forget);
        if frames.len() < *run {
            frames.resize_with(*run, FrameCache::default);
        }
        while let Some(first) = matches.subscribers.get(*next_subscriber) {
            if *budget == 0 {
                return false;
            }
            let rest = &matches.subscribers[*next_subscriber..];
            let merged = match merge {
                true => rest[1..].iter().take_while(|subscriber| subscriber.session == first.session).count(),
                false => 0,
            };
            let merged = &rest[1..][..merged];
            *next_subscriber += 1 + merged.len();
            *budget = budget.saturating_sub(cost);
            let Some(session) = sessions.get_mut(first.session) else { continue };
            ledger.match_n(*run as u64, own);
            let all_but_retained = wanted(first, merged, false);
            let mut sent = 0;
            for ((publication, frames), stored) in
                publications.iter().zip(&mut *frames).zip(stored.iter_mut())
            {
                let mut desk = Desk { settings, ledger, pool, frames, now };
                let offered = match publication.retain {
                    true => session.offer(publication, &wanted(first, merged, true), stored, &mut desk),
                    false => session.offer(publication, &all_but_retained, stored, &mut desk),
                };
                sent += usize::from(offered == Offered::Sent);
            }
            if sent > 0 {
                wakes.touch(session.online.as_mut(), first.session);
            }
            if sent < *run {
                session.publish_load();
                if session.has_notes() {
                    copies.note(first.session);
                }
            }
        }
        true
    }

    fn deliver_to_groups(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        budget: &mut usize,
        now: Instant,
    ) -> bool {
        let Current { batch, item, run, matches, next_of_run, next_group, stored, .. } = current;
        while *next_of_run < *run && !matches.groups.is_empty() {
            let publication = batch.publication(*item + *next_of_run);
            while let Some(group) = matches.groups.get(*next_group).copied() {
                if *budget == 0 {
                    return false;
                }
                *next_group += 1;
                worker.ledger.match_n(1, publication.is_own());
                let passing = Passing {
                    publication: &publication,
                    item: Some((batch, *item + *next_of_run)),
                    stored: &mut stored[*next_of_run],
                    recorded: CopyId::default(),
                };
                let cost = self.dispatch(worker, group, passing, now);
                *budget = budget.saturating_sub(cost);
            }
            *next_of_run += 1;
            *next_group = 0;
        }
        true
    }
}

/// Records what copies of a run were given to sessions that outlive the process. Whoever published it waits for that.
fn record_copies(worker: &mut WorkerState, current: &mut Current, opened: Option<&Opened>) {
    let Current { batch, item, run, stored, home, .. } = current;
    let items = *item..*item + *run;
    let run = items.zip(stored).map(|(item, storing)| {
        let condition = match home {
            true => batch.open(item),
            false => opened.and_then(|opened| opened.open(item)),
        };
        (batch.publication(item), storing, batch.origin(item), condition)
    });
    worker.record_copies(run);
}

fn merge_into(how: &mut Wanted, others: &[Subscriber], is_retained: bool) {
    let mut identifiers = how.identifiers.as_slice().to_vec();
    for other in others {
        how.qos = how.qos.max(other.options.qos);
        how.retain |= is_retained && other.options.retain_as_published;
        if other.identifier != 0 {
            identifiers.push(other.identifier);
        }
    }
    how.identifiers = match identifiers.as_slice() {
        [] => Identifiers::None,
        [identifier] => Identifiers::One(*identifier),
        _ => Identifiers::Many(identifiers.into()),
    };
}
