//! Which nodes there are: a node registers itself with Consul or etcd, keeps that alive, and follows who else is there.
//!
//! The clients are thin ones of our own, over hyper: what is needed of either service is five requests. All of it runs on
//! one thread of its own, [`Registry`], for which nobody waits; what it knows is read by [`Registry::members`]. A
//! registry suspects: that it calls a node critical, or lists it no more, ends nobody by itself.

mod member;
mod options;

mod http;

mod provider;

mod consul;
mod etcd;
mod fixed;

mod registry;
#[cfg(test)]
mod tests;

pub use http::HttpError;
pub use member::{Member, Members, Trouble};
pub use options::{Provider, RegistryOptions, ServiceAddress, ServiceAddressError};
pub use registry::{Figures, Registry, RegistryView};
