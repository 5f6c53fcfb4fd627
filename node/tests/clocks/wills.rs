//! Will delays: a will comes when its delay is over or its session ends, and not if its client came back before.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::{
    Connect, Disconnect, Packet, ProtocolVersion, PublishProperties, QoS, ReasonCode, TopicName, Will,
};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use crate::harness::{DEADLINE, connect};
use crate::link::Link;
use crate::part::{Events, Part};
use crate::verdict::{Event, LATE_MAX, Verdict};

/// Of each kind, per thread.
const EACH: usize = 75;
/// Those that are silent in place of closing, per thread.
pub(crate) const SILENT: usize = EACH;
const DELAY: Duration = Duration::from_secs(2);
const V5: ProtocolVersion = ProtocolVersion::V5;

/// Gets all wills of a thread's clients.
#[derive(Default)]
pub(crate) struct Watcher {
    wanted: RefCell<HashMap<String, oneshot::Sender<Instant>>>,
    unwanted: Cell<usize>,
}

impl Watcher {
    pub(crate) async fn open(part: usize, address: SocketAddr) -> Rc<Self> {
        let watcher = Rc::new(Self::default());
        let seen = Rc::clone(&watcher);
        let (mut link, _) =
            Link::client(address, connect(V5, &format!("watcher/{part}"))).await.expect("a client");
        link.subscribe(&format!("will/+/{part}/#"), QoS::AtLeastOnce).await.expect("a subscription");
        tokio::task::spawn_local(async move {
            // It ends with its thread, or when nothing came for long.
            while let Ok(will) = link.message().await {
                match seen.wanted.borrow_mut().remove(&will.topic) {
                    // Who asked may have seen enough.
                    Some(wanted) => drop(wanted.send(link.read)),
                    None => seen.unwanted.set(seen.unwanted.get() + 1),
                }
            }
        });
        watcher
    }

    fn expect(&self, topic: &str) -> oneshot::Receiver<Instant> {
        let (tell, told) = oneshot::channel();
        self.wanted.borrow_mut().insert(topic.to_owned(), tell);
        told
    }

    /// No will came twice.
    pub(crate) fn judge(&self, verdict: &mut Verdict) {
        let result =
            if self.unwanted.get() == 0 { Ok(Event::RIGHT) } else { Err(format!("{}", self.unwanted.get())) };
        verdict.event("will: none comes twice", result);
    }
}

pub(crate) fn begin(part: &Rc<Part>, events: &mut Events) {
    for number in 0..EACH {
        let at = (number, EACH);
        part.begin(events, "will: delayed, connection lost", at, |part, name| lost(part, name, Loss::Closed));
        part.begin(events, "will: delayed, DISCONNECT 0x04", at, |part, name| {
            lost(part, name, Loss::Disconnect)
        });
        part.begin(events, "will: delayed, client silent", at, |part, name| lost(part, name, Loss::Silence));
        part.begin(events, "will: long delay, comes with the session's end", at, |part, name| {
            lost(part, name, Loss::SessionEnds)
        });
        part.begin(events, "will: none, the client came back", at, came_back);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Closed,
    Disconnect,
    Silence,
    SessionEnds,
}

fn with_will(name: &str, delay: u32, expiry: u32) -> Connect {
    let topic = TopicName::new(&format!("will/{name}")).expect("a topic name");
    let (payload, properties) = (b"gone".as_slice().into(), PublishProperties::default());
    let will =
        Will { qos: QoS::AtMostOnce, retain: false, topic, payload, delay_interval: delay, properties };
    let mut connect = Connect { will: Some(will), ..connect(V5, name) };
    connect.properties.session_expiry_interval = Some(expiry);
    connect
}

async fn lost(part: Rc<Part>, name: String, loss: Loss) -> Result<Option<Event>, String> {
    let mut connect = match loss {
        Loss::SessionEnds => with_will(&name, 60, 2),
        _ => with_will(&name, 2, 60),
    };
    if loss == Loss::Silence {
        connect.keep_alive = 1;
    }
    let told = part.watcher.expect(&format!("will/{name}"));
    let (mut link, _) = Link::client(part.addresses.tcp, connect).await?;
    let (earliest, latest) = match loss {
        Loss::Closed | Loss::SessionEnds => {
            let before = Instant::now();
            drop(link);
            (before, Instant::now())
        }
        Loss::Disconnect => {
            link.send(&Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWillMessage))).await?;
            link.written
        }
        Loss::Silence => {
            let silent = link.written.0;
            link.until_end().await?;
            (silent + Duration::from_millis(1500), link.read)
        }
    };
    let seen = timeout(DEADLINE, told).await.map_err(|_| "no will")?.map_err(|error| error.to_string())?;
    Event::at(seen, earliest + DELAY, latest + DELAY, &part.stalls).map(Some)
}

/// Comes back shortly before its will is due.
async fn came_back(part: Rc<Part>, name: String) -> Result<Option<Event>, String> {
    const BEFORE: Duration = Duration::from_millis(300);
    let topic = format!("will/{name}");
    let mut told = part.watcher.expect(&topic);
    let (link, _) = Link::client(part.addresses.tcp, with_will(&name, 2, 60)).await?;
    let lost = Instant::now();
    drop(link);
    sleep_until((lost + DELAY - BEFORE).into()).await;
    let again = Connect { will: None, clean_start: false, ..with_will(&name, 2, 60) };
    let (link, answer) = Link::client(part.addresses.tcp, again).await?;
    if link.read >= lost + DELAY {
        // Kept from running, it is back too late: the will may come, once.
        return Ok(None);
    }
    if !answer.session_present {
        return Err("no session".to_owned());
    }
    match timeout(BEFORE + 2 * LATE_MAX, &mut told).await {
        Ok(_) => Err("a will came".to_owned()),
        Err(_) => Ok(Some(Event::RIGHT)),
    }
}
