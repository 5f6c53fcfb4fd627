//! One run, from its settings to its verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use micro_mq_actors::simulation::{Conditions, Simulation};
use micro_mq_core::settings::Settings;
use mqtt_codec::{ProtocolVersion, QoS, RetainHandling};

use super::client::Client;
use super::history::{History, Wanted};
use super::judge::judge;
use super::script::{EVERYTHING, FILTERS, FOREVER, NAMES};
use super::world::World;
use crate::late::Late;
use crate::random::Random;

/// How often clients may go on taking in and acknowledging at the end.
const EXCHANGES_MAX: usize = 2000;
/// Retained messages of which a subscription gets more than one piece.
const MANY: usize = 300;

/// Runs a seed.
pub(crate) fn run(seed: u64, is_traced: bool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    let conditions = Conditions { asks: random.percent(10), interleaved_by: Some(random.next()) };
    Simulation::start_on(settings, conditions, Late::for_some(seed)).run(async |node| {
        let mut world = World {
            node,
            random,
            clients: Vec::new(),
            left: Vec::new(),
            history: History::default(),
            wills: Vec::new(),
            may_wait: conditions.asks || node.shared().settings.node.messages_between_workers_max < 1000,
            is_traced,
            places: BTreeMap::new(),
            numbers: 0,
        };
        world.play().await
    })
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = 1 + random.below(3);
    settings.mqtt.sys_interval_seconds = 0;
    settings.node.metrics_interval_seconds = 0;
    if random.percent(30) {
        settings.node.deliveries_per_turn = 1 + random.below(3);
    }
    if random.percent(10) {
        settings.node.messages_between_workers_max = 1 + random.below(3);
    }
    if random.percent(20) {
        settings.session.inflight_max = 1 + random.below(3) as u16;
    }
    settings
}

impl World<'_> {
    async fn play(&mut self) -> Result<(), String> {
        self.trace(|| format!("{:?}", self.node.shared().settings));
        for number in 0..2 + self.random.below(4) {
            let client = self.client(number);
            self.clients.push(client);
        }
        if self.random.percent(4) {
            self.retain_many().await?;
        }
        for _ in 0..10 + self.random.below(40) {
            self.act()?;
            match self.random.below(10) {
                0..=4 => {}
                // Whoever waits for an answer to its CONNECT would not know whether that was in time.
                5 if self.clients.iter().flat_map(|client| &client.link).all(|link| link.is_connected) => {
                    self.node.rush(Duration::from_millis(self.random.next() % 2500)).await;
                }
                5..=8 => {
                    for _ in 0..self.random.below(20) {
                        self.node.step().await;
                    }
                }
                _ => self.rest().await,
            }
        }
        self.finish().await
    }

    fn client(&mut self, number: usize) -> Client {
        let version = self.random.pick(&[ProtocolVersion::V5, ProtocolVersion::V5, ProtocolVersion::V311]);
        let filters: &[&str] = match version {
            ProtocolVersion::V5 => &FILTERS,
            _ if self.random.percent(70) => &NAMES,
            _ => &EVERYTHING,
        };
        Client {
            name: format!("client {number}"),
            version,
            filters,
            is_slow: self.random.percent(20),
            link: None,
            session: None,
            last_identifier: 0,
        }
    }

    /// Somebody has published more retained messages than are fetched at once.
    async fn retain_many(&mut self) -> Result<(), String> {
        self.connect_with(0, true, 0, 65_536);
        for number in 0..MANY {
            let packet = self.publish(0, &format!("m/{number}"), QoS::AtMostOnce, true, false);
            if let Some(link) = &mut self.clients[0].link {
                let bytes = link.encoded(&packet);
                link.wire.send(&bytes);
            }
        }
        // What did not go at once goes when the client looks.
        while self.receive(0, usize::MAX)? {
            self.rest().await;
        }
        Ok(())
    }

    /// Everybody takes in what is left, and one more looks what is retained.
    async fn finish(&mut self) -> Result<(), String> {
        self.trace(|| "the end".into());
        self.rest().await;
        while self.is_anything_due() {
            self.node.rush(Duration::from_millis(100)).await;
            self.rest().await;
        }
        for client in 0..self.clients.len() {
            self.clients[client].is_slow = false;
            if self.clients[client].link.is_none() && self.clients[client].session.is_some() {
                self.connect_with(client, false, FOREVER, 65_536);
            }
        }
        let mut late = self.client(self.clients.len());
        (late.version, late.filters) = (ProtocolVersion::V5, &FILTERS);
        self.clients.push(late);
        let late = self.clients.len() - 1;
        self.connect_with(late, true, 0, 65_536);
        let wanted = Wanted { qos: QoS::AtLeastOnce, retain_handling: RetainHandling::SendAtSubscribe };
        let packet = self.subscribe_to(late, "#", wanted);
        if let Some(link) = &mut self.clients[late].link {
            let bytes = link.encoded(&packet);
            link.wire.send(&bytes);
        }
        self.take_all().await?;
        judge(&self.history, &self.open())?;
        self.node.check().await.map_err(|broken| broken.to_string())?;
        self.judge_waiting()?;
        self.left.clear();
        for client in &mut self.clients {
            client.link = None;
        }
        self.node.clear().await.map_err(|broken| broken.to_string())
    }

    async fn take_all(&mut self) -> Result<(), String> {
        for _ in 0..EXCHANGES_MAX {
            self.rest().await;
            let mut is_quiet = true;
            for client in 0..self.clients.len() {
                is_quiet &= !self.receive(client, usize::MAX)?;
                is_quiet &= self.clients[client].link.as_ref().is_none_or(|link| link.owed.is_empty());
                self.acknowledge(client);
            }
            if is_quiet {
                return self.judge_answers();
            }
        }
        Err("it does not come to rest".into())
    }

    fn judge_answers(&self) -> Result<(), String> {
        for client in &self.clients {
            let Some(link) = &client.link else { continue };
            if link.wire.wire().is_anything_owed() {
                return Err(format!("{}: not everything is answered: {:?}", client.name, link.wire.wire()));
            }
        }
        Ok(())
    }

    /// To be called behind a check: what a network connection that is about to end could not write waits until it has.
    fn judge_waiting(&self) -> Result<(), String> {
        match self.node.ledger().queued {
            0 => Ok(()),
            queued => {
                Err(format!("{queued} messages still wait though everybody is there and has acknowledged"))
            }
        }
    }

    /// The sessions that there are at the end, by client, with the network connection of each.
    fn open(&self) -> Vec<Option<(u64, u64)>> {
        let open = |client: &Client| Some((client.session.as_ref()?.number, client.link.as_ref()?.number));
        self.clients.iter().map(open).collect()
    }
}
