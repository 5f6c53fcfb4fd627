//! What the admin server asks the node; whoever knows the actors answers.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use micro_mq_actors::{AdminHandle, Readiness};

/// An answer that takes its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, AdminError>> + Send>>;

/// The figures of a running node.
///
/// The futures are polled on the thread of the admin server and dropped when it runs out of patience, so they hold
/// nothing that a worker waits for.
pub trait AdminSource: Send + Sync + 'static {
    /// Whether the node serves everybody.
    fn readiness(&self) -> Readiness;

    /// All metrics in the text format of Prometheus, version 0.0.4.
    fn metrics(&self) -> Answer<String>;

    /// What is wrong with the registry of nodes, if there is one and anything is. A node serves everybody all the same.
    fn registry_trouble(&self) -> Option<String> {
        None
    }

    /// What the admin API asks; none if there is no node to ask.
    fn actors(&self) -> Option<Arc<AdminHandle>>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The node starts, stops, or an actor that knows is being started anew. Answered by 503.
    #[error("the node cannot answer now")]
    Unavailable,
    /// Anything else. Answered by 500; the cause goes to the log alone.
    #[error("the node failed to answer")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}
