//! Messages to sessions that outlive the process: what waits for their records, and what a process that is killed leaves to
//! the next one.

use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::kept::Kept;
use crate::completion::Conditions;
use crate::session::Acknowledged;
use crate::testing::{id, publication};

/// A publish is acknowledged when every session that outlives the process has it on the disk, whichever worker that is on; one
/// that only others want waits for nothing.
#[test]
fn who_publishes_waits_for_what_outlives_the_process() {
    for home in [0, 1] {
        let mut kept = Kept::new();
        let name = kept.client_at("client", home);
        let durable = kept.workers.connect_at(home.into(), &name, 60);
        let (clean, publisher) = (kept.workers.connect("clean", 0), kept.workers.connect("publisher", 0));
        kept.subscribe(durable, "a/+", AtLeastOnce);
        kept.subscribe(clean, "#", AtLeastOnce);
        kept.keep(0);
        kept.keep(1);
        kept.publish(publisher, &[publication("b", "for clean ones", AtLeastOnce)]);
        assert_eq!(kept.read(publisher), ["PUBACK 1 0x00"], "home {home}");
        kept.publish(publisher, &[publication("a/b", "x", AtLeastOnce), publication("a/c", "y", AtMostOnce)]);
        assert!(kept.read(publisher).is_empty(), "home {home}");
        assert_eq!(kept.workers.read(durable).len(), 2, "QoS 1 need not wait");
        kept.keep(1 - usize::from(home));
        assert!(kept.read(publisher).is_empty(), "home {home}");
        kept.keep(home.into());
        assert_eq!(kept.read(publisher), ["PUBACK 1 0x00"], "home {home}");
    }
}

/// What was acknowledged to its publisher and not by its subscriber comes after a restart, in order; what both had does not.
#[test]
fn what_waits_comes_back() {
    let mut kept = Kept::new();
    let names = [kept.client_at("client", 0), kept.client_at("client", 1)];
    let publisher = kept.workers.connect("publisher", 0);
    for (at, name) in names.iter().enumerate() {
        let key = kept.workers.connect_at(at, name, 60);
        kept.subscribe(key, "t", AtLeastOnce);
    }
    let first = kept.workers.states[0].sessions.find(&names[0]).unwrap();
    let texts: Vec<_> = (1..=5).map(|number| number.to_string()).collect();
    let all: Vec<_> = texts.iter().map(|text| publication("t", text, AtLeastOnce)).collect();
    kept.publish(publisher, &all[..4]);
    for identifier in [1, 3] {
        assert_eq!(kept.acknowledge(first, identifier, AtLeastOnce), Acknowledged::Settled);
    }
    kept.keep(0);
    kept.keep(1);
    // Nobody was told of this one, and the disk has nothing of it.
    kept.publish(publisher, &all[4..]);
    let mut next = kept.killed();
    let keys = names.each_ref().map(|name| next.resume(name));
    assert_eq!(next.workers.read(keys[0]), ["t=2@1", "t=4@2"]);
    assert_eq!(next.workers.read(keys[1]), ["t=1@1", "t=2@2", "t=3@3", "t=4@4"]);
    let restored = next.workers.states.iter().map(|state| state.ledger.restored.get()).sum::<u64>();
    assert_eq!(restored, 6);
    // And it goes on: settled, kept, and killed again.
    assert_eq!(next.acknowledge(keys[0], 1, AtLeastOnce), Acknowledged::Settled);
    next.keep(0);
    next.keep(1);
    let mut last = next.killed();
    let key = last.resume(&names[0]);
    assert_eq!(last.workers.read(key), ["t=4@1"]);
}

/// A QoS 2 PUBLISH leaves when the disk knows its packet identifier, and its PUBREL when that knows of the PUBREC.
#[test]
fn exactly_once_is_kept_before_it_is_sent() {
    let mut kept = Kept::new();
    let name = kept.client_at("client", 0);
    let (durable, publisher) = (kept.workers.connect(&name, 60), kept.workers.connect("publisher", 0));
    kept.subscribe(durable, "t", ExactlyOnce);
    kept.keep(0);
    kept.publish(publisher, &[publication("t", "x", ExactlyOnce), publication("t", "y", ExactlyOnce)]);
    assert!(kept.workers.read(durable).is_empty());
    kept.keep(0);
    assert_eq!(kept.workers.read(durable), ["t=x@1", "t=y@2"]);
    assert_eq!(kept.acknowledge(durable, 1, ExactlyOnce), Acknowledged::Settled);
    assert!(kept.workers.read(durable).is_empty());
    kept.keep(0);
    assert_eq!(kept.workers.read(durable), ["PUBREL 1 0x00"]);
    let mut next = kept.killed();
    let durable = next.resume(&name);
    assert_eq!(next.workers.read(durable), ["PUBREL 1 0x00", "dup t=y@2"]);
    let now = next.workers.now;
    let acknowledged =
        next.workers.own().with_desk(durable, now, |session, desk| session.on_pubcomp(id(1), desk));
    assert_eq!(acknowledged, Some(Acknowledged::Settled));
    assert_eq!(next.acknowledge(durable, 2, ExactlyOnce), Acknowledged::Settled);
    next.keep(0);
    let mut last = next.killed();
    let durable = last.resume(&name);
    assert_eq!(last.workers.read(durable), ["PUBREL 2 0x00"]);
}

/// A QoS 2 publish that comes again behind a restart reaches those who had not had it, and nobody twice.
#[test]
fn exactly_once_that_comes_again_is_told_from_others() {
    let mut kept = Kept::new();
    let (here, there) = (kept.client_at("client", 0), kept.client_at("client", 1));
    let name = kept.client_at("publisher", 0);
    let publisher = kept.workers.connect(&name, 60);
    for (at, name) in [&here, &there].into_iter().enumerate() {
        let key = kept.workers.connect_at(at, name, 60);
        kept.subscribe(key, "t", ExactlyOnce);
    }
    kept.keep(0);
    kept.keep(1);
    kept.workers.with(publisher, |session| _ = session.incoming.insert(id(1), 7));
    kept.publish(publisher, &[publication("t", "x", ExactlyOnce)]);
    // It is received, and one of the two has it.
    kept.keep(0);
    assert!(kept.read(publisher).is_empty());
    let mut next = kept.killed();
    let publisher = next.resume(&name);
    let epoch = next.workers.with(publisher, |session| session.epoch);
    assert_eq!(next.workers.with(publisher, |session| session.incoming.insert(id(1), epoch)), None);
    next.publish(publisher, &[publication("t", "x", ExactlyOnce)]);
    for at in [0, 1] {
        next.keep(at);
    }
    assert_eq!(next.read(publisher), ["PUBREC 1 0x00"]);
    for name in [&here, &there] {
        let key = next.resume(name);
        for at in [0, 1] {
            next.keep(at);
        }
        // It may have been sent before.
        assert_eq!(next.workers.read(key).concat().replace("dup ", ""), "t=x@1", "{name}");
    }
    // Its PUBREL is answered when that is kept.
    let conditions = Conditions::default();
    next.workers.own().record_forgotten(publisher, id(1), &conditions);
    next.workers.with(publisher, |session| session.release_in_turn(id(1), conditions.of(0)));
    assert!(next.read(publisher).is_empty());
    next.keep(0);
    assert_eq!(next.read(publisher), ["PUBCOMP 1 0x00"]);
}
