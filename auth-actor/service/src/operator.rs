//! How an operator speaks to the service.

use std::io;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::token::Token;
use crate::wire::audit_client::AuditClient;
use crate::wire::callers_client::CallersClient;
use crate::wire::clients_client::ClientsClient;
use crate::wire::roles_client::RolesClient;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the service cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The token is none.
    #[error("the token cannot be one")]
    Token,
    /// It does not answer, or its certificate is not to be trusted.
    #[error("the auth service at {address} cannot be reached")]
    Unreachable {
        /// As given.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The runtime cannot be started.
    #[error("no runtime")]
    Runtime(#[from] io::Error),
}

/// Puts the token into each request.
#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// What calls go through.
pub type Called = InterceptedService<Channel, Bearer>;

/// A connection to the service, with a token.
#[derive(Debug, Clone)]
pub struct Operator(Called);

impl Operator {
    /// Connects. `ca` is the CA of its certificate in PEM, for an address that begins with https.
    ///
    /// # Errors
    /// As [`OperatorError`] says.
    pub async fn connect(address: &str, token: &Token, ca: Option<Vec<u8>>) -> Result<Self, OperatorError> {
        let unreachable = |source| OperatorError::Unreachable { address: address.to_owned(), source };
        let mut value =
            MetadataValue::try_from(format!("Bearer {}", token.shown())).map_err(|_| OperatorError::Token)?;
        value.set_sensitive(true);
        let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(unreachable)?.timeout(TIMEOUT);
        if let Some(ca) = ca {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
        }
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self(InterceptedService::new(channel, Bearer(value))))
    }

    /// Registering and unregistering.
    pub fn clients(&self) -> ClientsClient<Called> {
        ClientsClient::new(self.0.clone())
    }

    /// Roles of clients.
    pub fn roles(&self) -> RolesClient<Called> {
        RolesClient::new(self.0.clone())
    }

    /// Who may call.
    pub fn callers(&self) -> CallersClient<Called> {
        CallersClient::new(self.0.clone())
    }

    /// Who changed what.
    pub fn audit(&self) -> AuditClient<Called> {
        AuditClient::new(self.0.clone())
    }
}
