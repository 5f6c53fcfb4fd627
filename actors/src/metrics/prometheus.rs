//! The figures in Prometheus' text format. Names read `micro_mq_<area>_<thing>_<unit>`; labels come from small fixed
//! sets, never from clients.

use std::fmt::{self, Display, Write};

use auth_actor::QuestionKind;

use super::snapshot::{LedgerTotals, Snapshot};
use crate::stats::quantile;

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP micro_mq_{name} {help}"));
        self.line(format_args!("# TYPE micro_mq_{name} {kind}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes everything");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(format_args!("micro_mq_{name} {value}"));
    }

    fn labelled<L: Display, V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            self.line(format_args!("micro_mq_{name}{{{label}=\"{of}\"}} {value}"));
        }
    }
}

/// See the module.
pub(super) fn render(seen: &Snapshot) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.single("uptime_seconds", "gauge", "Since the node started.", seen.uptime.as_secs());
    page.single("connections", "gauge", "Network connections open.", seen.connections);
    page.single("sessions", "gauge", "Sessions, online and offline.", seen.sessions.sessions);
    page.single(
        "sessions_online",
        "gauge",
        "Sessions that a network connection holds.",
        seen.sessions.online,
    );
    page.single("subscriptions", "gauge", "Subscriptions of all sessions.", seen.sessions.subscriptions);
    page.single(
        "shared_subscriptions",
        "gauge",
        "Shared subscriptions of all sessions.",
        seen.sessions.shared_subscriptions,
    );
    page.single(
        "subscription_bytes",
        "gauge",
        "Bytes of the subscriptions of all sessions, as limits count them.",
        seen.sessions.subscription_bytes,
    );
    page.single("retained_messages", "gauge", "Retained messages kept.", seen.retained.messages);
    page.single("retained_bytes", "gauge", "Bytes of the retained messages kept.", seen.retained.bytes);
    page.single(
        "messages_between_workers",
        "gauge",
        "Messages on their way between workers.",
        seen.between_workers,
    );
    ledger(&mut page, seen);
    for (name, count) in &seen.counters {
        page.single(&format!("{name}_total"), "counter", &name.replace('_', " "), count);
    }
    page.labelled(
        ("connections_ended_total", "counter", "Network connections that ended, by reason code."),
        "reason_code",
        seen.ends.iter().map(|(code, count)| (format!("0x{code:02x}"), count)),
    );
    page.labelled(
        (
            "websocket_refused_total",
            "counter",
            "WebSockets refused or closed for what their client did wrong, by reason.",
        ),
        "reason",
        seen.websocket_refusals.iter().map(|(refusal, count)| (refusal.label(), count)),
    );
    auth(&mut page, seen);
    actors(&mut page, seen);
    page.0
}

fn auth(page: &mut Page, seen: &Snapshot) {
    let (waiting, bytes) = (seen.auth_waiting, seen.auth_waiting_bytes);
    page.single("auth_questions_waiting", "gauge", "Questions to auth.provider that wait.", waiting);
    page.single("auth_questions_waiting_bytes", "gauge", "Bytes of those questions.", bytes);
    for (kind, name, help) in [
        (QuestionKind::Login, "auth_logins_total", "User names and passwords judged, by outcome."),
        (
            QuestionKind::ExchangeStep,
            "auth_exchange_steps_total",
            "Steps of enhanced authentications, by outcome.",
        ),
        (
            QuestionKind::Permission,
            "auth_permissions_total",
            "Topic names and topic filters judged, by outcome.",
        ),
    ] {
        let of = seen.auth_outcomes.iter().filter(|(other, ..)| *other == kind);
        let of = of.map(|(_, outcome, count)| (outcome.label(), count));
        page.labelled((name, "counter", help), "outcome", of);
    }
}

fn ledger(page: &mut Page, seen: &Snapshot) {
    let ledger = &seen.ledger;
    page.single("messages_published_total", "counter", "Publishes routed.", ledger.published);
    page.single(
        "messages_unmatched_total",
        "counter",
        "Publishes that matched no subscription.",
        ledger.unmatched,
    );
    page.single(
        "messages_matched_total",
        "counter",
        "Matches: delivered + queued + dropped account for each of them, and for each restored.",
        ledger.matched,
    );
    page.single(
        "messages_restored_total",
        "counter",
        "Messages that came back with their sessions when the node started.",
        ledger.restored,
    );
    page.single(
        "messages_delivered_total",
        "counter",
        "QoS 0 written to the socket, QoS 1 and 2 acknowledged.",
        ledger.delivered,
    );
    page.single("messages_queued", "gauge", "Messages that wait, those in flight included.", ledger.queued);
    page.single(
        "messages_queued_bytes",
        "gauge",
        "Bytes of messages that wait, those in flight to durable sessions included, and of wills.",
        seen.kept_bytes,
    );
    page.labelled(
        ("messages_dropped_total", "counter", "Matches that were dropped, by reason."),
        "reason",
        ledger.dropped.iter().map(|(reason, count)| (reason.label(), count)),
    );
    own_ledger(page, &seen.own_ledger);
    page.single("publishes_sent_total", "counter", "PUBLISH packets put into outboxes.", seen.publishes_sent);
    page.single("publish_bytes_sent_total", "counter", "Bytes of their payloads.", seen.publish_bytes_sent);
}

/// The node's own messages, which the figures above do not count.
fn own_ledger(page: &mut Page, own: &LedgerTotals) {
    let counts = [
        ("published", own.published),
        ("unmatched", own.unmatched),
        ("matched", own.matched),
        ("delivered", own.delivered),
        ("dropped", own.dropped_total()),
    ];
    page.labelled(
        ("own_messages_total", "counter", "The node's own messages, $SYS, by what became of them."),
        "fate",
        counts,
    );
    page.single("own_messages_queued", "gauge", "The node's own messages that wait.", own.queued);
}

fn actors(page: &mut Page, seen: &Snapshot) {
    let by_kind = || seen.actors.iter().map(|(kind, figures)| (kind.label(), figures));
    page.labelled(
        ("actors_live", "gauge", "Actors alive, by kind."),
        "kind",
        by_kind().map(|(kind, figures)| (kind, figures.live)),
    );
    page.labelled(
        ("actor_messages_queued", "gauge", "Messages sent to actors and not handled, by kind."),
        "kind",
        by_kind().map(|(kind, figures)| (kind, figures.queued())),
    );
    page.labelled(
        ("actor_messages_handled_total", "counter", "Messages handled by actors, by kind."),
        "kind",
        by_kind().map(|(kind, figures)| (kind, figures.handled)),
    );
    page.labelled(
        ("actor_restarts_total", "counter", "Actors started anew after a panic, by kind."),
        "kind",
        by_kind().map(|(kind, figures)| (kind, figures.restarts)),
    );
    for (name, help, waiting) in [
        ("actor_message_waiting_seconds", "From sending to handling, sampled.", true),
        ("actor_message_handling_seconds", "Time of handling, sampled.", false),
    ] {
        page.head(name, "summary", help);
        for (kind, figures) in by_kind() {
            let counts = if waiting { &figures.waiting } else { &figures.handling };
            for q in [0.5, 0.99] {
                if let Some(duration) = quantile(counts, q) {
                    page.line(format_args!(
                        "micro_mq_{name}{{kind=\"{kind}\",quantile=\"{q}\"}} {}",
                        duration.as_secs_f64()
                    ));
                }
            }
            let samples: u64 = counts.iter().sum();
            page.line(format_args!("micro_mq_{name}_count{{kind=\"{kind}\"}} {samples}"));
        }
    }
}
