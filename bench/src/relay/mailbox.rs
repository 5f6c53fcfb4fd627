//! What the threads share: who is where, and what they hand over to each other.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
};

use super::Arguments;

/// No thread; there are 64 at most.
const NOWHERE: u8 = u8::MAX;

/// Of all threads.
#[derive(Debug)]
pub(super) struct Shared {
    /// By subscriber number, the thread that it is connected to.
    homes: Vec<AtomicU8>,
    /// By thread.
    pub mailboxes: Vec<Mailbox>,
}

/// Publishes on their way to the subscribers of one thread.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Entries: whom they are for, how long they are, and the packets.
    entries: Mutex<Vec<u8>>,
    /// Wakes the thread, once for everything that came while it did not look.
    pub bell: OwnedFd,
    /// Subscribers of the thread.
    pub subscribers: AtomicU32,
}

impl Shared {
    /// Without any client.
    pub(super) fn new(arguments: &Arguments) -> io::Result<Arc<Self>> {
        let homes = (0..arguments.load.subscribers).map(|_| AtomicU8::new(NOWHERE)).collect();
        let mailboxes = (0..arguments.threads).map(|_| Mailbox::new()).collect::<io::Result<_>>()?;
        Ok(Arc::new(Self { homes, mailboxes }))
    }

    /// The thread of a subscriber.
    pub(super) fn home(&self, subscriber: u32) -> Option<usize> {
        let home = self.homes.get(subscriber as usize)?.load(Ordering::Acquire);
        (home != NOWHERE).then_some(home.into())
    }

    /// A subscriber is with this thread, or with none.
    pub(super) fn settle(&self, subscriber: u32, thread: Option<usize>) {
        if let Some(home) = self.homes.get(subscriber as usize) {
            home.store(thread.map_or(NOWHERE, |thread| thread as u8), Ordering::Release);
        }
    }
}

impl Mailbox {
    fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { entries: Mutex::new(Vec::new()), bell, subscribers: AtomicU32::new(0) })
    }

    /// Puts entries in, and rings unless others wait there already.
    pub(super) fn put(&self, entries: &[u8]) -> io::Result<()> {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = waiting.is_empty();
        waiting.extend_from_slice(entries);
        drop(waiting);
        if ring {
            rustix::io::write(&self.bell, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Takes what is there, in exchange for the empty `entries`.
    pub(super) fn take(&self, entries: &mut Vec<u8>) {
        std::mem::swap(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner), entries);
    }
}

/// Whom an entry is for, if not one subscriber.
pub(super) const ALL: u32 = u32::MAX;

/// Appends an entry.
pub(super) fn put_entry(out: &mut Vec<u8>, subscriber: u32, packets: &[u8]) {
    out.extend_from_slice(&subscriber.to_ne_bytes());
    out.extend_from_slice(&(packets.len() as u32).to_ne_bytes());
    out.extend_from_slice(packets);
}

/// Takes the first entry off: whom it is for, its packets, and what follows.
pub(super) fn take_entry(entries: &mut [u8]) -> Option<(u32, &mut [u8], &mut [u8])> {
    let (subscriber, rest) = entries.split_first_chunk_mut::<4>()?;
    let (size, rest) = rest.split_first_chunk_mut::<4>()?;
    let (packets, rest) = rest.split_at_mut_checked(u32::from_ne_bytes(*size) as usize)?;
    Some((u32::from_ne_bytes(*subscriber), packets, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_as_they_went_in() {
        let mailbox = Mailbox::new().unwrap();
        let mut entries = Vec::new();
        put_entry(&mut entries, 7, b"abc");
        put_entry(&mut entries, ALL, b"");
        mailbox.put(&entries).unwrap();
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        let (subscriber, packets, rest) = take_entry(&mut taken).unwrap();
        assert_eq!((subscriber, &*packets), (7, &b"abc"[..]));
        let (subscriber, packets, rest) = take_entry(rest).unwrap();
        assert_eq!((subscriber, packets.len(), rest.len()), (ALL, 0, 0));
        assert!(take_entry(rest).is_none());
    }
}
