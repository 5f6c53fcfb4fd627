//! What a CONNECT is told, and what it takes, under whatever circumstances.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use mqtt_codec::{Connect, ProtocolVersion, PublishProperties, QoS, ReasonCode, TopicName, Will};

use super::{Circumstances, Refused, Request, SessionPlaces, Standing, Terms, begin, hold, judge};
use crate::kept::{NodeKept, kept_bytes};
use crate::session::{Grant, Session};
use crate::settings::SessionSettings;
use crate::testing::{Office, id, key, now, publication, session, wanted};
use ProtocolVersion::{V5, V31, V311};

/// For so many sessions, with names of 10 bytes: "client" and "user".
fn places(sessions_max: usize) -> Arc<SessionPlaces> {
    let settings =
        SessionSettings { sessions_max, names_bytes_max: 10 * sessions_max, ..SessionSettings::default() };
    Arc::new(SessionPlaces::new(&settings))
}

/// A node that a client asks to be taken in by.
struct Door {
    office: Office,
    kept: Arc<NodeKept>,
    places: Arc<SessionPlaces>,
    known_names: Option<usize>,
    is_stopping: bool,
    is_restored: bool,
    has_room_for_outdated: bool,
    is_kept: bool,
    changes_are_full: bool,
    revision: u64,
    is_withdrawn: Option<bool>,
    grant: Option<Arc<Grant>>,
}

impl Door {
    fn new() -> Self {
        Self {
            office: Office::new(),
            kept: Arc::new(NodeKept::new(10_000)),
            places: places(1),
            known_names: None,
            is_stopping: false,
            is_restored: true,
            has_room_for_outdated: true,
            is_kept: false,
            changes_are_full: false,
            revision: 3,
            is_withdrawn: Some(false),
            grant: None,
        }
    }

    /// A client whose login was judged under revision 3.
    fn judge(&self, connect: &Connect) -> Result<Terms, Refused> {
        let request = Request {
            connect,
            assigned: false,
            user_name: Some("user"),
            authentication_data: None,
            grant: self.grant.as_ref(),
            revision: 3,
            will_until: None,
        };
        judge(
            &request,
            &Circumstances {
                settings: &self.office.settings,
                counters: &self.office.counters,
                kept: &self.kept,
                places: &self.places,
                known_names: self.known_names,
                is_stopping: self.is_stopping,
                is_restored: self.is_restored,
                has_room_for_outdated: self.has_room_for_outdated,
                is_kept: self.is_kept,
                changes_are_full: self.changes_are_full,
                standing: Standing {
                    revision: self.revision,
                    is_withdrawn: self.is_withdrawn,
                    now: self.office.now,
                },
            },
        )
    }

    #[track_caller]
    fn refuses(&self, connect: &Connect, expected: Refused) {
        let held = || (self.places.held(), self.places.names_bytes(), kept_bytes(&self.kept, []));
        let before = held();
        assert_eq!(self.judge(connect).map(|_| ()), Err(expected));
        assert_eq!(held(), before, "nothing is taken");
    }
}

fn connect(version: ProtocolVersion, clean_start: bool) -> Connect {
    Connect { clean_start, ..Connect::new(version, "client") }
}

fn with_will(payload_bytes: usize) -> Connect {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::new("t").unwrap(),
        payload: vec![b'x'; payload_bytes].into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    };
    Connect { will: Some(will), ..connect(V5, true) }
}

#[test]
fn what_refuses_in_its_order_and_takes_nothing() {
    let mut door = Door::new();
    door.refuses(&with_will(20_000), Refused::WillFull);
    let _held = door.places.take(None, 10);
    door.refuses(&connect(V5, true), Refused::SessionsFull);
    let mut smallest = connect(V5, true);
    smallest.properties.maximum_packet_size = NonZeroU32::new(4);
    door.refuses(&smallest, Refused::AnswerTooLarge);
    door.is_withdrawn = Some(true);
    door.refuses(&smallest, Refused::Withdrawn);
    door.revision = 4;
    door.refuses(&smallest, Refused::Outdated);
    door.is_restored = false;
    door.refuses(&connect(V311, false), Refused::NotRestored);
    door.is_stopping = true;
    door.refuses(&connect(V311, false), Refused::Stopping);
    let counters = &door.office.counters;
    let counted = [&counters.wills_full, &counters.sessions_full, &counters.sessions_not_loaded];
    assert_eq!(counted.map(|counter| counter.get()), [1, 1, 1]);
    assert_eq!(counters.session_names_full.get(), 0);
}

/// Where the store takes nothing, nothing grows: who asks for a durable session is told to come again, and who ends one.
#[test]
fn too_much_waits_for_the_store() {
    let mut door = Door { changes_are_full: true, ..Door::new() };
    door.refuses(&connect(V311, false), Refused::ChangesFull);
    door.judge(&connect(V311, true)).unwrap();
    door.is_kept = true;
    door.refuses(&connect(V5, true), Refused::ChangesFull);
    assert_eq!(door.office.counters.changes_full.get(), 2);
}

/// [MQTT-3.2.2-7] The reason code says whether it is worth coming again.
#[test]
fn what_a_refused_client_is_told() {
    for refused in [Refused::Stopping, Refused::NotRestored, Refused::ChangesFull, Refused::Outdated] {
        assert_eq!((refused.reason(), refused.is_told()), (ReasonCode::ServerUnavailable, true));
    }
    assert_eq!(
        (Refused::Withdrawn.reason(), Refused::Withdrawn.is_told()),
        (ReasonCode::NotAuthorized, true)
    );
    assert_eq!(Refused::WillFull.reason(), ReasonCode::QuotaExceeded);
    assert_eq!(Refused::SessionsFull.reason(), ReasonCode::QuotaExceeded);
    assert_eq!(Refused::NamesFull.reason(), ReasonCode::QuotaExceeded);
    assert!(!Refused::AnswerTooLarge.is_told());
}

/// What was said of a client before a notice, or counts until now, lets nobody in.
#[test]
fn what_it_was_let_in_by_is_over() {
    let mut door = Door::new();
    let grant = |end| Some(Arc::new(Grant { uid: 1, end: Some(end), origin: Arc::new(()) }));
    door.grant = grant(door.office.now);
    door.refuses(&connect(V5, true), Refused::Withdrawn);
    door.grant = grant(door.office.now + Duration::from_secs(1));
    door.is_withdrawn = Some(true);
    door.refuses(&connect(V5, true), Refused::Withdrawn);
    // Too many notices were given meanwhile to say whether one was about it: it may come again.
    door.is_withdrawn = None;
    door.refuses(&connect(V5, true), Refused::Outdated);
    door.is_withdrawn = Some(false);
    let will = door.judge(&with_will(10)).unwrap().will.unwrap();
    assert_eq!(will.grant.as_ref().map(|grant| grant.uid), Some(1), "its will is judged by it as well");
}

#[test]
fn a_client_that_has_a_session_finds_a_place_at_the_limit() {
    let mut door = Door::new();
    door.places.take(None, 10).unwrap().keep();
    door.places.rename(0, 10);
    door.known_names = Some(10);
    let terms = door.judge(&connect(V5, false)).unwrap();
    assert_eq!((door.places.held(), door.places.names_bytes()), (2, 10));
    drop(terms);
    assert_eq!((door.places.held(), door.places.names_bytes()), (1, 10));
    door.places.leave(10);
    assert_eq!((door.places.held(), door.places.names_bytes()), (0, 0));
}

/// Whoever comes back with longer names needs room for what they are longer by.
#[test]
fn names_have_a_limit_of_their_own() {
    let mut door = Door { places: places(2), ..Door::new() };
    door.places.rename(0, 15);
    door.refuses(&connect(V5, true), Refused::NamesFull);
    assert_eq!(door.office.counters.session_names_full.get(), 1);
    door.known_names = Some(4);
    door.refuses(&connect(V5, true), Refused::NamesFull);
    door.known_names = Some(5);
    let terms = door.judge(&connect(V5, true)).unwrap();
    assert_eq!(door.places.names_bytes(), 20);
    drop(terms);
    assert_eq!(door.places.names_bytes(), 15);
}

#[test]
fn clean_sessions_are_taken_in_before_the_others_are_restored() {
    let mut door = Door::new();
    door.is_restored = false;
    assert!(door.judge(&connect(V5, true)).is_ok() && door.judge(&connect(V311, true)).is_ok());
    let mut lasting = connect(V5, true);
    lasting.properties.session_expiry_interval = Some(1);
    door.refuses(&lasting, Refused::NotRestored);
}

/// [MQTT-3.1.2-11.2] and what 3.x has in its place.
#[test]
fn how_long_a_session_lives() {
    let mut door = Door::new();
    door.office.settings.mqtt.session_expiry_interval_max_seconds = 100;
    let check = |version, clean_start, asked, expected, told| {
        let mut connect = connect(version, clean_start);
        connect.properties.session_expiry_interval = asked;
        let terms = door.judge(&connect).unwrap();
        assert_eq!(terms.expiry_interval, expected);
        assert_eq!(terms.answer.properties.session_expiry_interval, told);
    };
    check(V5, true, None, 0, None);
    check(V5, false, Some(50), 50, None);
    check(V5, false, Some(101), 100, Some(100));
    check(V311, true, None, 0, None);
    check(V311, false, None, 100, None);
    check(V31, false, None, 100, None);
}

#[test]
fn the_keep_alive_is_the_nodes_where_the_client_wants_more() {
    let mut door = Door::new();
    door.office.settings.mqtt.server_keep_alive_seconds = 60;
    let check = |version, asked, expected, told| {
        let terms = door.judge(&Connect { keep_alive: asked, ..connect(version, true) }).unwrap();
        assert_eq!((terms.keep_alive, terms.answer.properties.server_keep_alive), (expected, told));
    };
    check(V5, 30, 30, None);
    check(V5, 61, 60, Some(60));
    check(V5, 0, 60, Some(60));
    check(V311, 61, 61, None);
}

#[test]
fn a_will_has_its_share_until_it_is_gone() {
    let door = Door::new();
    let terms = door.judge(&with_will(1000)).unwrap();
    let will = terms.will.as_ref().unwrap();
    assert_eq!(
        (&*will.client_identifier, will.user_name.as_deref(), will.revision),
        ("client", Some("user"), 3)
    );
    assert_eq!(kept_bytes(&door.kept, []), will.queued_bytes() as u64);
    drop(terms);
    assert_eq!(kept_bytes(&door.kept, []), 0);
}

#[test]
fn a_session_goes_on_with_what_is_in_flight() {
    let mut office = Office::new();
    let mut session = session(60);
    office.offer(&mut session, &publication("t", "x", QoS::AtLeastOnce), &wanted(QoS::AtLeastOnce));
    session.online = None;
    let mut connect = connect(V311, false);
    connect.properties.receive_maximum = NonZeroU16::new(7);
    let online = begin(&connect, 10, &office.settings, now(), now());
    assert_eq!((online.inflight_max, online.keep_alive_seconds, online.version), (7, 10, V311));
    let epoch = session.epoch;
    hold(&mut session, online, 30, Some("user"), None);
    assert_eq!((session.epoch, session.expiry_interval, session.user_name()), (epoch + 1, 30, Some("user")));
    let outgoing = session.outgoing.as_ref().unwrap();
    assert_eq!((outgoing.resend.front(), outgoing.inflight.on_wire()), (Some(&id(1)), 0));
    let mut first = Session::new(key(1), "another", V5);
    hold(&mut first, begin(&connect, 0, &office.settings, now(), now()), 0, None, None);
    assert!(first.outgoing.is_none() && first.absence.is_none() && !first.is_durable());
}

/// A will that becomes due is judged by what its client proved last.
#[test]
fn a_later_grant_is_that_of_the_will_too() {
    let mut door = Door::new();
    let grant = |uid| Some(Arc::new(Grant { uid, end: None, origin: Arc::new(()) }));
    door.grant = grant(1);
    let with_will = with_will(10);
    let terms = door.judge(&with_will).unwrap();
    let mut session = Session::new(key(1), "client", V5);
    let online = begin(&with_will, 0, &door.office.settings, now(), now());
    hold(&mut session, online, 0, None, terms.will);
    for later in [grant(2), None] {
        let uid = later.as_ref().map(|grant| grant.uid);
        session.set_grant(later, now());
        let (of_will, online) = (&session.will.as_ref().unwrap().grant, session.online.as_ref().unwrap());
        assert_eq!(
            (of_will.as_ref().map(|grant| grant.uid), online.grant().map(|grant| grant.uid)),
            (uid, uid)
        );
    }
}
