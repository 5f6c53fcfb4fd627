//! What every registry is asked.

use std::cell::Cell;
use std::time::Duration;

use crate::http::{HttpClient, HttpError};
use crate::member::Member;
use crate::options::RegistryOptions;

/// How long a request may take that has nothing to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a question for changes waits at the registry.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// A member, and where it stands in the order of registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) member: Member,
    /// The later of two registrations has the higher one.
    pub(crate) order: u64,
}

/// A registry, as one node uses it. Futures may be dropped at any moment.
pub(crate) trait Directory {
    /// Registers this node, or gives another sign of its life.
    async fn announce(&self) -> Result<(), HttpError>;

    /// Who is there: at once when it is first asked and behind a failure, then when that changes, or after [`WAIT`].
    async fn follow(&self) -> Result<Vec<Listed>, HttpError>;

    /// Takes this node out, unless another has its name by now.
    async fn withdraw(&self) -> Result<(), HttpError>;
}

/// The addresses of a registry, of which one is asked until it fails.
pub(crate) struct Clients {
    list: Vec<HttpClient>,
    current: Cell<usize>,
}

impl Clients {
    pub(crate) fn new(options: &RegistryOptions, token_header: &'static str) -> Self {
        let client = |address: &_| {
            HttpClient::new(Clone::clone(address), options.tls.clone())
                .with_token(token_header, &options.token)
        };
        Self { list: options.addresses.iter().map(client).collect(), current: Cell::new(0) }
    }

    /// The one to ask, and its number.
    pub(crate) fn current(&self) -> (usize, &HttpClient) {
        let number = self.current.get();
        (number, &self.list[number])
    }

    /// Goes to the next one when `number` is still asked, and did not answer.
    pub(crate) fn note<T>(&self, number: usize, outcome: Result<T, HttpError>) -> Result<T, HttpError> {
        if outcome.is_err() && self.current.get() == number {
            self.current.set((number + 1) % self.list.len());
        }
        outcome
    }
}
