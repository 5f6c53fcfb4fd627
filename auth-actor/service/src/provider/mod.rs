//! The provider `rpc` of a node: asks the auth service.
//!
//! What was answered is remembered only while the service tells of changes ([`watch`]): when that ends, all that was
//! remembered is forgotten, and asked for again. Without an answer nothing is allowed, unless the settings say otherwise.

mod cache;
mod picker;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use auth_actor::{
    Action, Answer, Answers, AuthError, AuthSettings, Authenticate, AuthenticationOutcome, Authorize,
    BeginExchange, ContinueExchange, ExchangeOutcome, Identity, LivePolicy, Notices, Permissions, Policy,
    Refusal, WhenUnavailable, now,
};
use tokio::sync::oneshot;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use self::cache::Cache;
use self::picker::Picker;
use crate::token::Token;
use crate::wire::authenticate_response::Verdict;
use crate::wire::decisions_client::DecisionsClient;
use crate::wire::{self, AuthenticateRequest, AuthorizeRequest, Wish};

/// How long the service has for verdicts on topics.
const VERDICTS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection to it may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection on which nothing comes back for so long, twice, is dead.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Why the provider cannot be.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No address of the service is named.
    #[error("auth.rpc_addresses: must name the auth service when auth.provider is \"rpc\"")]
    NoAddress,
    /// An address is none.
    #[error("auth.rpc_addresses: {address:?}: {cause}")]
    Address {
        /// As configured.
        address: String,
        /// Why.
        cause: String,
    },
    /// A file cannot be read.
    #[error("{key}: {}: cannot be read", file.display())]
    Read {
        /// The key that names it.
        key: &'static str,
        /// As configured.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The token is no secret, or none.
    #[error("auth.rpc_token_file: {}: {problem}", file.display())]
    Token {
        /// As configured.
        file: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no thread for it.
    #[error("cannot start the thread that asks the auth service")]
    Thread(#[source] io::Error),
}

/// What all questions share, and the thread that watches.
struct Shared {
    picker: Picker,
    cache: Cache,
    authorization: MetadataValue<Ascii>,
    when_unavailable: WhenUnavailable,
    login_timeout: Duration,
    live: OnceLock<LivePolicy>,
    notices: OnceLock<Notices>,
    /// Held while the policy advances, so that one does at a time.
    advancing: Mutex<()>,
}

/// See the module.
pub struct RpcProvider {
    shared: Arc<Shared>,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

const POLICY: Policy = Policy { authenticates: true, authorizes: true };

impl RpcProvider {
    /// Reads the files that the settings name, and begins to watch. The service need not be there yet.
    ///
    /// # Errors
    /// As [`RpcError`] says.
    pub fn open(settings: &AuthSettings) -> Result<Self, RpcError> {
        let endpoints = endpoints(settings)?;
        let authorization = authorization(&settings.rpc_token_file)?;
        let wrong = RpcError::Thread;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(wrong)?;
        let channels: Vec<Channel> = {
            // Connections live on the thread that watches, whoever asks by them.
            let _entered = runtime.enter();
            endpoints.iter().map(Endpoint::connect_lazy).collect()
        };
        let shared = Arc::new(Shared {
            picker: Picker::new(channels.clone()),
            cache: Cache::new(Duration::from_secs(settings.rpc_cache_seconds.into())),
            authorization,
            when_unavailable: settings.when_unavailable,
            login_timeout: Duration::from_millis(settings.answer_timeout_ms),
            live: OnceLock::new(),
            notices: OnceLock::new(),
            advancing: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let watched = Arc::clone(&shared);
        let watching = move || {
            runtime.block_on(async {
                for (place, channel) in channels.into_iter().enumerate() {
                    tokio::spawn(watch::follow(Arc::clone(&watched), place, channel));
                }
                // An error says that the provider is gone.
                let _ = stopped.await;
            });
        };
        thread::Builder::new().name("auth-rpc".to_owned()).spawn(watching).map_err(wrong)?;
        Ok(Self { shared, _stop: stop })
    }

    /// Reads and checks the files that the settings name.
    ///
    /// # Errors
    /// As [`RpcError`] says.
    pub fn check(settings: &AuthSettings) -> Result<(), RpcError> {
        endpoints(settings)?;
        authorization(&settings.rpc_token_file).map(|_| ())
    }
}

fn endpoints(settings: &AuthSettings) -> Result<Vec<Endpoint>, RpcError> {
    if settings.rpc_addresses.is_empty() {
        return Err(RpcError::NoAddress);
    }
    let ca = match settings.rpc_ca.as_os_str().is_empty() {
        true => None,
        false => Some(read("auth.rpc_ca", &settings.rpc_ca)?),
    };
    let endpoint = |address: &String| {
        let wrong = |cause: &dyn std::fmt::Display| RpcError::Address {
            address: address.clone(),
            cause: cause.to_string(),
        };
        let mut endpoint = Endpoint::from_shared(address.clone())
            .map_err(|error| wrong(&error))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            .keep_alive_while_idle(true);
        if address.starts_with("https:") {
            let Some(ca) = &ca else { return Err(wrong(&"auth.rpc_ca must name the CA of its certificate")) };
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            endpoint = endpoint.tls_config(tls).map_err(|error| wrong(&error))?;
        }
        Ok(endpoint)
    };
    settings.rpc_addresses.iter().map(endpoint).collect()
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, RpcError> {
    std::fs::read(file).map_err(|source| RpcError::Read { key, file: file.to_owned(), source })
}

fn authorization(file: &Path) -> Result<MetadataValue<Ascii>, RpcError> {
    use std::os::unix::fs::PermissionsExt as _;
    let wrong = |problem| RpcError::Token { file: file.to_owned(), problem };
    let is_open = std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o006 != 0);
    if is_open {
        return Err(wrong("others may read it; take that right from them (chmod o-r)"));
    }
    let text = read("auth.rpc_token_file", file)?;
    let token = Token::read(&String::from_utf8_lossy(&text));
    let value = MetadataValue::try_from(format!("Bearer {}", token.shown()));
    let mut value = value.map_err(|_| wrong("holds no token"))?;
    value.set_sensitive(true);
    if token.shown().is_empty() { Err(wrong("holds no token")) } else { Ok(value) }
}

/// One call of the service.
type Call<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

impl Shared {
    /// Asks, at another address where one does not answer, until the deadline; none without an answer.
    async fn ask<T>(
        &self,
        patience: Duration,
        call: impl Fn(DecisionsClient<Channel>) -> Call<T> + Send + Sync,
    ) -> Option<T> {
        let deadline = tokio::time::Instant::now() + patience;
        for _ in 0..self.picker.len() {
            let picked = self.picker.pick()?;
            let client = DecisionsClient::new(picked.channel());
            match tokio::time::timeout_at(deadline, call(client)).await {
                Ok(Ok(answer)) => {
                    picked.answered();
                    return Some(answer);
                }
                Ok(Err(status)) => {
                    picked.failed(&status.code().to_string());
                    tracing::debug!(code = ?status.code(), "the auth service did not answer");
                }
                Err(_) => {
                    picked.is_late();
                    return None;
                }
            }
        }
        None
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    /// Forgets all that was answered, here and at every connection.
    fn forget(&self) {
        let _one_at_a_time = self.advancing.lock().unwrap_or_else(PoisonError::into_inner);
        self.cache.forget();
        if let Some(live) = self.live.get() {
            live.advance(POLICY);
        }
    }

    async fn login(self: Arc<Self>, question: Authenticate) -> AuthenticationOutcome {
        let Authenticate { client_identifier, user_name, password, peer, .. } = question;
        let message = AuthenticateRequest {
            client_identifier,
            user_name,
            password: password.map(|password| password.as_bytes().to_vec()),
            peer: peer.map(|peer| peer.to_string()).unwrap_or_default(),
        };
        let call = |mut client: DecisionsClient<Channel>| -> Call<_> {
            let request = self.request(message.clone());
            Box::pin(async move { client.authenticate(request).await })
        };
        let answer = self.ask(self.login_timeout, call).await.map(tonic::Response::into_inner);
        let refused = AuthenticationOutcome::Refused;
        match answer.map(|answer| (answer.verdict(), answer.user_name)) {
            Some((Verdict::Allowed, user_name)) => AuthenticationOutcome::Allowed(Identity::named(user_name)),
            Some((Verdict::BadUserNameOrPassword, _)) => refused(Refusal::BadUserNameOrPassword),
            Some((Verdict::NotAuthorized, _)) => refused(Refusal::NotAuthorized),
            Some((Verdict::Unavailable | Verdict::Unspecified, _)) | None => refused(Refusal::Unavailable),
        }
    }

    async fn judge(self: Arc<Self>, question: Authorize) -> Permissions {
        let Authorize { client_identifier, user_name, wishes, .. } = question;
        // Before it is asked: what comes meanwhile makes the answer one of before.
        let (epoch, known) = self.cache.look_up(&client_identifier, user_name.as_deref(), &wishes);
        if let Some(permissions) = known {
            return permissions;
        }
        let wish = |(action, topic): &(Action, String)| Wish {
            action: match action {
                Action::Publish => wire::Action::Publish.into(),
                Action::Subscribe => wire::Action::Subscribe.into(),
            },
            topic: topic.clone(),
        };
        let message = AuthorizeRequest {
            client_identifier: client_identifier.clone(),
            user_name: user_name.clone(),
            wishes: wishes.iter().map(wish).collect(),
        };
        let call = |mut client: DecisionsClient<Channel>| -> Call<_> {
            let request = self.request(message.clone());
            Box::pin(async move { client.authorize(request).await })
        };
        match self.ask(VERDICTS_TIMEOUT, call).await.map(|answer| answer.into_inner().allowed) {
            Some(verdicts) if verdicts.len() == wishes.len() => {
                self.cache.keep(epoch, &client_identifier, user_name.as_deref(), &wishes, verdicts)
            }
            Some(verdicts) => verdicts.into(),
            None if self.when_unavailable == WhenUnavailable::Allow => {
                Permissions { verdicts: vec![true; wishes.len()], time_to_live: Some(Duration::ZERO) }
            }
            None => Permissions::unavailable(),
        }
    }
}

impl Answers for RpcProvider {
    fn policy(&self) -> Policy {
        POLICY
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        Box::pin(Arc::clone(&self.shared).login(question))
    }

    fn begin_exchange(&self, _: BeginExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod))
    }

    fn continue_exchange(&self, _: ContinueExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod))
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        Box::pin(Arc::clone(&self.shared).judge(question))
    }

    fn reload(&self, _: LivePolicy) -> Answer<Result<(), AuthError>> {
        self.shared.forget();
        now(Ok(()))
    }

    fn give_notice_by(&self, notices: Notices) {
        // Once for a node.
        let _ = self.shared.notices.set(notices);
    }

    fn advance_by(&self, live: LivePolicy) {
        let _ = self.shared.live.set(live);
    }
}
