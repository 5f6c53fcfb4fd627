//! What time does: silent clients are sent away, sessions expire, wills become due, each when it should and not before.

use std::time::Duration;

use mqtt_codec::{Packet, ReasonCode};
use tokio::time::Instant;

use super::crash::Earlier;
use super::world::{Ghost, MARGIN, World};

/// No round of actions takes longer.
const ROUND: Duration = Duration::from_secs(3);

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

impl World<'_> {
    pub(crate) async fn pass_some_time(&mut self) -> Result<(), String> {
        let time = Duration::from_millis(match self.random.below(3) {
            0 => 100 + self.random.next() % 900,
            1 => 1000 + self.random.next() % 9000,
            _ => 1000 + self.random.next() % 30_000,
        });
        let is_jump = self.random.percent(60);
        self.pass_time(time, is_jump).await
    }

    /// Lets nothing become due in the middle of a round, where nobody could say what was first.
    pub(crate) async fn wait_for_what_is_due(&mut self) -> Result<(), String> {
        for client in 0..self.clients.len() {
            if self.random.percent(60)
                && let Some(link) = self.clients[client].link.as_mut().filter(|link| link.keep_alive > 0)
            {
                link.send(&Packet::PingReq);
            }
        }
        self.node.settle().await;
        if self.is_off() {
            return Ok(());
        }
        if self.due(None).into_iter().any(|at| at < Instant::now() + ROUND + MARGIN) {
            self.pass_time(Duration::ZERO, false).await?;
            return self.end_round().await;
        }
        Ok(())
    }

    async fn pass_time(&mut self, time: Duration, is_jump: bool) -> Result<(), String> {
        self.trace(|| format!("{time:?} pass, at once: {is_jump}"));
        let mut late = None;
        if is_jump {
            late = Some(Instant::now() + time);
            self.node.jump(time).await;
        } else {
            self.node.pass(time).await;
        }
        // On, until everything that could be due is due for sure.
        while !self.is_off()
            && let Some(at) = self.due(late).into_iter().find(|at| {
                let now = Instant::now();
                *at + MARGIN > now && *at < now + ROUND + MARGIN
            })
        {
            self.node.pass(at + MARGIN + Duration::from_millis(1) - Instant::now()).await;
        }
        if self.is_off() {
            return Ok(());
        }
        let now = Instant::now();
        let mut received = Vec::new();
        for client in 0..self.clients.len() {
            received.push(self.keep_alive_after(client, now, late)?);
        }
        self.sessions_after(now);
        for (client, packets) in received.into_iter().enumerate() {
            for packet in packets {
                self.take(client, packet)?;
            }
        }
        Ok(())
    }

    /// When something is to happen by itself; what was due before `late` happens then.
    pub(crate) fn due(&self, late: Option<Instant>) -> Vec<Instant> {
        let mut due = Vec::new();
        for client in &self.clients {
            let Some(session) = &client.session else { continue };
            let (lost, will) = match &client.link {
                Some(link) if link.keep_alive > 0 => {
                    let silent = link.last_sent + Duration::from_millis(u64::from(link.keep_alive) * 1500);
                    (silent.max(late.unwrap_or(silent)), link.will.as_ref())
                }
                Some(_) => continue,
                None => match session.offline {
                    Some((from, _)) => (from, session.will.as_ref()),
                    None => continue,
                },
            };
            if client.link.is_some() {
                due.push(lost);
            }
            due.push(lost + seconds(session.expiry));
            let wills = will.into_iter().chain(&session.doubtful_wills);
            due.extend(wills.map(|will| lost + seconds(will.delay.min(session.expiry))));
        }
        due.sort();
        due
    }

    /// A client that was silent for too long is sent away, and no other [MQTT-3.1.2-22]. Answers with what the others
    /// received.
    fn keep_alive_after(
        &mut self,
        index: usize,
        now: Instant,
        late: Option<Instant>,
    ) -> Result<Vec<Packet>, String> {
        let client = &mut self.clients[index];
        let Some(link) = client.link.as_mut().filter(|link| link.keep_alive > 0) else {
            return Ok(Vec::new());
        };
        let silent = link.last_sent + Duration::from_millis(u64::from(link.keep_alive) * 1500);
        let lost = silent.max(late.unwrap_or(silent));
        if now < lost {
            return Ok(Vec::new());
        }
        let packets = link.wire.receive().map_err(|wrong| format!("{}: {wrong}", client.name))?;
        let is_told = matches!(
            packets.last(),
            Some(Packet::Disconnect(last)) if last.reason_code == ReasonCode::KeepAliveTimeout
        );
        if !is_told && !link.wire.is_over() {
            return Err(format!("{}: silent since {:?}, and still there", client.name, link.last_sent));
        }
        self.trace(|| format!("{} was silent for too long", self.clients[index].name));
        let wire = self.lose_link(index, true, lost, lost);
        self.ghosts.push(Ghost { wire, since: now });
        Ok(Vec::new())
    }

    /// Wills that are due are published, sessions that have expired end.
    pub(crate) fn sessions_after(&mut self, now: Instant) {
        let (mut wills, mut ended) = (Vec::new(), Vec::new());
        for (index, client) in self.clients.iter_mut().enumerate() {
            let is_online = client.link.is_some();
            let Some(session) = client.session.as_mut().filter(|_| !is_online) else { continue };
            let Some((from, to)) = session.offline else { continue };
            session.doubtful |= now + MARGIN > from + seconds(session.expiry);
            if session.doubtful {
                session.doubt(|_| true);
            }
            client.earlier.push(Earlier::new(now, session));
            if let Some(will) = &session.will {
                let delay = seconds(will.delay.min(session.expiry));
                if now > from + delay {
                    let is_sure = now > to + delay + MARGIN;
                    wills.push((index, session.number, will.clone(), from + delay, is_sure));
                    session.will = None;
                }
            }
            let expiry = session.expiry;
            let due =
                session.doubtful_wills.extract_if(.., |will| now > from + seconds(will.delay.min(expiry)));
            wills.extend(due.map(|will| (index, session.number, will, from, false)));
            if now > to + seconds(session.expiry) + MARGIN {
                ended.push(index);
            }
        }
        for index in ended {
            self.trace(|| format!("the session of {} ended", self.clients[index].name));
            self.end_session(index);
        }
        for (index, session, will, at, is_sure) in wills {
            self.publish_will(index, session, will, at, is_sure);
        }
    }
}
