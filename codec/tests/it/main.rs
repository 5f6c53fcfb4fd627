//! The codec seen from outside.

#![allow(clippy::unwrap_used, reason = "the lint's exemption for tests does not reach their helpers")]

mod allocation;
mod arbitrary;
mod codec;
mod connect;
mod encoding;
mod feed;
mod forwarding;
mod framing;
mod names;
mod publish;
mod reasons;
mod robustness;
mod round_trip;
mod strings;
mod subscribe;
mod topics;
