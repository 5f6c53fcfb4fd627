//! Network connections: reading CONNECT, and one actor for each that is taken in.

mod accept;
mod actor;
mod context;
mod effects;
mod handshake;
mod limits;
pub mod outbox;
mod parting;
mod permit;
mod protocol;
mod retained;
pub mod transport;

pub use accept::{Listener, ListenerKind};
pub use actor::{Authorized, ChangeInForce, Close, Connection, Newcomer, ObserveConnection, Reauthenticated, TrieLost};
pub use effects::Effects;
pub use handshake::refuse;
pub use limits::decode_limits;
pub use permit::ConnectionPermit;
pub use retained::RetainedPieces;

pub(crate) use accept::{accept, bind};
