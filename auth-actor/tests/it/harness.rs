//! An auth actor to ask, and files for it to read.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use auth_actor::{
    Action, Auth, AuthSettings, Authenticate, AuthenticationOutcome, Authorize, Identity, LivePolicy,
    Password, Policy, Provider, ProviderKind, Refusal,
};
use tempfile::TempDir;

use crate::scram_client::verifier;

/// Longer than any answer takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const CLIENT: &str = "meter-1";

/// A started actor with its file.
pub(crate) struct TestAuth {
    pub(crate) address: Addr<Auth>,
    pub(crate) policy: Policy,
    pub(crate) live: LivePolicy,
    folder: TempDir,
}

impl TestAuth {
    pub(crate) fn with_settings(settings: &AuthSettings) -> Self {
        Self::start(settings, tempfile::tempdir().unwrap())
    }

    pub(crate) fn with_file(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.toml");
        fs::write(&file, text).unwrap();
        Self::start(&file_settings(file), folder)
    }

    fn start(settings: &AuthSettings, folder: TempDir) -> Self {
        let provider = Provider::from_settings(settings).unwrap();
        let (policy, live) = (provider.policy(), provider.live_policy());
        Self { address: Auth::new(provider).start(), policy, live, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    /// Sends a question; the answer comes within the deadline.
    pub(crate) async fn ask<M>(&self, question: M) -> M::Result
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Auth: Handler<M>,
        <Auth as Actor>::Context: ToEnvelope<Auth, M>,
    {
        within(self.address.send(question)).await.unwrap()
    }

    pub(crate) async fn log_in(&self, user_name: &str, password: &str) -> AuthenticationOutcome {
        self.ask(login(Some(user_name), Some(password))).await
    }

    pub(crate) async fn may(&self, action: Action, topic: &str) -> bool {
        let question = Authorize {
            client_identifier: CLIENT.to_owned(),
            user_name: Some("ann".to_owned()),
            questions: vec![(action, topic.to_owned())],
        };
        self.ask(question).await == [true]
    }
}

pub(crate) async fn within<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, answer).await.expect("no answer within the deadline")
}

pub(crate) fn file_settings(file: PathBuf) -> AuthSettings {
    AuthSettings { provider: ProviderKind::File, file: Some(file), ..AuthSettings::default() }
}

pub(crate) fn login(user_name: Option<&str>, password: Option<&str>) -> Authenticate {
    Authenticate {
        client_identifier: CLIENT.to_owned(),
        user_name: user_name.map(str::to_owned),
        password: password.map(|password| Password::from(password.as_bytes())),
        peer: None,
    }
}

pub(crate) fn allowed(user_name: &str) -> AuthenticationOutcome {
    AuthenticationOutcome::Allowed(Identity { user_name: Some(user_name.to_owned()) })
}

pub(crate) const WRONG: AuthenticationOutcome =
    AuthenticationOutcome::Refused(Refusal::BadUserNameOrPassword);

/// A user with hashes that cost next to nothing.
pub(crate) fn user(name: &str, password: &str) -> String {
    format!(
        "[[user]]\nname = {name:?}\npassword = \"{}\"\nscram_sha_256 = \"{}\"\nscram_sha_512 = \"{}\"\n",
        argon2id(password, 8, 1),
        verifier("SCRAM-SHA-256", password),
        verifier("SCRAM-SHA-512", password),
    )
}

pub(crate) fn argon2id(password: &str, memory_kib: u32, passes: u32) -> String {
    let params = Params::new(memory_kib, passes, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_with_salt(password.as_bytes(), b"0123456789abcdef").unwrap().to_string()
}
