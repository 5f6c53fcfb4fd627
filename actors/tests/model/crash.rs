//! The process is killed, at any moment, and another one goes on with what was kept of it.
//!
//! What a client was told of stands: its session with its subscriptions, and the will of who was online, ten seconds later
//! at the earliest. Of what it was not told of the last of it may be missing: the session then is what it was before
//! ([`World::remember`]), at any of those moments.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Session, Variant, Will};
use super::world::{MARGIN, World};

type Verdict = Result<(), String>;

/// What is noted is kept within this, as long as the disk works.
pub(crate) const KEPT_WITHIN: Duration = Duration::from_millis(300);
/// How long wills wait at least, since those who were online were cut off and are not gone.
const WILL_GRACE: u32 = 10;
/// Steps until the power fails, at most.
const STEPS_MAX: usize = 60;
/// Questions for sessions that are not answered, at most.
const UNREADABLE_MAX: usize = 6;

/// What there was of a client's session until it changed, if anything.
#[derive(Debug)]
pub(crate) struct Earlier {
    until: Instant,
    session: Option<Session>,
}

impl Earlier {
    pub(crate) fn new(until: Instant, session: &Session) -> Self {
        Self { until, session: Some(session.clone()) }
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

impl World<'_> {
    /// Something changes of a client's session: until that is kept for sure, a crash may bring back what there was.
    pub(crate) fn remember(&mut self, index: usize) {
        if self.node.disk().is_none() {
            return;
        }
        let session = self.as_kept(index);
        self.clients[index].earlier.push(Earlier { until: Instant::now(), session });
    }

    /// What outlives the process of a client's session as it is now.
    fn as_kept(&self, index: usize) -> Option<Session> {
        let client = &self.clients[index];
        let session = client.session.as_ref().filter(|session| session.expiry > 0)?;
        let mut kept = session.clone();
        if let Some(link) = &client.link {
            kept.offline = None;
            kept.will.clone_from(&link.will);
            kept.doubtful = false;
        }
        Some(kept)
    }

    /// The node is at rest, and its disk works: all is kept that did not happen just now.
    pub(crate) fn forget_what_is_kept(&mut self) {
        let now = Instant::now();
        for client in &mut self.clients {
            client.earlier.retain(|earlier| earlier.until + KEPT_WITHIN > now);
        }
    }

    // === what befalls the node ===

    /// Draws whether the power is going to fail, and whether the disk stands still until the round ends.
    pub(crate) fn threaten(&mut self) {
        let Some(disk) = self.node.disk().cloned() else { return };
        if self.random.percent(12) {
            disk.fail_after(Some(self.random.below(STEPS_MAX) as u64));
        }
        if self.random.percent(8) {
            self.trace(|| "the disk stands still".into());
            disk.stall();
        }
    }

    /// The disk goes on, if it stood still and the power lasts; or the process is killed in the middle of things.
    pub(crate) async fn end_of_threat(&mut self) {
        let Some(disk) = self.node.disk().cloned() else { return };
        if self.random.percent(4) {
            for _ in 0..self.random.below(30) {
                self.node.step().await;
            }
            disk.fail();
        }
        disk.go_on();
    }

    /// Whether the process is about to be killed.
    pub(crate) fn is_off(&self) -> bool {
        self.node.is_off()
    }

    /// The process is killed, and another one started.
    pub(crate) async fn crash(&mut self) -> Verdict {
        let Some(disk) = self.node.disk().cloned() else { return Ok(()) };
        disk.fail();
        let at = disk.failed_at().unwrap_or_else(Instant::now);
        self.trace(|| format!("killed {:?} ago", at.elapsed()));
        if self.due(None).into_iter().all(|due| due > at + MARGIN) {
            self.settle_retained();
            self.take_in_the_last()?;
        }
        self.doubt_messages(at);
        let mut candidates: Vec<_> = (0..self.clients.len()).map(|client| self.cut_off(client, at)).collect();
        self.ghosts.clear();

        let downtime = self.random.pick(&[0, 0, 1, 1, 20]) * (1 + self.random.below(1000) as u64);
        let downtime = Duration::from_millis(downtime);
        let workers = 1 + self.random.below(3);
        let unreadable = if self.random.percent(20) { self.random.below(1 + UNREADABLE_MAX) } else { 0 };
        disk.be_unreadable(unreadable as u32);
        let from = Instant::now() + downtime;
        self.node.kill_and_restart(downtime, workers).await;
        while !self.node.is_restored() {
            self.node.pass(Duration::from_secs(1)).await;
        }
        let to = Instant::now();
        self.trace(|| format!("another node after {downtime:?}, with {workers} workers"));
        for (client, candidates) in candidates.drain(..).enumerate() {
            let session = self.merge(candidates, (from, to));
            self.trace(|| format!("{} may have {session:?}", self.clients[client].name));
            self.clients[client].session = session;
        }
        self.wait_for_doubtful_wills().await;
        let (first, now) = (self.instances.len(), Instant::now());
        self.sessions_after(now);
        // When these wills were published in between is not known.
        self.instances[first..].iter_mut().for_each(|instance| instance.at.1 = now);
        Ok(())
    }

    /// Some clients still get what was on its way to them, unless something was due by itself, of which nobody knows whether
    /// it came to that.
    fn take_in_the_last(&mut self) -> Verdict {
        for client in 0..self.clients.len() {
            let takes = self.random.percent(50);
            let Some(link) = self.clients[client].link.as_mut().filter(|link| takes && link.reads) else {
                continue;
            };
            let packets = link.wire.receive().map_err(|wrong| format!("client {client}: {wrong}"))?;
            for packet in packets {
                self.take(client, packet)?;
            }
        }
        Ok(())
    }

    /// A client's network connection is cut off, if it has one. Answers with what its session may be now, from the earliest
    /// on.
    fn cut_off(&mut self, index: usize, at: Instant) -> Vec<Option<Session>> {
        let earlier = std::mem::take(&mut self.clients[index].earlier);
        let mut all: Vec<_> = earlier.into_iter().map(|earlier| earlier.session).collect();
        let now = self.as_kept(index);
        all.push(now.clone());
        let client = &self.clients[index];
        let is_unanswered = client.link.as_ref().is_some_and(|link| !link.connected);
        if let Some(session) = client.session.as_ref().filter(|session| is_unanswered && session.doubtful)
            && now.is_some()
        {
            // Where there was none, one began.
            let will = now.as_ref().and_then(|now| now.will.clone());
            all.push(Some(Session { will, ..Session::new(session.number, session.expiry) }));
        }
        // What was due just before may have happened.
        let silent = self.clients[index]
            .link
            .as_ref()
            .filter(|link| link.keep_alive > 0)
            .map(|link| link.last_sent + Duration::from_millis(u64::from(link.keep_alive) * 1500));
        let is_close = |moment: Instant| moment < at + MARGIN;
        if let Some(mut session) = now {
            if let Some(silent) = silent.filter(|silent| is_close(*silent)) {
                session.offline = Some((silent, at.max(silent)));
                all.push(Some(session.clone()));
            }
            if let Some((from, _)) = session.offline {
                let due = session.will.as_ref().map(|will| from + seconds(will.delay.min(session.expiry)));
                if due.is_some_and(is_close) {
                    session.will = None;
                    all.push(Some(session.clone()));
                }
                if is_close(from + seconds(session.expiry)) {
                    all.push(None);
                }
            }
        }
        let client = &mut self.clients[index];
        (client.connected_in, client.said_goodbye) = (0, 0);
        client.link = None;
        all
    }

    /// What is known of a session that is one of these. Who was online is offline since `cut`.
    fn merge(&mut self, candidates: Vec<Option<Session>>, cut: (Instant, Instant)) -> Option<Session> {
        let is_any_none = candidates.iter().any(Option::is_none);
        let mut all: Vec<Session> = candidates.into_iter().flatten().collect();
        for session in &mut all {
            match &mut session.offline {
                // That it was cut off before may not be noted.
                Some((from, to)) if session.was_cut_off => *to = cut.1 + (*to - *from),
                Some(_) => {}
                None => {
                    session.offline = Some(cut);
                    session.was_cut_off = true;
                }
            }
            for will in session.will.iter_mut().chain(&mut session.doubtful_wills) {
                will.delay = will.delay.max(WILL_GRACE);
            }
        }
        let mut merged = all.last()?.clone();
        let offline = |session: &Session| session.offline.unwrap_or(cut);
        let expiry = all.iter().map(|session| session.expiry).min()?;
        let from = all.iter().map(|session| offline(session).0).min()?;
        let mut to = all.iter().map(|session| offline(session).1 + seconds(session.expiry - expiry)).max()?;
        let wills: Vec<&Will> = all.iter().filter_map(|session| session.will.as_ref()).collect();
        let delay = wills.iter().map(|will| will.delay).min().unwrap_or(0);
        let is_one = wills.windows(2).all(|pair| pair[0].message.payload == pair[1].message.payload);
        let is_sure = is_one && wills.len() == all.len() && !is_any_none;
        for session in all.iter().filter(|session| session.will.is_some()) {
            let will = session.will.as_ref()?;
            to = to.max(offline(session).1 + seconds(will.delay - delay));
        }
        let wills = wills.into_iter().cloned().map(|will| Will { delay, ..will });
        let mut wills: Vec<Will> = wills.chain(all.iter().flat_map(|it| it.doubtful_wills.clone())).collect();
        wills.dedup_by(|one, other| one.message.payload == other.message.payload);
        merged.will = if is_sure { wills.pop() } else { None };
        merged.doubtful_wills = if is_sure { Vec::new() } else { wills };
        merged.doubtful = is_any_none || all.iter().any(|session| session.doubtful);
        (merged.expiry, merged.offline) = (expiry, Some((from, to)));
        merged.was_cut_off = all.iter().any(|session| session.was_cut_off);
        merged.changed = self.round;
        self.merge_subscriptions(&all, &mut merged);
        self.merge_messages(&all, &mut merged);
        Some(merged)
    }

    fn merge_subscriptions(&self, all: &[Session], merged: &mut Session) {
        for membership in all.iter().flat_map(|session| &session.memberships) {
            if !merged.memberships.contains(membership) {
                merged.memberships.push(*membership);
            }
        }
        let filters: Vec<&'static str> =
            all.iter().flat_map(|session| session.subscriptions.keys().copied()).collect();
        merged.subscriptions.clear();
        for filter in filters {
            let mut wanted = Vec::new();
            for session in all {
                let variants = session.subscriptions.get(filter);
                match variants {
                    Some(variants) => wanted.extend(variants.iter().map(|variant| variant.wanted)),
                    None => wanted.push(None),
                }
            }
            let mut variants: Vec<Variant> = Vec::new();
            for wanted in wanted {
                if variants.iter().all(|variant| variant.wanted != wanted) {
                    variants.push(Variant { wanted, asked: None, round: self.round });
                }
            }
            if variants.len() > 1 {
                // Asked for by nobody who hears an answer.
                variants.iter_mut().for_each(|variant| variant.asked = Some((0, 0)));
            }
            merged.subscriptions.insert(filter, variants);
        }
        merged.subscriptions.retain(|_, variants| !matches!(&variants[..], [only] if only.wanted.is_none()));
    }

    /// What may be published, and when is not known well: nobody does anything until it is over.
    async fn wait_for_doubtful_wills(&mut self) {
        let (now, mut last) = (Instant::now(), Instant::now());
        for session in self.clients.iter().filter_map(|client| client.session.as_ref()) {
            let Some((from, to)) = session.offline else { continue };
            let is_vague = session.doubtful || to > from + MARGIN;
            let vague = session.will.iter().filter(|_| is_vague).chain(&session.doubtful_wills);
            for will in vague {
                last = last.max(to + seconds(will.delay.min(session.expiry)) + 2 * MARGIN);
            }
        }
        self.trace(|| format!("wills that are in doubt: {:?} pass", last - now));
        self.node.pass(last - now).await;
    }
}
