//! The auth service of Micro MQ: who is registered, and what that client may do, for all nodes; over gRPC, by the protocol in
//! `auth-actor/proto`.
//!
//! [`Service`] answers, from a [`Registry`] on the disk; [`RpcProvider`] is how a node asks it; [`Operator`] how the command
//! line does.

mod index;
mod model;
mod operator;
mod provider;
mod registry;
mod server;
mod store;
mod token;

/// The messages and services, as tonic writes them.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "written by a program")]
pub mod wire {
    tonic::include_proto!("micro_mq.auth.v1");
}

pub use model::CallerRole;
pub use operator::{Bearer, Called, Operator, OperatorError};
pub use provider::{RpcError, RpcProvider};
pub use registry::{Refused, Registry};
pub use server::{Service, ServiceError, ServiceTls};
pub use store::StoreError;
pub use token::Token;
