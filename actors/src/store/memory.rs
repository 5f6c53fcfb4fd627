//! The backend that keeps sessions in memory, for nodes that follow one another in one process.

use std::sync::Arc;

use micro_mq_core::homes::Homes;
use micro_mq_core::kept_shard::{KeptParts, KeptShard, KeptShards, behind_client, client_of};
use micro_mq_core::records::Entry;

use super::backend::{Answer, Cursor, Home, Piece, SessionBackend, StoreError};

/// Sessions in one piece.
const PIECE_SESSIONS: usize = 256;

/// Lost when the process ends.
#[derive(Debug)]
pub struct MemoryBackend {
    shards: KeptShards,
}

impl MemoryBackend {
    /// Without sessions; by the key that spreads those of the node over shards.
    pub fn new(homes_key: &[u8; 16]) -> Self {
        Self { shards: KeptShards::new(Homes::new(homes_key, 1)) }
    }

    /// Applies an entry.
    ///
    /// # Panics
    /// When it is not one: it was written by this very process.
    pub fn apply(&mut self, entry: &Entry) {
        self.shards.apply(entry.bytes()).expect("what was written can be read");
        for shard in entry.shards() {
            // There is no checkpoint that asks for them.
            self.shards.get_mut(shard).into_iter().for_each(KeptShard::forget_changes);
        }
    }

    /// All that is kept.
    pub fn shards(&self) -> &KeptShards {
        &self.shards
    }
}

impl SessionBackend for MemoryBackend {
    fn append(&mut self, entry: Arc<Entry>, answer: Answer) {
        self.apply(&entry);
        answer.kept();
    }

    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError> {
        Ok(piece_of(&self.shards, home, after, PIECE_SESSIONS))
    }
}

/// What is kept for a home behind `after`, with at most so many sessions: all else of a shard comes before them.
pub(crate) fn piece_of(
    shards: &KeptShards,
    home: &Home,
    after: Option<&Cursor>,
    sessions_max: usize,
) -> Piece {
    let own = || shards.iter().filter(|(shard, _)| home.is_of(*shard));
    let highest = own().map(|(_, kept)| kept.applied()).max().unwrap_or_default();
    let mut left = own().skip_while(|(shard, _)| after.is_some_and(|after| after.shard > *shard));
    let Some((shard, kept)) = left.next() else { return Piece { highest, ..Piece::default() } };
    let begun = after.filter(|after| after.shard == shard && !after.key.is_empty());
    let mut parts = match begun {
        None => kept.beside_sessions(),
        Some(_) => KeptParts::default(),
    };
    let mut sessions = kept.sessions_behind(begun.and_then(|after| client_of(&after.key)));
    for (client, session) in sessions.by_ref().take(sessions_max) {
        parts.sessions.push((Arc::clone(client), session.clone()));
    }
    let last = parts.sessions.last();
    let rest = match (sessions.next(), last, left.next()) {
        (Some(_), Some((last, _)), _) => Some(Cursor { shard, key: behind_client(last) }),
        (.., Some((next, _))) => Some(Cursor { shard: next, key: Vec::new() }),
        _ => None,
    };
    Piece { shard, kept: parts, highest, rest }
}

#[cfg(test)]
mod tests {
    use micro_mq_core::records::{Connected, Of, Position, Record, Subscribed};
    use mqtt_codec::{ProtocolVersion, QoS};

    use super::*;

    const KEY: [u8; 16] = [3; 16];

    fn home(worker: u16, workers: usize) -> Home {
        Home { worker, homes: Homes::new(&KEY, workers) }
    }

    fn connected(client: &str, expiry_interval: u32) -> Record<'_> {
        let (user_name, version, will) = (Some("user"), ProtocolVersion::V311, None);
        Record::Connected(Connected { client, user_name, version, expiry_interval, begins: true, will })
    }

    fn loaded(backend: &mut MemoryBackend, home: &Home) -> (usize, Vec<String>, Position) {
        let (mut pieces, mut all, mut after) = (0, Vec::new(), None);
        loop {
            let piece = backend.load(home, after.as_ref()).unwrap();
            pieces += 1;
            let sessions = piece.kept.sessions.into_iter();
            assert!(sessions.len() <= PIECE_SESSIONS);
            all.extend(sessions.map(|(client, _)| client.to_string()));
            after = piece.rest;
            if after.is_none() {
                return (pieces, all, piece.highest);
            }
        }
    }

    #[test]
    fn gives_back_what_was_appended() {
        let (mut backend, homes) = (MemoryBackend::new(&KEY), Homes::new(&KEY, 1));
        let mut entry = Entry::at(Position(5));
        let epoch = entry.push(&connected("a", 60), &homes).epoch();
        let of = Of { client: "a", epoch };
        let one =
            |filter| Subscribed { filter, options: QoS::AtLeastOnce.into(), identifier: 7, replays: false };
        entry.push(&Record::Subscribed(of, vec![one("t/1"), one("t/2")]), &homes);
        entry.push(&connected("b", 5), &homes);
        entry.push(&Record::Unsubscribed(of, vec!["t/1"]), &homes);
        entry.push(&Record::Ended("b"), &homes);
        backend.apply(&entry);
        // It may be sent again.
        backend.apply(&entry);
        let first = Cursor { shard: homes.shard_of("a"), key: Vec::new() };
        let piece = backend.load(&home(0, 1), Some(&first)).unwrap();
        assert_eq!((piece.shard, piece.highest), (first.shard, Position(9)));
        let [(client, session)] = &piece.kept.sessions[..] else { panic!("{:?}", piece.kept) };
        assert_eq!((&**client, session.expiry_interval, session.version), ("a", 60, ProtocolVersion::V311));
        assert_eq!(session.user_name.as_deref(), Some("user"));
        assert_eq!(session.subscriptions.keys().map(|filter| &**filter).collect::<Vec<_>>(), ["t/2"]);
        // Nothing is held for sessions that are gone.
        for shard in entry.shards() {
            assert!(backend.shards.get_mut(shard).unwrap().take_changes().is_empty());
        }
    }

    /// Each home gets its own, in pieces, and nobody's twice.
    #[test]
    fn each_home_loads_its_own_in_pieces() {
        let (mut backend, homes) = (MemoryBackend::new(&KEY), Homes::new(&KEY, 1));
        let mut names: Vec<_> = (0..2500).map(|number| format!("client-{number}")).collect();
        let mut entry = Entry::at(Position(1));
        names.iter().for_each(|name| _ = entry.push(&connected(name, 1), &homes));
        backend.apply(&entry);
        let mut found = Vec::new();
        for worker in 0..3 {
            found.extend(loaded(&mut backend, &home(worker, 3)).1);
        }
        found.sort();
        names.sort();
        assert_eq!(found, names);
        assert_eq!(loaded(&mut MemoryBackend::new(&KEY), &home(0, 1)), (1, Vec::new(), Position(0)));
    }
}
