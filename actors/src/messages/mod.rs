//! What actors tell and ask each other, and where they are found: whoever sends knows no actor, only what it takes.

mod act;
mod addresses;
mod current_address;
mod look;
mod retained;
mod sessions;
mod topics;

pub use act::{Act, Deed};
pub use addresses::{RetainedAddress, SessionsAddress, Takes, TrieAddress};
pub use current_address::CurrentAddress;
pub use look::{LookThrough, Looked, Sight, Surroundings, Visitor};
pub use retained::{ObserveRetained, Query, RetainedObservation};
pub use sessions::*;
pub use topics::*;
