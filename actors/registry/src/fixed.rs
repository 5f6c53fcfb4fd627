//! A list of nodes, for whom nobody keeps a registry: whoever accepts a connection is there.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::HttpError;
use crate::member::Member;
use crate::options::RegistryOptions;
use crate::provider::{Directory, Listed};

/// How long a node may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Fixed {
    options: RegistryOptions,
    nodes: Vec<(String, String)>,
    /// When all are asked again.
    next: Cell<Option<Instant>>,
}

impl Fixed {
    pub(crate) fn new(options: RegistryOptions, nodes: Vec<(String, String)>) -> Self {
        Self { options, nodes, next: Cell::new(None) }
    }

    async fn look(&self, name: &str, address: &str) -> Listed {
        let own = &self.options.member;
        let member = if own.name == *name {
            own.clone()
        } else {
            let connected = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
            Member {
                name: name.to_owned(),
                instance: 0,
                version: String::new(),
                addresses: BTreeMap::from([("mqtt".to_owned(), address.to_owned())]),
                is_passing: matches!(connected, Ok(Ok(_))),
            }
        };
        Listed { member, order: 0 }
    }

    /// All at once: one that is silent holds up no other.
    async fn look_at_all(&self) -> Vec<Listed> {
        let mut looks: Vec<_> =
            self.nodes.iter().map(|(name, address)| Box::pin(self.look(name, address))).collect();
        let mut seen: Vec<Option<Listed>> = vec![None; looks.len()];
        let mut all = pin!(poll_fn(|context| {
            for (look, seen) in looks.iter_mut().zip(&mut seen).filter(|(_, seen)| seen.is_none()) {
                if let Poll::Ready(listed) = look.as_mut().poll(context) {
                    *seen = Some(listed);
                }
            }
            if seen.iter().all(Option::is_some) {
                Poll::Ready(std::mem::take(&mut seen))
            } else {
                Poll::Pending
            }
        }));
        all.as_mut().await.into_iter().flatten().collect()
    }
}

impl Directory for Fixed {
    async fn announce(&self) -> Result<(), HttpError> {
        Ok(())
    }

    async fn follow(&self) -> Result<Vec<Listed>, HttpError> {
        if let Some(next) = self.next.get() {
            sleep_until(next).await;
        }
        let seen = self.look_at_all().await;
        self.next.set(Some(Instant::now() + self.options.time_to_live / 3));
        Ok(seen)
    }

    async fn withdraw(&self) -> Result<(), HttpError> {
        Ok(())
    }
}
