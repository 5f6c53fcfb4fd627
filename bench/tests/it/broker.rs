//! A broker of one thread per connection: enough MQTT for a load generator, and one chosen mistake.

use std::{
    collections::BTreeSet,
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What it does wrong, with the number of the publish (from 0) it does it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Never delivers it.
    Lose(usize),
    /// Delivers it twice.
    Repeat(usize),
    /// Delivers it behind the next one.
    Swap(usize),
    /// Answers CONNECT with this code.
    Refuse(u8),
    /// Closes the publisher's connection instead of taking it.
    Close(usize),
    /// Answers nothing.
    Mute,
}

/// It lives as long as the process of the tests.
pub(crate) struct TinyBroker {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Subscription {
    filter: String,
    qos: u8,
    version: u8,
    stream: Arc<Mutex<TcpStream>>,
}

#[derive(Default)]
struct Shared {
    subscriptions: Vec<Subscription>,
    publishes: usize,
    sources: BTreeSet<IpAddr>,
    retained: HashMap<String, Vec<u8>>,
    swapped: Vec<(String, u8, Vec<u8>)>,
}

impl TinyBroker {
    pub(crate) fn start(fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (accepted, broker) = (Arc::clone(&shared), Self { address, shared });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepted);
                // A connection ends when the generator closes it.
                thread::spawn(move || serve(stream, &shared, fault).or_else(ended));
            }
        });
        broker
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many retained messages there are.
    pub(crate) fn retained(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).retained.len()
    }

    /// Where connections came from.
    pub(crate) fn sources(&self) -> Vec<IpAddr> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).sources.iter().copied().collect()
    }
}

fn ended(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>, fault: Option<Fault>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let source = stream.peer_addr()?.ip();
    shared.lock().unwrap_or_else(PoisonError::into_inner).sources.insert(source);
    let writer = Arc::new(Mutex::new(stream.try_clone()?));
    let mut version = 4;
    loop {
        let (first, body) = packet(&mut stream)?;
        let answer: Vec<u8> = match first >> 4 {
            _ if fault == Some(Fault::Mute) => continue,
            1 => {
                version = body[6];
                let code = if let Some(Fault::Refuse(code)) = fault { code } else { 0 };
                if version == 5 { vec![0x20, 3, 0, code, 0] } else { vec![0x20, 2, 0, code] }
            }
            3 => {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if fault == Some(Fault::Close(shared.publishes)) {
                    return Ok(());
                }
                let retain = first & 1 == 1;
                publish(&mut shared, first >> 1 & 3, retain, &body, version, fault)?
            }
            // PUBREC from a subscriber, PUBREL from a publisher.
            5 => vec![0x62, 2, body[0], body[1]],
            6 => vec![0x70, 2, body[0], body[1]],
            8 => {
                let mut at = if version == 5 { 3 } else { 2 };
                let mut codes = Vec::new();
                while at < body.len() {
                    let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                    let filter = String::from_utf8_lossy(&body[at + 2..at + 2 + length]).into_owned();
                    let options = body[at + 2 + length];
                    let qos = options & 3;
                    let stream = Arc::clone(&writer);
                    let subscription = Subscription { filter, qos, version, stream };
                    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let asked = options >> 4 == 0;
                    for (topic, payload) in shared.retained.iter().filter(|_| asked) {
                        if matches(&subscription.filter, topic) {
                            subscription.send(topic, qos, payload)?;
                        }
                    }
                    shared.subscriptions.push(subscription);
                    codes.push(qos);
                    at += 2 + length + 1;
                }
                let properties: &[u8] = if version == 5 { &[0] } else { &[] };
                let size = 2 + properties.len() + codes.len();
                [&[0x90, size as u8, body[0], body[1]], properties, &codes].concat()
            }
            12 => vec![0xD0, 0],
            14 => {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.subscriptions.retain(|it| !Arc::ptr_eq(&it.stream, &writer));
                return stream.shutdown(Shutdown::Both);
            }
            _ => continue,
        };
        writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(&answer)?;
    }
}

/// Delivers to all subscribers and returns the acknowledgement.
fn publish(
    shared: &mut Shared,
    qos: u8,
    retain: bool,
    body: &[u8],
    version: u8,
    fault: Option<Fault>,
) -> io::Result<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
    let mut at = 2 + length;
    let mut answer = Vec::new();
    if qos > 0 {
        answer = vec![if qos == 1 { 0x40 } else { 0x50 }, 2, body[at], body[at + 1]];
        at += 2;
    }
    let payload = body[at + usize::from(version == 5)..].to_vec();
    let number = shared.publishes;
    if retain && payload.is_empty() {
        shared.retained.remove(&topic);
    } else if retain && fault != Some(Fault::Lose(number)) {
        shared.retained.insert(topic.clone(), payload.clone());
    }
    shared.publishes += 1;
    if fault == Some(Fault::Swap(number)) {
        shared.swapped.push((topic, qos, payload));
        return Ok(answer);
    }
    let times = match fault {
        Some(Fault::Lose(lost)) if lost == number => 0,
        Some(Fault::Repeat(repeated)) if repeated == number => 2,
        _ => 1,
    };
    for _ in 0..times {
        deliver(shared, &topic, qos, &payload)?;
    }
    for (topic, qos, payload) in std::mem::take(&mut shared.swapped) {
        deliver(shared, &topic, qos, &payload)?;
    }
    Ok(answer)
}

fn deliver(shared: &Shared, topic: &str, qos: u8, payload: &[u8]) -> io::Result<()> {
    let members: Vec<_> = shared
        .subscriptions
        .iter()
        .filter(|it| it.filter.strip_prefix("$share/bench/").is_some_and(|filter| matches(filter, topic)))
        .collect();
    let member = members.get(shared.publishes % members.len().max(1)).copied();
    let others = shared.subscriptions.iter().filter(|it| matches(&it.filter, topic));
    for subscription in others.chain(member) {
        subscription.send(topic, qos, payload)?;
    }
    Ok(())
}

impl Subscription {
    fn send(&self, topic: &str, qos: u8, payload: &[u8]) -> io::Result<()> {
        let qos = qos.min(self.qos);
        let identifier: &[u8] = if qos > 0 { &[0, 1] } else { &[] };
        let properties: &[u8] = if self.version == 5 { &[0] } else { &[] };
        let length = (topic.len() as u16).to_be_bytes();
        let body = [&length, topic.as_bytes(), identifier, properties, payload].concat();
        let mut frame = vec![0x30 | qos << 1];
        let mut rest = body.len();
        while rest >= 0x80 {
            frame.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        frame.push(rest as u8);
        frame.extend_from_slice(&body);
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame).or_else(ended)
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic) = (filter.split('/'), topic.split('/'));
    filter.clone().count() == topic.clone().count()
        && filter.zip(topic).all(|(filter, topic)| filter == "+" || filter == topic)
}

fn packet(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}
