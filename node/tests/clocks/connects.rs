//! CONNECTs that do not come, over TCP and WebSocket: the connection is closed when the time for them is over.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::{Packet, ProtocolVersion};
use tokio::time::interval;

use crate::CONNECT_TIMEOUT_MS;
use crate::harness::{Frame, REQUEST, bytes_of, connect};
use crate::link::Link;
use crate::part::{Events, Part};
use crate::verdict::Event;

/// Of each kind, per thread.
pub(crate) const EACH: usize = 25;
const LIMIT: Duration = Duration::from_millis(CONNECT_TIMEOUT_MS);
/// From one piece to the next.
const PACE: Duration = Duration::from_millis(100);
const V5: ProtocolVersion = ProtocolVersion::V5;

/// What a client does in place of a CONNECT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unfinished {
    name: &'static str,
    /// Sends a request for a WebSocket first: how much of it.
    websocket: Option<Amount>,
    connect: Amount,
}

#[derive(Debug, Clone, Copy)]
enum Amount {
    None,
    Half,
    /// All but the end, byte for byte.
    Dripped,
    All,
}

const fn kind(name: &'static str, websocket: Option<Amount>, connect: Amount) -> Unfinished {
    Unfinished { name, websocket, connect }
}

pub(crate) const KINDS: [Unfinished; 9] = [
    kind("CONNECT: none", None, Amount::None),
    kind("CONNECT: half of it", None, Amount::Half),
    kind("CONNECT: dripped", None, Amount::Dripped),
    kind("CONNECT: WebSocket, no request", Some(Amount::None), Amount::None),
    kind("CONNECT: WebSocket, half a request", Some(Amount::Half), Amount::None),
    kind("CONNECT: WebSocket, request dripped", Some(Amount::Dripped), Amount::None),
    kind("CONNECT: WebSocket, none", Some(Amount::All), Amount::None),
    kind("CONNECT: WebSocket, half of it", Some(Amount::All), Amount::Half),
    kind("CONNECT: WebSocket, dripped", Some(Amount::All), Amount::Dripped),
];

pub(crate) fn begin(part: &Rc<Part>, events: &mut Events) {
    for number in 0..EACH {
        for kind in KINDS {
            part.begin(events, kind.name, (number, EACH), move |part, name| unfinished(part, name, kind));
        }
    }
}

async fn unfinished(part: Rc<Part>, name: String, kind: Unfinished) -> Result<Option<Event>, String> {
    // Longer than what is dripped in the time.
    let connect = bytes_of(&Packet::Connect(Box::new(connect(V5, &name.repeat(4)))), V5);
    let began = Instant::now();
    let address = if kind.websocket.is_some() { part.addresses.websocket } else { part.addresses.tcp };
    let mut link = Link::open(address, V5).await?;
    let opened = Instant::now();
    let mut pieces = Vec::new();
    if let Some(amount) = kind.websocket {
        pieces.extend(amount.of(REQUEST.as_bytes()));
    }
    for piece in kind.connect.of(&connect) {
        pieces.push(if kind.websocket.is_some() { Frame::binary(&piece).bytes() } else { piece });
    }
    let mut pace = interval(PACE);
    let mut pieces = pieces.into_iter();
    loop {
        tokio::select! {
            biased;
            more = link.read_more() => if !more? { break },
            _ = pace.tick(), if pieces.len() > 0 => {
                if let Some(piece) = pieces.next() {
                    // It may be closed by now: that is read next.
                    let _ = link.send_bytes(&piece).await;
                }
            }
        }
    }
    Event::at(link.read, began + LIMIT, opened + LIMIT, &part.stalls).map(Some)
}

impl Amount {
    fn of(self, whole: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::None => Vec::new(),
            Self::Half => vec![whole[..whole.len() / 2].to_vec()],
            Self::Dripped => whole[..whole.len() - 1].iter().map(|byte| vec![*byte]).collect(),
            Self::All => vec![whole.to_vec()],
        }
    }
}
