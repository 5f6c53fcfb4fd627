//! Shared subscriptions: groups, whose turn it is in them, and at whose cost messages wait there.

mod burden;
mod group;
mod group_queue;
mod members;
mod rota;
#[cfg(test)]
mod tests;

pub use burden::Burden;
pub use group::{Departure, GivenBack, Group, Groups};
pub use group_queue::GroupQueue;
pub use members::{Choice, Chosen, Member, MemberRoom};
