//! A history that is applied as it happens, and its replay from any checkpoint and any record before it, agree.

use std::collections::BTreeMap;

use mqtt_codec::PacketIdentifier;
use proptest::prelude::*;

use super::history::{Drawn, HOMES, SHARD, draw};
use super::model::{Copy, Model, Session};
use super::store::{Store, commit, load, take_in};
use crate::kept_shard::key::Key;
use crate::kept_shard::{Applied, KeptParts, KeptShard};
use crate::records::{Position, Record};

fn as_model(shard: &KeptShard) -> BTreeMap<String, Session> {
    let number = |identifier: &PacketIdentifier| identifier.get();
    let sessions = shard.sessions().map(|(client, session)| {
        let copies = session.copies.iter().map(|(id, copy)| {
            let sent = copy.sent.map(|sent| (number(&sent.identifier), sent.released));
            let identifiers = copy.identifiers.to_vec();
            (*id, Copy { qos: copy.qos, retain: copy.retain, identifiers, sent })
        });
        let subscriptions = session.subscriptions.iter().map(|(filter, subscription)| {
            (filter.to_string(), (subscription.options, subscription.identifier))
        });
        let as_model = Session {
            epoch: session.epoch,
            online: session.parted.is_none(),
            subscriptions: subscriptions.collect(),
            copies: copies.collect(),
            incoming: session
                .incoming
                .iter()
                .map(|(identifier, received)| (number(identifier), *received))
                .collect(),
            has_will: session.will.is_some(),
        };
        (client.to_string(), as_model)
    });
    sessions.collect()
}

fn check(shard: &KeptShard) {
    assert_eq!(shard.check(), Ok(()));
}

fn agree(shard: &KeptShard, model: &Model) {
    assert_eq!(as_model(shard), model.sessions);
    let groups: BTreeMap<_, Vec<_>> =
        shard.groups().map(|(group, waiting)| (group.to_string(), waiting.collect())).collect();
    assert_eq!(groups, model.groups);
    let retained = shard.retained().map(|(topic, retained)| {
        let (body, ..) = retained.message.as_ref().expect("those that are there");
        (topic.to_string(), body.payload.to_vec())
    });
    let expected =
        model.retained.iter().filter_map(|(topic, (_, payload))| Some((topic.clone(), payload.clone()?)));
    assert_eq!(retained.collect::<BTreeMap<_, _>>(), expected.collect());
    assert_eq!(shard.seen, model.seen);
}

/// Whatever the bytes of a part are: what can be loaded is written as it was.
fn one_way_to_write(store: &Store, which: usize, bit: usize) {
    let Some((key, part)) = store.iter().nth(which % store.len().max(1)) else { return };
    let mut changed = part.clone();
    let place = bit / 8 % part.len();
    changed[place] ^= 1 << (bit % 8);
    let mut parts = store.clone();
    parts.insert(key.clone(), changed.clone());
    let parts = parts.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
    let loaded = KeptParts::read(parts).and_then(|parts| KeptShard::of_parts(SHARD, HOMES.clone(), parts));
    if let Ok(loaded) = loaded {
        assert_eq!(loaded.blob(&Key::decode(key).unwrap()), Some(changed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_what_happened(numbers in proptest::collection::vec(any::<u32>(), 0..700), back in 0..40_usize) {
        let mut drawn = Drawn(numbers.iter());
        let (mut shard, mut model) = (KeptShard::new(SHARD, HOMES.clone()), Model::default());
        let (mut store, mut checkpoints) = (Store::new(), vec![(0, Store::new())]);
        let mut log: Vec<(Position, Vec<u8>)> = Vec::new();
        let (mut matched, mut settled) = (0, 0);
        while drawn.0.len() > 0 {
            // Other shards have records in between.
            let at = Position(log.last().map_or(1, |(at, _)| at.0 + 1 + u64::from(drawn.0.len() % 7 == 0)));
            let Some(record) = draw(&mut drawn, at, &model) else { continue };
            let mut bytes = Vec::new();
            record.encode(at, &mut bytes);
            let applied = shard.apply(at, &Record::decode(&bytes, at).unwrap());
            model.apply(at, &record);
            matched += applied.matched;
            settled += applied.settled();
            log.push((at, bytes));
            prop_assert_eq!((matched, settled), (model.matched, model.settled), "{:?}", record);
            prop_assert_eq!(matched, settled + shard.waiting());
            if drawn.0.len() % 5 == 0 {
                commit(&mut shard, &mut store);
                checkpoints.push((log.len(), store.clone()));
            }
        }
        check(&shard);
        agree(&shard, &model);
        commit(&mut shard, &mut store);
        one_way_to_write(&store, back, numbers.len());
        for (written, mut older) in checkpoints {
            let mut again = load(&older);
            let restored = again.waiting();
            let (mut matched, mut settled) = (0, 0);
            for (number, (at, bytes)) in log.iter().enumerate().skip(written.saturating_sub(back)) {
                let applied = again.apply(*at, &Record::decode(bytes, *at).unwrap());
                prop_assert!(number >= written || applied == Applied::default(), "it is there already");
                matched += applied.matched;
                settled += applied.settled();
            }
            prop_assert_eq!(matched + restored, settled + again.waiting());
            check(&again);
            agree(&again, &model);
            commit(&mut again, &mut older);
            prop_assert_eq!(&older, &store);
        }
        // A checkpoint that is brought forward piece by piece, now and then by what it has already, has the same.
        let (mut stored, mut from) = (Store::new(), 0);
        while from < log.len() {
            let to = (from + 1 + (from * 7 + back) % (back + 5)).min(log.len());
            take_in(&mut stored, &log[from.saturating_sub(back / 4)..to]);
            from = to;
        }
        prop_assert_eq!(&stored, &store);
    }
}
