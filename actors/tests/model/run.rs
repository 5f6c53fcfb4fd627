//! One run: rounds of actions, what they bring, and the end, when all that is promised must have come.

use std::time::Duration;

use micro_mq_actors::simulation::{Conditions, SimulatedDisk, Simulation};
use micro_mq_core::settings::{QueueOverflow, Settings, SharedStrategy};
use mqtt_codec::ProtocolVersion;

use super::client::Client;
use super::crash_messages::MESSAGES_OUTLIVE;
use super::late::Late;
use super::publishing::OUTGOING_MAX;
use super::random::Random;
use super::session::{Phase, Session};
use super::world::World;

/// How often clients may go on answering each other within a round.
const EXCHANGES_MAX: usize = 200;
/// A client that was taken over or sent away is gone after this, with all that it was told.
const GHOST_PATIENCE: Duration = Duration::from_millis(1200);

/// Runs a seed.
pub(crate) fn run(seed: u64, is_traced: bool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    // Where the auth actor is asked, publishes and subscriptions wait for its answer.
    let conditions =
        Conditions { asks: random.percent(20), interleaved_by: random.percent(50).then(|| random.next()) };
    play(Simulation::start_on(settings, conditions, Late::for_some(seed)), random, is_traced)
}

/// Runs a seed on a node that outlives its process, and is killed now and then.
pub(crate) fn run_lives(seed: u64, is_traced: bool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    let conditions = Conditions { asks: random.percent(20), interleaved_by: Some(random.next()) };
    let disk = SimulatedDisk::new(random.next());
    if MESSAGES_OUTLIVE {
        disk.keep_messages();
    }
    let simulation = Simulation::start_durable(settings, conditions, Late::for_some(seed), disk);
    play(simulation, random, is_traced)
}

fn play(mut simulation: Simulation, random: Random, is_traced: bool) -> Result<(), String> {
    simulation.run_lives(async |node| {
        let mut world = World::new(node, random, is_traced);
        let outcome = world.play().await;
        match outcome {
            Ok(()) => Ok(()),
            Err(wrong) => Err(format!("round {}: {wrong}", world.round)),
        }
    })
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = 1 + random.below(3);
    settings.mqtt.sys_interval_seconds = 0;
    settings.node.metrics_interval_seconds = 0;
    settings.mqtt.merge_overlapping_subscriptions = random.percent(20);
    if random.percent(20) {
        settings.mqtt.session_expiry_interval_max_seconds = 30;
    }
    if random.percent(20) {
        settings.node.deliveries_per_turn = 1 + random.below(3);
    }
    if random.percent(20) {
        settings.node.messages_between_workers_max = 1 + random.below(3);
    }
    if random.percent(15) {
        settings.session.queue_messages_max = 1 + random.below(4);
        settings.session.queue_overflow =
            random.pick(&[QueueOverflow::DropNewest, QueueOverflow::DropOldest]);
    }
    if random.percent(10) {
        settings.node.outbox_bytes_max = 4096;
    }
    if random.percent(5) {
        settings.session.queue_bytes_max = 1000;
        settings.session.clean_queue_bytes_max = 1000;
    }
    if random.percent(30) {
        settings.mqtt.receive_maximum = OUTGOING_MAX as u16;
    }
    settings.session.queue_qos0_offline = random.percent(20);
    if random.percent(20) {
        settings.session.inflight_max = 1 + random.below(3) as u16;
    }
    settings.session.shared_strategy = random.pick(&[
        SharedStrategy::RoundRobin,
        SharedStrategy::LeastInflight,
        SharedStrategy::HashClient,
        SharedStrategy::HashTopic,
        SharedStrategy::Sticky,
    ]);
    settings
}

impl World<'_> {
    async fn play(&mut self) -> Result<(), String> {
        self.trace(|| format!("{:?}", self.node.shared().settings));
        for number in 0..2 + self.random.below(5) {
            let version = self.random.pick(&[
                ProtocolVersion::V5,
                ProtocolVersion::V5,
                ProtocolVersion::V5,
                ProtocolVersion::V311,
                ProtocolVersion::V31,
            ]);
            let mut client = Client::new(format!("client {number}"), version);
            client.is_odd = self.random.percent(20);
            client.shares = self.random.percent(40);
            if version == ProtocolVersion::V5 && self.random.percent(15) {
                client.packet_bytes_max = Some(100 + self.random.below(200) as u32);
            }
            self.clients.push(client);
        }
        for _ in 0..8 + self.random.below(25) {
            self.round += 1;
            self.play_round().await?;
            if self.is_off() {
                self.crash().await?;
            }
        }
        if let Some(disk) = self.node.disk() {
            disk.fail_after(None);
        }
        self.wait_for_what_is_due().await?;
        self.finish().await
    }

    async fn play_round(&mut self) -> Result<(), String> {
        if self.random.percent(15) {
            self.pass_some_time().await?;
        } else {
            self.wait_for_what_is_due().await?;
            self.break_some_trie().await?;
            self.threaten();
            for _ in 0..1 + self.random.below(6) {
                self.act();
                if self.random.percent(20) {
                    self.node.settle().await;
                }
            }
            self.end_of_threat().await;
        }
        self.end_round().await?;
        if self.random.percent(15) && !self.is_off() {
            // Whoever is about to leave may take a second for it.
            self.wait_for_what_is_due().await?;
            let checked = self.node.check().await.map_err(|broken| broken.to_string());
            return if self.is_off() { Ok(()) } else { checked };
        }
        Ok(())
    }

    /// Everybody takes in what has come, until nothing comes any more.
    pub(crate) async fn end_round(&mut self) -> Result<(), String> {
        self.node.settle().await;
        if self.is_off() {
            return Ok(());
        }
        self.settle_retained();
        for exchange in 0.. {
            let mut is_quiet = self.take_ghosts()?;
            for client in 0..self.clients.len() {
                let Some(link) = self.clients[client].link.as_mut().filter(|link| link.reads) else {
                    continue;
                };
                is_quiet &= link.wire.unsent() == 0;
                let packets = link.wire.receive();
                let packets = packets.map_err(|wrong| format!("client {client}: {wrong}"))?;
                is_quiet &= packets.is_empty() && !link.wire.wire().is_within_packet();
                for packet in packets {
                    self.take(client, packet)?;
                }
                if self.clients[client].link.as_ref().is_some_and(|link| link.wire.is_over()) {
                    return Err(format!("{}: the network connection ended", self.clients[client].name));
                }
            }
            self.node.settle().await;
            if self.is_off() {
                return Ok(());
            }
            if is_quiet {
                break;
            }
            if exchange > EXCHANGES_MAX {
                return Err("it does not come to rest".into());
            }
        }
        for client in 0..self.clients.len() {
            self.end_round_of(client)?;
        }
        self.forget_what_is_kept();
        Ok(())
    }

    /// Clients that were sent away are told so, and their network connections end.
    fn take_ghosts(&mut self) -> Result<bool, String> {
        let mut is_quiet = true;
        for ghost in &mut self.ghosts {
            is_quiet &= ghost.wire.unsent() == 0;
            let packets =
                ghost.wire.receive().map_err(|wrong| format!("a client that was sent away: {wrong}"))?;
            is_quiet &= packets.is_empty() && !ghost.wire.wire().is_within_packet();
            if !ghost.wire.is_over() && ghost.since.elapsed() > GHOST_PATIENCE {
                return Err("a client that was sent away is still connected".into());
            }
        }
        self.ghosts.retain(|ghost| !ghost.wire.is_over());
        Ok(is_quiet)
    }

    fn end_round_of(&mut self, index: usize) -> Result<(), String> {
        let may_be_killed = self.node.disk().is_some();
        let client = &mut self.clients[index];
        let Some(link) = client.link.as_mut().filter(|link| link.reads) else { return Ok(()) };
        if !link.connected {
            return Err(format!("{}: no CONNACK", client.name));
        }
        if link.wire.wire().is_anything_owed() {
            return Err(format!("{}: not everything is answered: {:?}", client.name, link.wire.wire()));
        }
        link.fresh.clear();
        link.reads = !std::mem::take(&mut link.stops_reading);
        let Some(session) = &mut client.session else { return Ok(()) };
        for identifier in link.acknowledged.drain(..) {
            let Some(held) = session.inflight.get_mut(&identifier) else { continue };
            held.sure = true;
            if held.phase == Phase::Over {
                // That it is over may not be noted yet.
                session.finished.extend(may_be_killed.then_some(identifier));
                session.inflight.remove(&identifier);
            }
        }
        Ok(())
    }

    // === the end ===

    /// Whoever is there takes everything, whoever is not comes back for it, and then nothing is missing.
    async fn finish(&mut self) -> Result<(), String> {
        self.round += 1;
        self.trace(|| "the end".into());
        for client in 0..self.clients.len() {
            if let Some(link) = self.clients[client].link.as_mut() {
                link.reads = true;
            } else if self.clients[client].session.is_some() {
                self.clients[client].packet_bytes_max = None;
                self.connect_with(client, false, 1000, 0, 65_536, None, 0, None);
            }
        }
        self.end_round().await?;
        for _ in 0..EXCHANGES_MAX {
            let mut is_quiet = true;
            for client in 0..self.clients.len() {
                self.clients[client].is_odd = false;
                while self.clients[client].link.as_ref().is_some_and(|link| !link.owed.is_empty()) {
                    is_quiet = false;
                    self.acknowledge(client);
                }
            }
            self.round += 1;
            self.end_round().await?;
            if is_quiet {
                break;
            }
        }
        self.judge_end().await
    }

    async fn judge_end(&mut self) -> Result<(), String> {
        self.node.check().await.map_err(|broken| broken.to_string())?;
        for client in 0..self.clients.len() {
            self.judge_complete(client)?;
            let client = &self.clients[client];
            if let Some(session) = &client.session {
                judge_rest(client, session)?;
            }
        }
        self.judge_groups()?;
        let queued = self.node.ledger().queued;
        if queued > 0 {
            return Err(format!(
                "{queued} messages still wait though everybody is there and has acknowledged"
            ));
        }
        for client in &mut self.clients {
            if let Some(link) = client.link.take() {
                link.wire.hang_up();
            }
        }
        self.ghosts.clear();
        self.node.clear().await.map_err(|broken| broken.to_string())
    }
}

/// Nothing is open between a client and the node.
fn judge_rest(client: &Client, session: &Session) -> Result<(), String> {
    if let Some(outgoing) = client.outgoing.first() {
        return Err(format!("{}: {outgoing:?} was never acknowledged", client.name));
    }
    let held = session
        .inflight
        .iter()
        .find(|(_, held)| held.link == client.link.as_ref().map_or(0, |link| link.number));
    match held.filter(|(_, held)| held.phase != Phase::Over) {
        Some(left) => Err(format!("{}: {left:?} was never finished", client.name)),
        None => Ok(()),
    }
}
