//! What the workers of a node have of its cluster.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Waker;
use std::time::{Duration, Instant};

use micro_mq_cluster::barrier::Barrier;
use micro_mq_cluster::own_routes::{OwnRoutes, OwnedName};
use micro_mq_cluster::routes_log::{Incarnation, Record, RouteName, SLOTS};
use micro_mq_cluster::slot_log::OVERHEAD_BYTES;
use micro_mq_cluster::view::Matches;
use micro_mq_cluster::window::Window;
use micro_mq_core::completion::{Condition, Conditions};
use micro_mq_core::ids::shared_part;
use micro_mq_core::matching::{LookUps, NAMES_TOGETHER};
use micro_mq_core::message::{Batch, Beyond};
use micro_mq_core::protocol::SubscriptionChange;
use micro_mq_core::records::WallClock;
use micro_mq_core::session::Session;
use micro_mq_core::worker::{ELSEWHERE, Elsewhere, Keeper, Promise};
use mqtt_codec::QoS;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::figures::{ClusterFigures, count};
use super::options::ClusterOptions;
use super::queue::{Order, Queue, Send};
use super::status::ClusterStatus;
use crate::clock;

/// No node has the slot.
pub(super) const NOBODY: u64 = u64::MAX;
/// What a record on its way costs beside its bytes.
const RECORD_BYTES: usize = 256;

/// The node that a [`Cluster`] is part of, as far as it has to know it.
pub trait Host: std::marker::Send + Sync {
    /// Whether publishes of other nodes have room; if not, `waker` is called when they have.
    fn has_room_for_arrivals(&self, waker: &Waker) -> bool;

    /// Publishes of another node are here.
    fn arrive(&self, batch: Batch);

    /// The moment of a time of day.
    fn moment(&self, at: WallClock) -> Instant;

    /// The time of day at a moment.
    fn wall_clock(&self, at: Instant) -> WallClock;
}

/// Who waits until all nodes know of a route.
pub(super) type Waiting = (Condition, Instant);

/// The routes of this node, and who waits for all to know of them.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) routes: OwnRoutes<Waiting>,
    pub(super) barrier: Barrier<OwnedName>,
    /// This node's slot and life, once it is a member.
    pub(super) life: Option<(u8, Incarnation)>,
    /// Up to which offset of `routes` all members have read; none before this node is one.
    pub(super) read_by_all: Option<u64>,
}

/// See the module.
pub struct Cluster {
    pub(super) options: ClusterOptions,
    pub(super) matches: Matches,
    /// Who has each slot.
    pub(super) incarnations: Box<[AtomicU64]>,
    started: Instant,
    /// Until when the view is fresh, in milliseconds since the start; 0: it is not.
    fresh_until: AtomicU64,
    pub(super) own: Mutex<Own>,
    pub(super) window: Mutex<Window>,
    /// Publishers that wait for the view to be fresh.
    awaits_view: Mutex<Vec<Waker>>,
    pub(super) queue: Queue,
    pub(super) figures: ClusterFigures,
    pub(super) status: Mutex<ClusterStatus>,
    pub(super) ready: watch::Sender<bool>,
    pub(super) stopping: AtomicBool,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("node", &self.options.node).finish_non_exhaustive()
    }
}

impl Cluster {
    /// That of a node; its threads are started by [`start`](Self::start).
    pub fn new(options: ClusterOptions) -> Arc<Self> {
        Arc::new(Self {
            matches: Matches::default(),
            incarnations: (0..SLOTS).map(|_| AtomicU64::new(NOBODY)).collect(),
            started: clock::now(),
            fresh_until: AtomicU64::new(0),
            own: Mutex::default(),
            window: Mutex::new(Window::new(options.forward_bytes_max)),
            awaits_view: Mutex::default(),
            queue: Queue::default(),
            figures: ClusterFigures::default(),
            status: Mutex::new(ClusterStatus::of(&options)),
            ready: watch::channel(false).0,
            stopping: AtomicBool::new(false),
            options,
        })
    }

    /// Waits until the node is a member, and knows what others have a match for.
    pub async fn until_ready(&self) {
        // The sender is this very object's.
        let _ = self.ready.subscribe().wait_for(|is_ready| *is_ready).await;
    }

    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Whether it is known what other nodes have a match for, now.
    pub fn is_fresh(&self) -> bool {
        let until = self.fresh_until.load(SeqCst);
        // Read behind the bytes that it is asked for: what a thread sets would still stand when a process wakes that was
        // stopped.
        let now = clock::now().saturating_duration_since(self.started);
        (now.as_millis() as u64) < until
    }

    /// What is to be seen of it.
    pub fn status(&self) -> ClusterStatus {
        let mut status = self.status.lock().clone();
        status.fresh = self.is_fresh();
        status.window_bytes = self.window.lock().bytes();
        status.own_routes = self.own.lock().routes.len();
        status
    }

    /// Every figure, by the name it has in metrics.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        self.figures.all()
    }

    /// The view is fresh until a moment, or not at all.
    pub(super) fn set_fresh_until(&self, until: Option<Instant>) {
        let until = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.started));
        self.fresh_until.store(until.as_millis() as u64, SeqCst);
        let waiting = std::mem::take(&mut *self.awaits_view.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// A route is to be written, if this node is a member; otherwise it is when it becomes one.
    fn write_route(&self, own: &Own, name: RouteName<'_>) {
        if let Some((slot, incarnation)) = own.life {
            let record = Record::Route { slot, incarnation, name, online: Some(1) };
            let route = Some((incarnation, OwnedName::of(name)));
            self.queue.push(Order::Routes(record.encode(), route));
        }
    }

    /// All routes are to be written: this node is a member anew.
    pub(super) fn write_all_routes(&self, own: &Own) {
        own.routes.names().for_each(|name| self.write_route(own, name));
    }

    /// Who waits for a route that all have read waits no more.
    pub(super) fn pass_barrier(&self, own: &mut Own) {
        let Some(read_by_all) = own.read_by_all else { return };
        for name in own.barrier.passed(read_by_all) {
            for (condition, _) in own.routes.read_by_all(name.name(), read_by_all) {
                condition.done();
            }
        }
    }

    /// Room may have come.
    pub(super) fn leave_window(&self, client: u64, bytes: usize) {
        let waiting = self.window.lock().leave(client, bytes);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn has_room(&self, batch: &Batch, waker: &Waker) -> bool {
        let needs_room = batch.beyond.as_ref().is_some_and(|beyond| {
            let items = batch.items().iter().zip(&beyond.slots);
            items.filter(|(item, _)| item.qos() != QoS::AtMostOnce).any(|(_, slots)| *slots != 0)
        });
        !needs_room || self.window.lock().has_room_or_wake(batch.publisher_hash, waker)
    }
}

/// The name of a route, of a topic filter as a client writes it.
fn name_of(full_filter: &str) -> RouteName<'_> {
    match shared_part(full_filter) {
        Some(filter) => {
            let share = &full_filter["$share/".len()..full_filter.len() - filter.len() - 1];
            RouteName { share, filter }
        }
        None => RouteName { share: "", filter: full_filter },
    }
}

impl Elsewhere for Cluster {
    fn look_up(&self, batch: &mut Batch) -> bool {
        let (mut look_ups, items) = (LookUps::of(batch.items().len()), batch.items().len());
        let (mut slots, mut any) = (Vec::new(), false);
        let (mut at, mut names) = (0, Vec::with_capacity(NAMES_TOGETHER));
        while at < items {
            let together = (items - at).min(NAMES_TOGETHER);
            names.clear();
            names.extend((at..at + together).map(|index| batch.topic(index)));
            let found = self.matches.directory().workers_together(&names, &mut look_ups);
            for (index, found) in (at..at + together).zip(found) {
                if found != 0 && batch.items()[index].is_routed() {
                    slots.resize(items, 0);
                    slots[index] = found;
                    any = true;
                }
            }
            at += together;
        }
        if any {
            for (item, slots) in batch.items_mut().iter_mut().zip(&slots) {
                if *slots != 0 {
                    item.workers |= ELSEWHERE;
                }
            }
            batch.beyond = Some(Box::new(Beyond { slots, is_received: false }));
        } else {
            batch.beyond = None;
        }
        any
    }

    fn may_set_out(&self, batch: &Batch, waker: &Waker) -> bool {
        let waits = |item: &micro_mq_core::message::Item| item.is_routed() && item.qos() != QoS::AtMostOnce;
        if !batch.items().iter().any(waits) {
            return true;
        }
        let may = (self.is_fresh() || {
            self.awaits_view.lock().push(waker.clone());
            // It may have become fresh between the first look and the note; then nobody else would call.
            self.is_fresh()
        }) && self.has_room(batch, waker);
        if !may {
            count(&self.figures.publishers_held, 1);
        }
        may
    }

    fn publish(&self, batch: &Arc<Batch>) {
        let Some(beyond) = &batch.beyond else { return };
        let (client, mut sends) = (batch.publisher_hash, Vec::new());
        let mut window = self.window.lock();
        for (item, slots) in beyond.slots.iter().enumerate().filter(|(_, slots)| **slots != 0) {
            let publication = batch.publication(item);
            if publication.qos == QoS::AtMostOnce && !window.has_room_at_most_once(client) {
                count(&self.figures.forward_window_full, slots.count_ones().into());
                continue;
            }
            let bytes = publication.topic.len() + publication.properties.len() + publication.payload.len();
            let bytes = bytes + OVERHEAD_BYTES + RECORD_BYTES;
            window.enter(client, bytes * slots.count_ones() as usize);
            let condition = match publication.qos {
                QoS::AtMostOnce => None,
                _ => batch.open(item),
            };
            sends.push(Send { item, slots: *slots, bytes, condition });
        }
        drop(window);
        if !sends.is_empty() {
            self.queue.push(Order::Publish(Arc::clone(batch), sends));
        }
    }

    fn came(&self, full_filter: &str, worker: u16, promised: bool) {
        let (name, mut own) = (name_of(full_filter), self.own.lock());
        if own.routes.came(name, worker, promised) {
            self.write_route(&own, name);
        }
    }

    fn failed_to_come(&self, full_filter: &str) {
        self.own.lock().routes.failed_to_come(name_of(full_filter));
    }

    fn went(&self, full_filter: &str, worker: u16) {
        self.own.lock().routes.went(name_of(full_filter), worker);
    }
}

impl Keeper for Cluster {
    fn is_full(&self) -> bool {
        false
    }

    fn wake_when_there_is_room(&self, _: &Waker) {}

    fn publish(&self, _: &Arc<Batch>) {}

    /// A SUBACK waits until every node knows of the route.
    fn promise(&self, _: &Session, promise: &Promise<'_>, conditions: &Conditions) {
        let Promise::Change(SubscriptionChange::Subscribe { granted, .. }) = promise else { return };
        let (now, mut own) = (clock::now(), self.own.lock());
        for granted in granted {
            let name = name_of(&granted.filter);
            if own.routes.expect(name, || (conditions.open(0, 1), now)) {
                self.write_route(&own, name);
            }
        }
    }
}
