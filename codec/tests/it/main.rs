//! The codec seen from outside.

mod arbitrary;
mod codec;
mod connect;
mod encoding;
mod feed;
mod forwarding;
mod framing;
mod publish;
mod reasons;
mod robustness;
mod round_trip;
mod strings;
mod subscribe;
mod topics;
