//! How changes stand in the log, and sessions in the checkpoint. Numbers are little endian, texts have their length before.
//!
//! In the checkpoint a session has a blob, and each of its subscriptions, so that a change writes what it concerns and no
//! more. Their keys begin with the client identifier and a zero, which no text of MQTT has.

use std::sync::Arc;

use micro_mq_core::changes::{Change, SessionChange};
use micro_mq_core::subscriptions::Subscription;
use micro_mq_store::{Shard, Write};
use mqtt_codec::SubscriptionOptions;

use crate::sessions::store::backend::StoredSession;

/// The version of an entry, and the newest one that is read.
const VERSION: u8 = 1;

const EXISTS: u8 = 1;
const SUBSCRIBED: u8 = 2;
const UNSUBSCRIBED: u8 = 3;
const ENDED: u8 = 4;

/// Behind all keys of a session: no text has this byte.
const BEHIND: u8 = 0xff;

/// Why bytes say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Of a later version of this program.
    #[error("version {0} of an entry, and this one reads {VERSION} at most")]
    Version(u8),
    /// They end too early, or say what nothing says.
    #[error("not what was ever written")]
    Malformed,
}

/// A batch as an entry of the log.
pub(super) fn encode(changes: &[SessionChange]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for SessionChange { client_identifier, change } in changes {
        let (kind, filter) = match change {
            Change::Exists { .. } => (EXISTS, None),
            Change::Subscribed(filter, _) => (SUBSCRIBED, Some(filter)),
            Change::Unsubscribed(filter) => (UNSUBSCRIBED, Some(filter)),
            Change::Ended => (ENDED, None),
        };
        out.push(kind);
        put_text(&mut out, client_identifier);
        filter.into_iter().for_each(|filter| put_text(&mut out, filter));
        match change {
            Change::Exists { expiry_interval } => out.extend_from_slice(&expiry_interval.to_le_bytes()),
            Change::Subscribed(_, subscription) => out.extend_from_slice(&subscription_blob(subscription)),
            Change::Unsubscribed(_) | Change::Ended => {}
        }
    }
    out
}

/// The batch of an entry.
pub(super) fn decode(entry: &[u8]) -> Result<Vec<SessionChange>, EncodingError> {
    let (version, mut rest) = entry.split_first().ok_or(EncodingError::Malformed)?;
    if *version != VERSION {
        return Err(EncodingError::Version(*version));
    }
    let mut changes = Vec::new();
    while let Some((kind, behind)) = rest.split_first() {
        rest = behind;
        let client_identifier = take_text(&mut rest)?;
        let change = match *kind {
            EXISTS => Change::Exists { expiry_interval: take_number(&mut rest)? },
            SUBSCRIBED => Change::Subscribed(take_text(&mut rest)?, take_subscription(&mut rest)?),
            UNSUBSCRIBED => Change::Unsubscribed(take_text(&mut rest)?),
            ENDED => Change::Ended,
            _ => return Err(EncodingError::Malformed),
        };
        changes.push(SessionChange { client_identifier, change });
    }
    Ok(changes)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], EncodingError> {
    let (taken, behind) = rest.split_at_checked(bytes).ok_or(EncodingError::Malformed)?;
    *rest = behind;
    Ok(taken)
}

fn take_number(rest: &mut &[u8]) -> Result<u32, EncodingError> {
    let mut number = [0; 4];
    number.copy_from_slice(take(rest, 4)?);
    Ok(u32::from_le_bytes(number))
}

fn take_text(rest: &mut &[u8]) -> Result<Arc<str>, EncodingError> {
    let length = take_number(rest)? as usize;
    std::str::from_utf8(take(rest, length)?).map(Arc::from).map_err(|_| EncodingError::Malformed)
}

fn subscription_blob(subscription: &Subscription) -> [u8; 5] {
    let [first, second, third, fourth] = subscription.identifier.to_le_bytes();
    [subscription.options.to_bits(), first, second, third, fourth]
}

fn take_subscription(rest: &mut &[u8]) -> Result<Subscription, EncodingError> {
    let options = SubscriptionOptions::from_bits(take(rest, 1)?[0]).map_err(|_| EncodingError::Malformed)?;
    Ok(Subscription { options, identifier: take_number(rest)? })
}

/// The key of a session, or of its subscription to a filter.
fn key(client_identifier: &str, filter: &str) -> Vec<u8> {
    let mut key = client_identifier.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(filter.as_bytes());
    key
}

/// A key that is behind all those of a session, and before those of the next one.
pub(super) fn key_behind(client_identifier: &str) -> Vec<u8> {
    let mut key = key(client_identifier, "");
    key.push(BEHIND);
    key
}

/// What a change writes into the checkpoint.
#[derive(Debug)]
pub(super) enum Blob {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(Vec<u8>, Vec<u8>),
}

impl Blob {
    pub(super) fn of(SessionChange { client_identifier, change }: &SessionChange) -> Self {
        match change {
            Change::Exists { expiry_interval } => {
                Self::Put(key(client_identifier, ""), expiry_interval.to_le_bytes().to_vec())
            }
            Change::Subscribed(filter, subscription) => {
                Self::Put(key(client_identifier, filter), subscription_blob(subscription).to_vec())
            }
            Change::Unsubscribed(filter) => Self::Remove(key(client_identifier, filter)),
            Change::Ended => Self::RemoveRange(key(client_identifier, ""), key_behind(client_identifier)),
        }
    }

    pub(super) fn write(&self, shard: Shard) -> Write<'_> {
        match self {
            Self::Put(key, blob) => Write::Put(shard, key, blob),
            Self::Remove(key) => Write::Remove(shard, key),
            Self::RemoveRange(from, to) => Write::RemoveRange(shard, from, to),
        }
    }
}

/// Adds a blob to the sessions that were read before, of which the last one may be its own.
pub(super) fn fold(
    sessions: &mut Vec<(Arc<str>, StoredSession)>,
    key: &[u8],
    mut blob: &[u8],
) -> Result<(), EncodingError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| EncodingError::Malformed);
    let end = key.iter().position(|byte| *byte == 0).ok_or(EncodingError::Malformed)?;
    let (client_identifier, filter) = (text(&key[..end])?, text(&key[end + 1..])?);
    if sessions.last().is_none_or(|(last, _)| **last != *client_identifier) {
        sessions.push((client_identifier.into(), StoredSession::default()));
    }
    let Some((_, session)) = sessions.last_mut() else { return Ok(()) };
    if filter.is_empty() {
        session.expiry_interval = take_number(&mut blob)?;
    } else {
        session.subscriptions.insert(filter.into(), take_subscription(&mut blob)?);
    }
    Ok(())
}
