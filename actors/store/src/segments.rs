//! The thread that makes segments and gives them back, so that the log does not wait for either.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tracing::{info, warn};

use crate::lanes::{Lacks, Lanes};
use crate::segment::SegmentHead;
use crate::storage::Storage;
use crate::writer::{Segment, discard_prepared, give_back, prepare, segment_name};

/// Until it is tried again to find room on the disk.
pub(crate) const ROOM_PAUSE: Duration = Duration::from_secs(1);

/// What the log asks for.
#[derive(Debug)]
pub(crate) enum Errand {
    /// A segment, which is answered. A later one takes the place of one that could not be made yet.
    Prepare(SegmentHead),
    /// Nobody needs a segment with this number any more.
    GiveBack(u64),
}

/// Segments that nobody needs and that are there still.
#[derive(Debug, Default)]
struct Needless {
    numbers: BTreeSet<u64>,
    is_failing: bool,
}

impl Needless {
    fn note(&mut self, number: u64) {
        self.numbers.insert(number);
    }

    fn is_any_left(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Gives them back from the first one on, as far as that succeeds.
    fn give_back(&mut self, storage: &dyn Storage, segment_bytes: u64) {
        while let Some(number) = self.numbers.first().copied() {
            if let Err(error) = give_back(storage, number, segment_bytes) {
                if !std::mem::replace(&mut self.is_failing, true) {
                    let file = storage.describe(&segment_name(number));
                    warn!(%error, file, "a part of the log could not be given back; it is tried every second");
                }
                return;
            }
            self.numbers.remove(&number);
            self.is_failing = false;
        }
    }
}

/// Runs until nobody asks any more. While no segment can be made, the lanes are full.
///
/// Segments are given back in the order of their numbers, each when those before it are gone: one that is missing between
/// two others is what the next start would refuse.
pub(crate) fn run_errands(
    storage: &dyn Storage,
    segment_bytes: u64,
    asked: &Receiver<Errand>,
    answers: &Sender<Segment>,
    lanes: &Lanes,
) {
    let (mut wanted, mut needless) = (None, Needless::default());
    loop {
        let errand = match wanted.is_some() || needless.is_any_left() {
            false => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            true => asked.recv_timeout(ROOM_PAUSE),
        };
        match errand {
            Ok(Errand::Prepare(head)) => wanted = Some(head),
            Ok(Errand::GiveBack(number)) => needless.note(number),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        needless.give_back(storage, segment_bytes);
        let Some(head) = wanted else { continue };
        match prepare(storage, head) {
            Ok(segment) => {
                wanted = None;
                if lanes.note_room(Lacks::Segment) {
                    info!("there is room for the log again");
                }
                if answers.send(segment).is_err() {
                    return;
                }
                lanes.wake();
            }
            Err(error) => {
                if lanes.note_full(Lacks::Segment) {
                    let folder = storage.describe("");
                    warn!(%error, folder, "there is no room for the log: what has to be kept is not taken");
                }
                if error.kind() == io::ErrorKind::StorageFull {
                    discard_prepared(storage);
                }
            }
        }
    }
}
