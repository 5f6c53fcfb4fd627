//! The service over gRPC.

mod access;
mod changes;
mod decisions;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use self::access::Door;
use crate::model::CallerRole;
use crate::registry::{Refused, Registry};
use crate::store::{StoreError, write_secret};
use crate::wire::audit_server::AuditServer;
use crate::wire::callers_server::CallersServer;
use crate::wire::clients_server::ClientsServer;
use crate::wire::decisions_server::DecisionsServer;
use crate::wire::roles_server::RolesServer;

/// Calls of one connection at a time.
const CALLS_PER_CONNECTION_MAX: usize = 1024;
/// How long a handshake of TLS may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The callers that are there from the first start on, and the files with their tokens.
const FIRST_CALLERS: [(&str, CallerRole); 2] =
    [("node", CallerRole::Node), ("operator", CallerRole::Operator)];

/// Certificate and key in PEM, and the CA of callers' certificates if they have to show one.
#[derive(Debug, Default)]
pub struct ServiceTls {
    /// Of the service.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: zeroize::Zeroizing<Vec<u8>>,
    /// Callers have to show a certificate that comes from here, beside their token.
    pub client_ca: Option<Vec<u8>>,
}

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first callers cannot be kept.
    #[error("the first callers cannot be added")]
    Callers(#[source] Refused),
    /// A file with a token cannot be written.
    #[error("{0}: cannot be written")]
    Token(String, #[source] io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
    /// Certificate, key or CA cannot be used, or the server ended.
    #[error("the server cannot run")]
    Server(#[from] tonic::transport::Error),
}

/// A service that listens and does not answer yet.
#[derive(Debug)]
pub struct Service {
    registry: Arc<Registry>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServiceTls>,
}

impl Service {
    /// Opens the folder and binds the address. In a folder that is new two callers are added, node and operator, and their
    /// tokens are written to `node.token` and `operator.token` in it, which their owner alone can read.
    ///
    /// # Errors
    /// As [`ServiceError`] says.
    pub async fn open(
        folder: &Path,
        address: SocketAddr,
        tls: Option<ServiceTls>,
    ) -> Result<Self, ServiceError> {
        let registry = Arc::new(Registry::open(folder)?);
        if !registry.has_callers() {
            for (name, role) in FIRST_CALLERS {
                let token = registry.add_caller("first start", name, role).map_err(ServiceError::Callers)?;
                let file = folder.join(format!("{name}.token"));
                let wrong = |error| ServiceError::Token(file.display().to_string(), error);
                if !write_secret(&file, token.shown()).map_err(wrong)? {
                    return Err(wrong(io::ErrorKind::AlreadyExists.into()));
                }
            }
        }
        let listener =
            TcpListener::bind(address).await.map_err(|error| ServiceError::Bind(address, error))?;
        let address = listener.local_addr().map_err(|error| ServiceError::Bind(address, error))?;
        Ok(Self { registry, listener, address, tls })
    }

    /// Where it listens; the port is the one picked if it was bound to port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready.
    ///
    /// # Errors
    /// When certificate or key cannot be used.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let Self { registry, listener, tls, .. } = self;
        let mut server = Server::builder()
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)));
        if let Some(ServiceTls { certificate, key, client_ca }) = tls {
            let mut config = ServerTlsConfig::new()
                .identity(Identity::from_pem(certificate, &*key))
                .timeout(HANDSHAKE_TIMEOUT);
            if let Some(ca) = client_ca {
                config = config.client_ca_root(Certificate::from_pem(ca));
            }
            server = server.tls_config(config)?;
        }
        let door = Door::new(registry);
        server
            .add_service(DecisionsServer::new(door.clone()))
            .add_service(ClientsServer::new(door.clone()))
            .add_service(RolesServer::new(door.clone()))
            .add_service(CallersServer::new(door.clone()))
            .add_service(AuditServer::new(door))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
            .await?;
        Ok(())
    }
}
