//! An operator looks through what a worker has: in turns of [`ROWS_PER_TURN`] rows or [`TURN`], between which everybody
//! else has theirs.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::yield_now;

use crate::clock;
use crate::messages::{LookThrough, Looked, Sight, Surroundings, Visitor};
use crate::worker::Worker;

/// Rows looked at before others have their turn.
const ROWS_PER_TURN: usize = 256;
/// The time that may take.
const TURN: Duration = Duration::from_micros(100);
/// Rows between two looks at the clock.
const ROWS_PER_LOOK_AT_CLOCK: usize = 16;

/// Where a visitor is: at a place in a table, and at a piece of what is there.
#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    place: usize,
    piece: usize,
}

impl Worker {
    /// Shows a visitor what it wants to see.
    pub(super) async fn look_through(self: Rc<Self>, look: LookThrough) -> Box<dyn Visitor> {
        let LookThrough { mut visitor, sight, asker } = look;
        let mut stand = Stand::default();
        while self.look_for_a_turn(&mut *visitor, &sight, &mut stand) && asker.strong_count() > 0 {
            yield_now().await;
        }
        visitor
    }

    /// Returns whether there is more to see.
    fn look_for_a_turn(&self, visitor: &mut dyn Visitor, sight: &Sight, stand: &mut Stand) -> bool {
        let mut state = self.state();
        let node = Arc::clone(&state.node);
        let began = clock::now();
        let surroundings = Surroundings { node: &node, worker: self.id, now: began };
        let (begin, end) = match sight {
            Sight::Sessions => (0, state.sessions.places()),
            Sight::Groups => (0, state.groups.places()),
            Sight::Client(client_identifier) => match state.sessions.find(client_identifier) {
                Some(key) => (key.index as usize, key.index as usize + 1),
                None => return false,
            },
        };
        stand.place = stand.place.max(begin);
        let (mut rows, mut look_at_clock) = (0, ROWS_PER_LOOK_AT_CLOCK);
        while stand.place < end {
            if rows >= look_at_clock {
                if rows >= ROWS_PER_TURN || clock::now().saturating_duration_since(began) >= TURN {
                    return true;
                }
                look_at_clock = rows + ROWS_PER_LOOK_AT_CLOCK;
            }
            let looked = if *sight == Sight::Groups {
                state.groups.in_place(stand.place).map(|group| visitor.visit_group(group))
            } else {
                let session = state.sessions.in_places(stand.place, 1).next();
                session.map(|session| visitor.visit(session, stand.piece, &surroundings))
            };
            let looked = looked.unwrap_or(Looked::DONE);
            rows += looked.rows;
            *stand = match looked.is_to_go_on {
                true => Stand { piece: stand.piece + 1, ..*stand },
                false => Stand { place: stand.place + 1, piece: 0 },
            };
        }
        false
    }
}
