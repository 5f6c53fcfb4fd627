//! The clients of a scenario: who they are, what they publish, and what they hear.

use std::process;

use super::Scenario;
use crate::{
    arguments::Arguments,
    engine::{Churner, Client, Crew, Deaf, Flooder, Publisher, Role, Settings, Subscriber, Subscription},
    failure::Failure,
    process::Process,
    wire::PublishFrame,
};

/// The clients of one run, with names that no other run has.
pub(super) struct Cast<'a> {
    pub(super) arguments: &'a Arguments,
    run: u32,
}

impl<'a> Cast<'a> {
    pub(super) fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, run: process::id() }
    }

    /// Deliveries that each publish brings about.
    pub(super) fn fan_out(&self) -> u64 {
        match self.arguments.scenario {
            Scenario::Pub | Scenario::Idle | Scenario::Connect | Scenario::Subscribe | Scenario::Retain => 0,
            Scenario::Pairs | Scenario::Paced | Scenario::Slow | Scenario::Shared | Scenario::Churn => 1,
            Scenario::Wild => 2,
            Scenario::FanIn | Scenario::FanOut => u64::from(self.arguments.subscribers),
        }
    }

    /// Groups of subscribers that divide the messages among them.
    pub(super) fn groups(&self) -> usize {
        match self.arguments.scenario {
            Scenario::Shared => 1,
            Scenario::Wild => 2,
            _ => 0,
        }
    }

    pub(super) fn engine(&self) -> Result<Crew, Failure> {
        let Arguments {
            broker,
            version,
            keep_alive_seconds,
            payload,
            burst,
            outstanding,
            handshakes,
            timeout,
            pid,
            progress,
            ..
        } = *self.arguments;
        let settings = Settings {
            address: broker,
            layers: self.arguments.layers()?,
            sources: self.arguments.sources.clone(),
            version,
            keep_alive_seconds,
            payload: self.arguments.burst_bytes.unwrap_or(payload),
            burst,
            outstanding,
            fan_out: self.fan_out(),
            handshakes,
            groups: self.groups(),
            timeout,
            broker: pid.map(Process::new),
            progress,
        };
        Crew::new(&settings, self.arguments.threads)
    }

    pub(super) fn publisher(&self, number: u32) -> Client {
        if self.arguments.scenario == Scenario::Wild {
            return self.drawing_publisher(number);
        }
        let Arguments { version, qos, payload, window, .. } = *self.arguments;
        let frame = PublishFrame::new(version, &self.topic(Some(number)), qos, payload);
        Client {
            client_identifier: self.client_identifier('p', number),
            role: Role::Publisher(Publisher::new(number, frame, qos, window)),
            subscription: None,
        }
    }

    pub(super) fn subscriber(&self, number: u32) -> Client {
        match self.arguments.scenario {
            Scenario::Wild => return self.wildcard_subscriber(number),
            Scenario::Shared => return self.group_member(number),
            _ => {}
        }
        let paired = self.is_paired();
        let heard =
            if paired { Subscriber::new(number, 1) } else { Subscriber::new(0, self.arguments.publishers) };
        let filter = self.topic(paired.then_some(number));
        Client {
            client_identifier: self.client_identifier('s', number),
            role: Role::Subscriber(heard),
            subscription: Some(Subscription::one(&filter, self.arguments.qos)),
        }
    }

    /// Hears the flood, or all without one, and reads slowly or nothing.
    pub(super) fn deaf(&self, number: u32) -> Client {
        let filter = if self.arguments.flood > 0 { self.flood_topic() } else { self.topic(None) };
        Client {
            client_identifier: self.client_identifier('d', number),
            role: Role::Deaf(Deaf::new(self.arguments.read_rate)),
            subscription: Some(Subscription::one(&filter, self.arguments.qos)),
        }
    }

    /// Publishes as much as its socket takes.
    pub(super) fn flooder(&self, number: u32) -> Client {
        let Arguments { version, payload, .. } = *self.arguments;
        let frame = PublishFrame::new(version, &self.flood_topic(), 0, payload);
        Client {
            client_identifier: self.client_identifier('f', number),
            role: Role::Flooder(Flooder::new(number, frame)),
            subscription: None,
        }
    }

    /// The topic name of all flooders, which the pairs do not hear.
    pub(super) fn flood_topic(&self) -> String {
        format!("{}/flood/all", self.base())
    }

    pub(super) fn idle(&self, number: u32) -> Client {
        let filter = || Subscription::one(&self.idle_topic(number), self.arguments.qos);
        Client {
            client_identifier: self.client_identifier('i', number),
            role: Role::Idle,
            subscription: self.arguments.subscribe.then(filter),
        }
    }

    /// Hears what it publishes.
    pub(super) fn churner(&self, number: u32) -> Client {
        let Arguments { version, qos, payload, .. } = *self.arguments;
        let topic = format!("{}/{number}", self.topic(None));
        let frame = PublishFrame::new(version, &topic, qos, payload);
        let publisher = Publisher::new(number, frame, qos, 1);
        Client {
            client_identifier: self.client_identifier('c', number),
            role: Role::Churner(Churner::new(publisher, Subscriber::new(number, 1))),
            subscription: Some(Subscription::one(&topic, qos)),
        }
    }

    /// The topic name and filter of a client that is merely connected.
    pub(super) fn idle_topic(&self, number: u32) -> String {
        format!("{}/{number}", self.topic(None))
    }

    pub(super) fn is_paired(&self) -> bool {
        matches!(self.arguments.scenario, Scenario::Pairs | Scenario::Paced | Scenario::Slow)
    }

    /// The topic name of a publisher, or, without a number, the topic filter that hears them all.
    pub(super) fn topic(&self, number: Option<u32>) -> String {
        let base = self.base();
        if !self.arguments.topic_per_publisher && !self.is_paired() {
            return base;
        }
        number.map_or_else(|| format!("{base}/+"), |number| format!("{base}/{number}"))
    }

    /// What all topic names of the run start with.
    pub(super) fn base(&self) -> String {
        format!("bench/{:x}/{}", self.run, self.arguments.scenario.name())
    }

    /// 20 characters, which every broker has to admit (up to 23 [MQTT-3.1.3-5]).
    pub(super) fn client_identifier(&self, kind: char, number: u32) -> String {
        format!("bench{:08x}{kind}{number:06}", self.run)
    }
}
