//! The thread that makes segments and gives them back, so that the log does not wait for either.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tracing::{info, warn};

use crate::lanes::Lanes;
use crate::segment::SegmentHead;
use crate::storage::Storage;
use crate::writer::{Segment, discard_prepared, give_back, prepare};

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

/// Runs until nobody asks any more. While no segment can be made, the lanes are full.
pub(crate) fn run_errands(
    storage: &dyn Storage,
    segment_bytes: u64,
    asked: &Receiver<Errand>,
    answers: &Sender<Segment>,
    lanes: &Lanes,
) {
    let mut wanted = None;
    loop {
        let errand = match wanted {
            None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => asked.recv_timeout(ROOM_PAUSE),
        };
        match errand {
            Ok(Errand::Prepare(head)) => wanted = Some(head),
            Ok(Errand::GiveBack(number)) => {
                if let Err(error) = give_back(storage, number, segment_bytes) {
                    warn!(%error, number, "a part of the log could not be given back; the next start does it");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(head) = wanted else { continue };
        match prepare(storage, head) {
            Ok(segment) => {
                wanted = None;
                if lanes.set_disk_full(false) {
                    info!("there is room for the log again");
                }
                if answers.send(segment).is_err() {
                    return;
                }
                lanes.wake();
            }
            Err(error) => {
                if !lanes.set_disk_full(true) {
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
