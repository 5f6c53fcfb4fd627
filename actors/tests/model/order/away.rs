//! What happens to sessions whose clients are away: they come back, or it is too late.

use tokio::time::Instant;

use super::client::Session;
use super::world::World;

impl World<'_> {
    /// What CONNACK has to say to a client; none if nobody knows.
    pub(super) fn session_present(&self, client: usize, clean_start: bool) -> Option<bool> {
        let Some(session) = &self.clients[client].session else { return Some(false) };
        match clean_start {
            true => Some(false),
            false if session.may_be_away_for(session.expiry) => None,
            false => Some(true),
        }
    }

    /// The session of a client ends, at this moment or since the client is away. Its will, if it waited, is published.
    pub(super) fn end_session(&mut self, client: usize, at_once: bool) {
        let Some(session) = self.clients[client].session.take() else { return };
        let (Some(will), Some((_, left))) = (session.will, session.left) else { return };
        let is_due = session.may_be_away_for(self.wills[will].delay.min(session.expiry));
        let sent = if at_once && !is_due { self.history.moment() } else { left };
        self.publish_will(client, will, sent, true);
    }

    /// A client is back in its session. Its will is not published, unless it was by now.
    pub(super) fn come_back(&mut self, client: usize, expiry: u32) {
        let Some(session) = &mut self.clients[client].session else { return };
        let due = session.will.filter(|will| session.may_be_away_for(self.wills[*will].delay));
        let left = session.left.take();
        session.noticed = None;
        (session.expiry, session.will) = (expiry, None);
        if let (Some(will), Some((_, left))) = (due, left) {
            self.publish_will(client, will, left, false);
        }
    }

    /// The answer to a CONNECT of which nobody knew whether the session was still there.
    pub(super) fn learn_session(&mut self, client: usize, present: bool, expiry: u32) {
        let number = self.number();
        match present {
            true => self.come_back(client, expiry),
            false => {
                self.end_session(client, false);
                self.clients[client].session = Some(Session::new(number, expiry));
            }
        }
    }

    /// At rest, what was due for long has happened.
    pub(super) fn settle_away(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].link.is_some() {
                continue;
            }
            let Some(session) = &mut self.clients[client].session else { continue };
            session.noticed.get_or_insert_with(Instant::now);
            if session.is_away_for(session.expiry) {
                self.end_session(client, false);
                continue;
            }
            let due = session.will.filter(|will| session.is_away_for(self.wills[*will].delay));
            if let (Some(will), Some((_, left))) = (due, session.left) {
                session.will = None;
                self.publish_will(client, will, left, true);
            }
        }
    }

    /// Whether nobody knows of some session or will of a client that is away whether its time has come.
    pub(super) fn is_anything_due(&self) -> bool {
        let away = self.clients.iter().filter(|client| client.link.is_none());
        away.filter_map(|client| client.session.as_ref()).any(|session| {
            let will = session.will.map(|will| self.wills[will].delay);
            session.may_be_away_for(session.expiry)
                || will.is_some_and(|delay| session.may_be_away_for(delay))
        })
    }
}
