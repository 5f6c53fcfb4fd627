//! The metrics actor: gathers the node's figures, logs them, publishes `$SYS`, and gives them out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::log::Logged;
use super::prometheus;
use super::snapshot::{Snapshot, gather};
use super::sys::SysTopics;
use crate::clock;
use crate::messages::PublishSys;
use crate::stats::ActorKind;
use crate::worker::NodeShared;

/// Asks for the figures in Prometheus' text format.
#[derive(Debug, Message)]
#[rtype(result = "String")]
pub struct Render;

/// Asks for the figures.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Snapshot>")]
pub struct TakeSnapshot;

/// See the module.
pub struct Metrics {
    node: Arc<NodeShared>,
    sys: SysTopics,
    sys_at: Instant,
    logged: Logged,
}

impl Metrics {
    /// For the figures of one node.
    pub fn new(node: Arc<NodeShared>) -> Self {
        Self { node, sys: SysTopics::default(), sys_at: clock::now(), logged: Logged::default() }
    }

    fn gathered(&self, then: impl FnOnce(&mut Self, Snapshot) + 'static, ctx: &mut Context<Self>) {
        let stats = self.node.control_stats.of(ActorKind::Metrics);
        let timer = stats.handle(stats.send());
        let node = Arc::clone(&self.node);
        let gathering = async move { gather(&node).await }.into_actor(self);
        ctx.spawn(gathering.map(move |seen, metrics, _| {
            then(metrics, seen);
            metrics.node.control_stats.of(ActorKind::Metrics).handled(timer);
        }));
    }

    fn publish_sys(&mut self, seen: &Snapshot) {
        let elapsed =
            crate::clock::now().saturating_duration_since(self.sys_at).max(Duration::from_millis(1));
        self.sys_at = clock::now();
        let messages = self.sys.changed(seen, elapsed);
        if !messages.is_empty() {
            self.node.peers[0].sessions.do_send(PublishSys { messages });
        }
    }
}

impl Actor for Metrics {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let settings = Arc::clone(&self.node.settings);
        if settings.node.metrics_interval_seconds > 0 {
            let interval = Duration::from_secs(settings.node.metrics_interval_seconds.into());
            ctx.run_interval(interval, |metrics, ctx| {
                metrics.gathered(|metrics, seen| metrics.logged.log(&seen), ctx)
            });
        }
        if settings.mqtt.sys_interval_seconds > 0 {
            let publish = |metrics: &mut Self, seen: Snapshot| metrics.publish_sys(&seen);
            self.gathered(publish, ctx);
            let interval = Duration::from_secs(settings.mqtt.sys_interval_seconds.into());
            ctx.run_interval(interval, move |metrics, ctx| metrics.gathered(publish, ctx));
        }
    }
}

impl Handler<Render> for Metrics {
    type Result = ResponseFuture<String>;

    fn handle(&mut self, _: Render, _ctx: &mut Self::Context) -> Self::Result {
        let node = Arc::clone(&self.node);
        Box::pin(async move { prometheus::render(&gather(&node).await) })
    }
}

impl Handler<TakeSnapshot> for Metrics {
    type Result = ResponseFuture<Arc<Snapshot>>;

    fn handle(&mut self, _: TakeSnapshot, _ctx: &mut Self::Context) -> Self::Result {
        let node = Arc::clone(&self.node);
        Box::pin(async move { Arc::new(gather(&node).await) })
    }
}
