//! The verdict on a run, as JSON and in words.

use std::fmt;

use serde::Serialize;

use super::judge::{Counts, Faults};

/// A kill, and what the broker had to remember.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Kill {
    /// Seconds since the start.
    pub at: f64,
    /// Clients that were connected.
    pub connected: usize,
    /// QoS 1 publishes without PUBACK.
    pub qos1_in_flight: usize,
    /// QoS 2 publishes without PUBREC.
    pub qos2_in_flight: usize,
    /// QoS 2 publishes with PUBREC and without PUBCOMP.
    pub qos2_released: usize,
    /// Acknowledged messages that had not reached all to whom they are promised; each counts for each of these.
    pub outstanding: u64,
    /// Milliseconds from the start after the kill to the first CONNACK.
    pub ready_ms: Option<f64>,
    /// And until all were connected that wanted to be.
    pub all_back_ms: Option<f64>,
}

/// A broken promise, with what is known about it.
#[derive(Debug, Serialize)]
pub(crate) struct Broken {
    pub fault: super::judge::Fault,
    pub sentence: String,
    /// What happened to the message and the client.
    pub history: Vec<String>,
}

/// See the module.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Every promise was kept.
    pub clean: bool,
    pub seed: u64,
    /// Length of the load in seconds.
    pub seconds: f64,
    /// Time until all was delivered behind it.
    pub drain_seconds: f64,
    pub clients: usize,
    pub counts: Counts,
    pub faults: Faults,
    pub kills: Vec<Kill>,
    pub broken: Vec<Broken>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, seconds, drain_seconds, clients, counts, faults, kills, broken, .. } = self;
        writeln!(out, "{} kills in {seconds:.1} s, seed {seed}, {clients} clients", kills.len())?;
        let Counts { published, published_again, acknowledged, abandoned, .. } = counts;
        let rate = *acknowledged as f64 / seconds.max(f64::EPSILON);
        writeln!(
            out,
            "published    {published}, {acknowledged} acknowledged ({rate:.0} in a second), {published_again} sent \
             again, {abandoned} given up"
        )?;
        let Counts { delivered, duplicates, unclaimed, .. } = counts;
        writeln!(
            out,
            "delivered    {delivered} to durable sessions, and {duplicates} duplicates of qos 1 as they may be; \
             {unclaimed} to others; the last {drain_seconds:.1} s after the load"
        )?;
        let Counts { connects, resumed, expired, subscribed, unsubscribed, .. } = counts;
        writeln!(
            out,
            "sessions     {connects} connections, {resumed} resumed one, {expired} ended as they were to; \
             {subscribed} SUBACK, {unsubscribed} UNSUBACK"
        )?;
        let Counts { retained_seen, wills_due, wills_heard, .. } = counts;
        writeln!(
            out,
            "retained     {retained_seen} looked at\nwills        {wills_due} due, {wills_heard} heard"
        )?;
        write_kills(out, kills)?;
        let Faults { lost, twice, repeated, out_of_order, session, subscription, retained, will, conduct } =
            faults;
        writeln!(
            out,
            "broken       {lost} lost, {twice} twice with qos 2, {repeated} twice on one connection, {out_of_order} \
             out of order, {session} sessions, {subscription} subscriptions, {retained} retained, {will} wills, \
             {conduct} other"
        )?;
        for Broken { sentence, history, .. } in broken {
            writeln!(out, "\n{sentence}")?;
            history.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        if self.clean {
            writeln!(out, "every promise was kept")?;
        }
        Ok(())
    }
}

fn write_kills(out: &mut fmt::Formatter<'_>, kills: &[Kill]) -> fmt::Result {
    for (number, kill) in kills.iter().enumerate() {
        let Kill { at, connected, qos1_in_flight, qos2_in_flight, qos2_released, outstanding, .. } = kill;
        let time = |time: Option<f64>| time.map_or("the next kill".into(), |ms| format!("{ms:.0} ms"));
        writeln!(
            out,
            "kill {:<7} at {at:.1} s: {connected} connected, in flight {qos1_in_flight} of qos 1, {qos2_in_flight} + \
             {qos2_released} of qos 2, {outstanding} to be delivered; ready after {}, all back after {}",
            number + 1,
            time(kill.ready_ms),
            time(kill.all_back_ms)
        )?;
    }
    Ok(())
}
