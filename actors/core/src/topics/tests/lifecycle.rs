//! How sessions part from their network connections, how long they are kept, and what is published and stored then.

use std::sync::Arc;
use std::time::Duration;

use crate::changes::Changes;
use crate::ids::SessionKey;
use crate::kept_shard::KeptShards;
use crate::protocol::Granted;
use crate::records::{Body, Connected, Of, Parted, Record, Subscribed, WallClock, Will, records_of};
use crate::session::NEVER_EXPIRES;
use crate::session::Storing;
use crate::subscriptions::Subscription;
use crate::testing::{online, options, publication};
use crate::worker::Restored;
use mqtt_codec::ProtocolVersion;
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};

use super::workers::{Workers, will};

/// A session is parted from its network connection by whoever names the right one, once.
#[test]
fn parting() {
    let mut workers = Workers::alone();
    let key = workers.connect("c", 60);
    workers.with(key, |session| session.replays.get_or_insert_default().asked = true);
    let now = workers.now;
    assert!(workers.own().part(key, 6, true, now).is_none(), "an earlier connection's");
    assert!(workers.with(key, |session| session.online.is_some() && session.absence.is_none()));
    assert!(workers.own().part(key, 7, true, now).is_some());
    assert!(workers.own().part(key, 7, true, now).is_none(), "it is parted already");
    let replays = workers.with(key, |session| session.replays.take().unwrap());
    assert!(!replays.asked, "nobody waits for an answer any more");
    let other = SessionKey { generation: 99, ..key };
    assert!(workers.own().part(other, 7, true, now).is_none(), "no such session");
    workers.own().settle_parting(other, now);
}

/// What was on the wire is not any more, and nothing is left to be sent again before the next connection.
#[test]
fn parting_forgets_the_wire() {
    let mut workers = Workers::alone();
    let key = workers.connect("c", 60);
    let now = workers.now;
    workers.own().with_desk(key, now, |session, desk| {
        session.offer(
            &publication("t", "x", AtLeastOnce),
            &crate::testing::wanted(AtLeastOnce),
            &mut Storing::default(),
            desk,
        )
    });
    workers.with(key, |session| session.resume_sending());
    workers.lose(key, false);
    workers.with(key, |session| {
        let outgoing = session.outgoing.as_ref().unwrap();
        assert_eq!((outgoing.inflight.len(), outgoing.inflight.on_wire(), outgoing.resend.len()), (1, 0, 0));
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9] When a will is published.
#[test]
fn wills() {
    for (name, expiry_interval, delay_seconds, publish_will, published) in [
        // Published at: the end of the connection, a second before 10 s, at 10 s, at 30 s.
        ("without delay", 60, 0, true, [1, 1, 1, 1]),
        ("delayed", 60, 10, true, [0, 0, 1, 1]),
        ("delayed beyond the session", 10, 20, true, [0, 0, 1, 1]),
        ("delayed, and the session ends at once", 0, 20, true, [1, 1, 1, 1]),
        ("after a goodbye", 60, 0, false, [0; 4]),
        ("delayed, after a goodbye", 60, 10, false, [0; 4]),
        ("after a goodbye, and the session ends", 0, 0, false, [0; 4]),
        ("in a session that never expires", NEVER_EXPIRES, 10, true, [0, 0, 1, 1]),
    ] {
        let mut workers = Workers::alone();
        let key = workers.connect("c", expiry_interval);
        workers.with(key, |session| session.will = will(delay_seconds));
        workers.lose(key, publish_will);
        let mut found = [workers.wills_published(), 0, 0, 0];
        for (at, seconds) in [(1, 9), (2, 1), (3, 20)] {
            workers.pass(seconds);
            found[at] = workers.wills_published();
        }
        assert_eq!(found, published, "{name}");
    }
}

/// A will that is retained gets its place among the retained publishes.
#[test]
fn retained_wills_are_stamped() {
    for (retain, stamp) in [(false, 1), (true, 3)] {
        let mut workers = Workers::alone();
        let key = workers.connect("c", 60);
        workers.with(key, |session| {
            session.will = will(0);
            session.will.as_mut().unwrap().retain = retain;
        });
        workers.lose(key, true);
        assert_eq!(workers.own().node.order.stamp(), stamp);
    }
}

/// [MQTT-3.1.2-23] How long a session is kept: not beyond its connection, for its interval, or for good.
#[test]
fn session_expiry() {
    for (expiry_interval, kept) in [(0, [false; 3]), (10, [true, true, false]), (NEVER_EXPIRES, [true; 3])] {
        let mut workers = Workers::alone();
        let key = workers.connect("c", expiry_interval);
        workers.lose(key, false);
        let mut found = [workers.exists(key), false, false];
        for (at, seconds) in [(1, 9), (2, 1)] {
            workers.pass(seconds);
            found[at] = workers.exists(key);
        }
        assert_eq!(found, kept, "{expiry_interval}");
        let sessions = workers.own().node.session_places.held();
        assert_eq!(sessions, usize::from(kept[2]));
        let expired = workers.own().counters.sessions_expired.get();
        assert_eq!(expired, u64::from(expiry_interval == 10));
    }
}

/// A timer of an earlier time offline, or of a session that is online again, means nothing.
#[test]
fn timers_that_come_too_late() {
    let mut workers = Workers::alone();
    let key = workers.connect("c", 10);
    workers.with(key, |session| session.will = will(5));
    workers.lose(key, true);
    let late = workers.now + Duration::from_secs(99);
    workers.own().offline_due(key, 6, late);
    workers.own().offline_due(SessionKey { generation: 99, ..key }, 7, late);
    workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
    workers.own().offline_due(key, 7, late);
    assert!(workers.exists(key));
    assert_eq!(workers.wills_published(), 0);
    workers.with(key, |session| session.online = None);
    workers.own().offline_due(key, 7, late);
    workers.carry_out();
    assert!(!workers.exists(key));
    assert_eq!(workers.wills_published(), 1);
}

/// What becomes of durable sessions is recorded, once each.
#[test]
fn what_is_recorded() {
    let mut workers = Workers::alone();
    let filter: Arc<str> = "a".into();
    let subscription = Subscription { options: options(AtLeastOnce), identifier: 3 };
    let granted = [Granted { filter: Arc::clone(&filter), subscription, replay: false }];
    let is = |workers: &mut Workers, expected: &[Record<'_>]| {
        let recorded = workers.recorded();
        let records: Vec<_> = records_of(&recorded).map(|read| read.unwrap().1).collect();
        assert_eq!(records, expected);
    };
    let connected = |client, begins, will| {
        let (user_name, version) = (None, ProtocolVersion::V5);
        Record::Connected(Connected { client, user_name, version, expiry_interval: 60, begins, will })
    };
    let key = workers.connect("durable", 60);
    let of = Of { client: "durable", epoch: 7 };
    is(&mut workers, &[connected("durable", true, None)]);
    workers.own().record_subscribed(key, &granted);
    workers.own().record_unsubscribed(key, &[filter]);
    let (options, identifier) = (subscription.options, subscription.identifier);
    let subscribed = Subscribed { filter: "a", options, identifier, replays: false };
    is(&mut workers, &[Record::Subscribed(of, vec![subscribed]), Record::Unsubscribed(of, vec!["a"])]);
    // DISCONNECT with another.
    workers.with(key, |session| session.expiry_interval = 90);
    workers.now += Duration::from_secs(5);
    workers.lose(key, false);
    let at = WallClock(1_005_000);
    is(&mut workers, &[Record::Parted(Parted { of, at, expiry_interval: 90, leaves_will: false })]);
    // It comes back with a will, which is published when its delay has passed.
    workers.with(key, |session| {
        (session.expiry_interval, session.online, session.absence) =
            (60, Some(online(ProtocolVersion::V5)), None);
        session.replace_will(will(2));
    });
    workers.own().record_connected(key);
    let body = Body { topic: "will", properties: &[], payload: b"gone", qos: AtMostOnce };
    let kept = Will { body, retain: false, delay_seconds: 2, expiry_seconds: None };
    is(&mut workers, &[connected("durable", false, Some(kept))]);
    workers.lose(key, true);
    workers.pass(2);
    let of = Of { epoch: 11, ..of };
    let parted = Parted { of, at, expiry_interval: 60, leaves_will: true };
    is(&mut workers, &[Record::Parted(parted), Record::WillOver(of)]);
    workers.own().end_session(key);
    is(&mut workers, &[Record::Ended("durable")]);
    // DISCONNECT may end a session that was durable.
    let key = workers.connect("ended by its client", 60);
    workers.with(key, |session| session.expiry_interval = 0);
    workers.lose(key, false);
    assert!(!workers.exists(key));
    is(&mut workers, &[connected("ended by its client", true, None), Record::Ended("ended by its client")]);
    // One that is not durable is not recorded.
    let key = workers.connect("clean", 0);
    workers.own().record_subscribed(key, &granted);
    workers.lose(key, false);
    assert!(workers.recorded().is_empty());
}

/// A session comes back as it was recorded: who it is, what it subscribes to, when it ends and when its will is due.
#[test]
fn what_was_recorded_comes_back() {
    let mut workers = Workers::alone();
    let key = workers.connect("kept", 60);
    workers.with(key, |session| {
        session.set_user_name(Some("user"));
        session.replace_will(will(2));
    });
    workers.own().record_connected(key);
    workers.subscribe(key, &["a/+", "$share/g/b"]);
    let granted = ["a/+", "$share/g/b"].map(|filter| {
        let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
        Granted { filter: filter.into(), subscription, replay: true }
    });
    workers.own().record_subscribed(key, &granted);
    let was_online = workers.recorded();
    workers.lose(key, true);
    let has_parted = [was_online, workers.recorded()];
    // 30 seconds later, by the clock on the wall.
    // Who was cut off has ten seconds to come back before the will is published; who had gone has none.
    for (entries, will_due, expires) in [(&has_parted[..1], 10, 60), (&has_parted[..], 0, 30)] {
        let mut shards = KeptShards::new(workers.own().node.homes.clone());
        entries.iter().for_each(|entry| _ = shards.apply(entry).unwrap());
        let (mut after, restored) = restored_after(&shards, 30);
        let key = after.own().sessions.find("kept").unwrap();
        after.with(key, |session| {
            assert_eq!((session.user_name(), session.version), (Some("user"), ProtocolVersion::V5));
            assert_eq!((session.subscriptions.len(), session.is_durable()), (2, true));
            assert!(session.is_recorded && session.burden.is_some());
        });
        // Other workers do not have their sessions yet, who may be subscribed to the will.
        after.carry_out();
        assert!(after.wills_published() == 0 && after.recorded().is_empty());
        let now = after.now;
        after.own().begin_absence(restored, now);
        after.carry_out();
        if will_due > 0 {
            after.pass(will_due - 1);
            assert_eq!(after.wills_published(), 0);
            after.pass(1);
        }
        assert_eq!(after.wills_published(), 1);
        after.pass(expires - will_due - 1);
        assert!(after.exists(key));
        after.pass(1);
        assert!(!after.exists(key));
    }
}

/// A node so many seconds after the first one began, with the session that was kept. Nothing of it is due yet.
fn restored_after(shards: &KeptShards, seconds: u64) -> (Workers, Restored) {
    let mut after = Workers::alone();
    after.now += Duration::from_secs(seconds);
    let (_, shard) = shards.iter().next().unwrap();
    let now = after.now;
    let restored = after.own().restore("kept", shard.session("kept").unwrap(), |_| None, now).unwrap();
    (after, restored)
}

/// Who was online when the process ended has parted when the next one begins; an end of that one does not give the session
/// its time anew, nor its client ten seconds more to come back before the will.
#[test]
fn who_was_cut_off_has_parted() {
    let mut workers = Workers::alone();
    let key = workers.connect("kept", 60);
    workers.with(key, |session| _ = session.replace_will(will(2)));
    workers.own().record_connected(key);
    let mut shards = KeptShards::new(workers.own().node.homes.clone());
    shards.apply(&workers.recorded()).unwrap();
    let (mut second, restored) = restored_after(&shards, 30);
    let now = second.now;
    second.own().changes = Changes::default();
    second.own().changes.begin_behind(shards.highest());
    second.own().begin_absence(restored, now);
    shards.apply(&second.recorded()).unwrap();
    let (mut third, restored) = restored_after(&shards, 35);
    let key = third.own().sessions.find("kept").unwrap();
    let now = third.now;
    third.own().begin_absence(restored, now);
    third.pass(4);
    assert_eq!(third.wills_published(), 0);
    third.pass(1);
    assert_eq!(third.wills_published(), 1);
    third.pass(49);
    assert!(third.exists(key));
    third.pass(1);
    assert!(!third.exists(key));
}

/// Nor is a will published again that was when the node shut down.
#[test]
fn wills_of_a_shutdown_are_recorded() {
    let mut workers = Workers::alone();
    let [online, offline] = ["online", "offline"].map(|client| {
        let key = workers.connect(client, 60);
        workers.with(key, |session| _ = session.replace_will(will(20)));
        workers.own().record_connected(key);
        key
    });
    workers.lose(offline, true);
    let mut shards = KeptShards::new(workers.own().node.homes.clone());
    shards.apply(&workers.recorded()).unwrap();
    workers.own().publish_all_wills();
    workers.carry_out();
    assert_eq!(workers.wills_published(), 2);
    workers.lose(online, true);
    shards.apply(&workers.recorded()).unwrap();
    let sessions: Vec<_> = shards.iter().flat_map(|(_, shard)| shard.sessions()).collect();
    assert!(sessions.len() == 2 && sessions.iter().all(|(_, session)| session.will.is_none()));
}

/// As long as it is not known where records stand nothing is noted: neither that sessions ended that were brought back, nor
/// wills, which are left to the next node.
#[test]
fn nothing_is_recorded_before_all_is_loaded() {
    let mut workers = Workers::alone();
    let key = workers.connect("kept", 60);
    workers.with(key, |session| _ = session.replace_will(will(2)));
    workers.own().record_connected(key);
    let mut shards = KeptShards::new(workers.own().node.homes.clone());
    shards.apply(&workers.recorded()).unwrap();
    let (mut after, _) = restored_after(&shards, 30);
    after.own().changes = Changes::default();
    after.own().publish_all_wills();
    after.carry_out();
    assert_eq!(after.wills_published(), 0);
    // A clean session takes its place.
    let (key, now) = (after.own().sessions.find("kept").unwrap(), after.now);
    assert_eq!(after.own().end_or_keep(key, true, now), None);
    assert!(!after.own().changes.begin() && !after.own().changes.has_begun());
}
