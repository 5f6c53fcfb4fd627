//! The records of `routes`. The topic is compacted: of records with one key the last one stays, and one without a value
//! takes what has its key away.

use micro_mq_core::records::{DecodeError, Reader, Writer};

/// The newest version of records, of either topic, that is read here. A node says it in its hello, and nobody writes a
/// newer one than all members read.
pub const VERSION: u8 = 1;

/// Partitions of `slots`, one for each node.
pub const SLOTS: u8 = 64;

/// One life of a node: the offset of its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// A topic filter that a node has subscribers for, plain ones or those of one shared subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName<'a> {
    /// The share name; empty: plain.
    pub share: &'a str,
    /// The topic filter, without share name.
    pub filter: &'a str,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A node begins. It is the node's when no other has the slot; then this record's offset is its incarnation.
    Hello {
        /// Its name, which no other has: of a name the last hello counts.
        node: &'a str,
        /// The partition of `slots` that it reads.
        slot: u8,
        /// By which it knows its own hello.
        nonce: u64,
        /// The newest version of records that it reads.
        version: u8,
        /// Where other nodes reach it; empty: nowhere.
        address: &'a str,
    },
    /// A node lives, and has read what stands here.
    Tick {
        /// Its name.
        node: &'a str,
        /// Which of its lives.
        incarnation: Incarnation,
        /// Its slot.
        slot: u8,
        /// By which it knows when it wrote this one.
        number: u64,
        /// The offset of the last record of `routes` that it has applied.
        applied: u64,
        /// The time of day there, in milliseconds since 1970.
        at: u64,
    },
    /// A node has subscribers for a topic filter, or has none any more.
    Route {
        /// The node's slot.
        slot: u8,
        /// Which of its lives.
        incarnation: Incarnation,
        /// The filter.
        name: RouteName<'a>,
        /// Members of the shared subscription that are online, or 1; none: the route is gone.
        online: Option<u32>,
    },
    /// A life of a node is over.
    Void {
        /// The node's name.
        node: &'a str,
        /// Which of its lives.
        incarnation: Incarnation,
        /// Its slot.
        slot: u8,
    },
}

/// A record as it is written: its key, and its value if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Of records with one key the last stays.
    pub key: Vec<u8>,
    /// None: what has this key is gone.
    pub value: Option<Vec<u8>>,
}

const HELLO: u8 = b'h';
const TICK: u8 = b't';
const ROUTE: u8 = b'r';
const VOID: u8 = b'v';

impl<'a> Record<'a> {
    /// As it is written.
    pub fn encode(&self) -> Encoded {
        let (mut key, mut value) = (Vec::new(), vec![VERSION]);
        let (mut to_key, mut to_value) = (Writer(&mut key), Writer(&mut value));
        let mut has_value = true;
        match *self {
            Self::Hello { node, slot, nonce, version, address } => {
                to_key.byte(HELLO);
                to_key.string(node);
                to_value.byte(slot);
                to_value.hash(nonce);
                to_value.byte(version);
                to_value.string(address);
            }
            Self::Tick { node, incarnation, slot, number, applied, at } => {
                to_key.byte(TICK);
                to_key.string(node);
                to_value.number(incarnation.0);
                to_value.byte(slot);
                to_value.number(number);
                to_value.number(applied);
                to_value.number(at);
            }
            Self::Route { slot, incarnation, name, online } => {
                to_key.byte(ROUTE);
                to_key.byte(slot);
                to_key.number(incarnation.0);
                to_key.string(name.share);
                to_key.string(name.filter);
                to_value.number(online.unwrap_or_default().into());
                has_value = online.is_some();
            }
            Self::Void { node, incarnation, slot } => {
                to_key.byte(VOID);
                to_key.number(incarnation.0);
                to_value.string(node);
                to_value.byte(slot);
            }
        }
        Encoded { key, value: has_value.then_some(value) }
    }

    /// What was written; none of a key without a value, other than that of a route: it says nothing any more.
    ///
    /// # Errors
    /// When it is none of these records, or one of a version that this node does not read.
    pub fn decode(key: &'a [u8], value: Option<&'a [u8]>) -> Result<Option<Self>, DecodeError> {
        let mut key = Reader(key);
        let kind = key.byte()?;
        let Some(value) = value else {
            return if kind == ROUTE { route(key, None).map(Some) } else { Ok(None) };
        };
        let mut value = Reader(value);
        match value.byte()? {
            VERSION => {}
            version => return Err(DecodeError::Version(version)),
        }
        let record = match kind {
            HELLO => {
                let node = key.string()?;
                let (slot, nonce) = (slot(&mut value)?, value.hash()?);
                Self::Hello { node, slot, nonce, version: value.byte()?, address: value.string()? }
            }
            TICK => Self::Tick {
                node: key.string()?,
                incarnation: Incarnation(value.number()?),
                slot: slot(&mut value)?,
                number: value.number()?,
                applied: value.number()?,
                at: value.number()?,
            },
            ROUTE => return route(key, Some(value.small("number of members online")?)).map(Some),
            VOID => Self::Void {
                incarnation: Incarnation(key.number()?),
                node: value.string()?,
                slot: slot(&mut value)?,
            },
            other => return Err(DecodeError::Value { field: "kind", value: other.into() }),
        };
        key.end()?;
        Ok(Some(record))
    }
}

fn slot(from: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match from.byte()? {
        slot if slot < SLOTS => Ok(slot),
        slot => Err(DecodeError::Value { field: "slot", value: slot.into() }),
    }
}

fn route<'a>(mut key: Reader<'a>, online: Option<u32>) -> Result<Record<'a>, DecodeError> {
    let (slot, incarnation) = (slot(&mut key)?, Incarnation(key.number()?));
    let name = RouteName { share: key.string()?, filter: key.string()? };
    key.end()?;
    Ok(Record::Route { slot, incarnation, name, online })
}
