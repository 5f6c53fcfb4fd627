//! Network connections: reading CONNECT, and one actor for each that is taken in.

mod accept;
mod actor;
mod answers;
mod closing;
mod context;
mod deferral;
mod giving_way;
mod handshake;
mod held;
mod judged_again;
mod lines;
mod listening;
mod long_change;
mod messages;
mod opening;
mod partial;
mod questions;
mod reading;
mod refusing;
mod retained_pieces;
mod subscribing;
mod writing;

pub use actor::Connection;

pub use lines::Farewell;
pub use listening::{Listener, ListenerKind};
pub use messages::{ChangeInForce, Close, Newcomer, Permitted, Reauthenticated};
pub use refusing::{Refusal, refuse};
pub use retained_pieces::RetainedPieces;

pub(crate) use accept::accept;
#[cfg(feature = "simulation")]
pub(crate) use accept::{begin, connect_patience};
#[cfg(feature = "simulation")]
pub(crate) use handshake::{Accepted, run as run_handshake};
pub(crate) use listening::Listening;
