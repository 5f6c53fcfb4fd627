//! `$SYS/broker/...` under mosquitto's names. Pure: figures in, topic names and payloads out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::snapshot::Snapshot;

/// The spans of mosquitto's moving averages.
const SPANS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

/// A quantity whose rate per minute is averaged.
#[derive(Debug, Default)]
struct Load {
    last: u64,
    averages: [f64; SPANS.len()],
}

impl Load {
    fn update(&mut self, value: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let per_minute = value.saturating_sub(self.last) as f64 * 60.0 / seconds;
        self.last = value;
        for (average, (_, span)) in self.averages.iter_mut().zip(SPANS) {
            let weight = (-seconds / span).exp();
            *average = per_minute + weight * (*average - per_minute);
        }
    }
}

/// Knows what was published before, so that only what changed is published again.
#[derive(Debug, Default)]
pub(super) struct SysTopics {
    published: BTreeMap<String, String>,
    loads: BTreeMap<&'static str, Load>,
    clients_maximum: usize,
}

impl SysTopics {
    /// The topics whose values changed.
    pub(super) fn changed(&mut self, seen: &Snapshot, elapsed: Duration) -> Vec<(String, String)> {
        let mut changed = Vec::new();
        for (topic, value) in self.values(seen, elapsed) {
            if self.published.get(&topic) != Some(&value) {
                self.published.insert(topic.clone(), value.clone());
                changed.push((format!("$SYS/broker/{topic}"), value));
            }
        }
        changed
    }

    fn values(&mut self, seen: &Snapshot, elapsed: Duration) -> Vec<(String, String)> {
        self.clients_maximum = self.clients_maximum.max(seen.sessions.online);
        let messages_sent = seen.counter("packets_sent") + seen.publishes_sent;
        let mut values: Vec<(String, String)> = [
            ("version", format!("micro-mq version {}", env!("CARGO_PKG_VERSION"))),
            ("uptime", format!("{} seconds", seen.uptime.as_secs())),
            ("clients/total", seen.sessions.sessions.to_string()),
            ("clients/connected", seen.sessions.online.to_string()),
            ("clients/active", seen.sessions.online.to_string()),
            ("clients/disconnected", (seen.sessions.sessions - seen.sessions.online).to_string()),
            ("clients/inactive", (seen.sessions.sessions - seen.sessions.online).to_string()),
            ("clients/maximum", self.clients_maximum.to_string()),
            ("clients/expired", seen.counter("sessions_expired").to_string()),
            ("messages/received", seen.counter("packets_received").to_string()),
            ("messages/sent", messages_sent.to_string()),
            ("messages/stored", seen.ledger.queued.to_string()),
            ("store/messages/count", (seen.ledger.queued + seen.retained.messages as u64).to_string()),
            ("store/messages/bytes", (seen.kept_bytes + seen.retained.bytes as u64).to_string()),
            ("bytes/received", seen.counter("bytes_received").to_string()),
            ("bytes/sent", seen.counter("bytes_sent").to_string()),
            ("publish/messages/received", seen.counter("publishes_received").to_string()),
            ("publish/messages/sent", seen.publishes_sent.to_string()),
            ("publish/messages/dropped", seen.ledger.dropped_total().to_string()),
            ("publish/bytes/received", seen.counter("publish_bytes_received").to_string()),
            ("publish/bytes/sent", seen.publish_bytes_sent.to_string()),
            ("retained messages/count", seen.retained.messages.to_string()),
            ("subscriptions/count", seen.sessions.subscriptions.to_string()),
            ("shared_subscriptions/count", seen.sessions.shared_subscriptions.to_string()),
        ]
        .map(|(topic, value)| (topic.to_owned(), value))
        .into();
        for (name, value) in [
            ("messages/received", seen.counter("packets_received")),
            ("messages/sent", messages_sent),
            ("publish/received", seen.counter("publishes_received")),
            ("publish/sent", seen.publishes_sent),
            ("publish/dropped", seen.ledger.dropped_total()),
            ("bytes/received", seen.counter("bytes_received")),
            ("bytes/sent", seen.counter("bytes_sent")),
            ("connections", seen.counter("connects_accepted")),
        ] {
            let load = self.loads.entry(name).or_default();
            load.update(value, elapsed);
            for (average, (span, _)) in load.averages.iter().zip(SPANS) {
                values.push((format!("load/{name}/{span}"), format!("{average:.2}")));
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_published_again() {
        let (mut topics, mut seen) = (SysTopics::default(), Snapshot::default());
        let first = topics.changed(&seen, Duration::from_secs(10));
        assert!(first.contains(&("$SYS/broker/clients/connected".into(), "0".into())));
        seen.sessions.online = 3;
        seen.sessions.sessions = 3;
        let mut second = topics.changed(&seen, Duration::from_secs(10));
        second.sort();
        let names: Vec<_> = second.iter().map(|(topic, _)| topic.as_str()).collect();
        assert_eq!(
            names,
            [
                "$SYS/broker/clients/active",
                "$SYS/broker/clients/connected",
                "$SYS/broker/clients/maximum",
                "$SYS/broker/clients/total",
            ]
        );
    }

    #[test]
    fn a_steady_rate_becomes_its_average() {
        let mut load = Load::default();
        for minute in 1..=60 {
            load.update(minute * 600, Duration::from_secs(60));
        }
        assert!(load.averages.iter().all(|average| (average - 600.0).abs() < 20.0), "{:?}", load.averages);
    }
}
