//! The backend that keeps sessions for as long as the process runs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use micro_mq_core::changes::{Change, Position, SessionChange};

use super::backend::{Answer, Home, Piece, SessionBackend, StoreError, StoredSession};

/// Sessions that are looked at for one piece.
const PIECE_SESSIONS: usize = 256;

/// Lost when the process ends.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    sessions: BTreeMap<Arc<str>, StoredSession>,
    position: Position,
}

impl MemoryBackend {
    /// Applies changes in their order.
    pub fn apply(&mut self, changes: &[SessionChange]) -> Position {
        for SessionChange { client_identifier, change } in changes {
            if *change == Change::Ended {
                self.sessions.remove(client_identifier);
                continue;
            }
            let session = self.sessions.entry(Arc::clone(client_identifier)).or_default();
            match change {
                Change::Exists { expiry_interval } => session.expiry_interval = *expiry_interval,
                Change::Subscribed(filter, subscription) => {
                    session.subscriptions.insert(Arc::clone(filter), *subscription);
                }
                Change::Unsubscribed(filter) => {
                    session.subscriptions.remove(filter);
                }
                Change::Ended => {}
            }
        }
        self.position.0 += 1;
        self.position
    }

    /// All sessions, by client identifier.
    pub fn sessions(&self) -> &BTreeMap<Arc<str>, StoredSession> {
        &self.sessions
    }
}

impl SessionBackend for MemoryBackend {
    fn append(&mut self, changes: Arc<[SessionChange]>, answer: Answer) {
        answer.kept(self.apply(&changes));
    }

    fn load(&mut self, home: Home, after: Option<&str>) -> Result<Piece, StoreError> {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut looked_at = self.sessions.range::<str, _>(behind);
        let mut piece = Piece::default();
        for (client_identifier, session) in looked_at.by_ref().take(PIECE_SESSIONS) {
            piece.rest = Some(Arc::clone(client_identifier));
            if home.is_of(client_identifier) {
                piece.sessions.push((Arc::clone(client_identifier), session.clone()));
            }
        }
        if looked_at.next().is_none() {
            piece.rest = None;
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_mq_core::homes::Homes;
    use micro_mq_core::subscriptions::Subscription;
    use mqtt_codec::SubscriptionOptions;

    fn home(worker: u16, workers: usize) -> Home {
        Home { worker, homes: Homes::new(&[3; 16], workers) }
    }

    fn change(client: &str, change: Change) -> SessionChange {
        SessionChange { client_identifier: client.into(), change }
    }

    fn loaded(backend: &mut MemoryBackend, home: Home) -> (usize, Vec<(Arc<str>, StoredSession)>) {
        let (mut pieces, mut all, mut after) = (0, Vec::new(), None);
        loop {
            let piece = backend.load(home.clone(), after.as_deref()).unwrap();
            pieces += 1;
            all.extend(piece.sessions);
            after = piece.rest;
            if after.is_none() {
                return (pieces, all);
            }
        }
    }

    #[test]
    fn gives_back_what_was_appended() {
        let mut backend = MemoryBackend::default();
        let subscription =
            Subscription { options: SubscriptionOptions::from_bits(1).unwrap(), identifier: 7 };
        let first = backend.apply(&[
            change("a", Change::Exists { expiry_interval: 60 }),
            change("a", Change::Subscribed("t/1".into(), subscription)),
            change("a", Change::Subscribed("t/2".into(), subscription)),
            change("b", Change::Exists { expiry_interval: 5 }),
        ]);
        let second =
            backend.apply(&[change("a", Change::Unsubscribed("t/1".into())), change("b", Change::Ended)]);
        assert!(first < second);
        let (_, all) = loaded(&mut backend, home(0, 1));
        assert_eq!(all.len(), 1);
        assert_eq!(&*all[0].0, "a");
        assert_eq!(all[0].1.expiry_interval, 60);
        assert_eq!(all[0].1.subscriptions.keys().map(|filter| &**filter).collect::<Vec<_>>(), ["t/2"]);
    }

    /// Each home gets its own, in pieces, and nobody's twice.
    #[test]
    fn each_home_loads_its_own_in_pieces() {
        let mut backend = MemoryBackend::default();
        let name = |number| format!("client-{number}");
        let exist: Vec<_> =
            (0..1000).map(|number| change(&name(number), Change::Exists { expiry_interval: 1 })).collect();
        backend.apply(&exist);
        let mut found = Vec::new();
        for worker in 0..3 {
            let (pieces, all) = loaded(&mut backend, home(worker, 3));
            assert_eq!(pieces, 4);
            found.extend(all.into_iter().map(|(client_identifier, _)| client_identifier.to_string()));
        }
        let mut expected: Vec<_> = (0..1000).map(name).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(loaded(&mut MemoryBackend::default(), home(0, 1)).0, 1);
    }
}
