//! An auth actor to ask, and files for it to read.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use auth_actor::{
    Action, Asker, Asking, Auth, AuthError, AuthSettings, Authenticate, AuthenticationOutcome, Authorize,
    Given, Identity, LivePolicy, NoAnswer, Outcome, Password, Policy, Provider, ProviderKind, Question,
    QuestionKind, Refusal, Reload,
};
use tempfile::TempDir;

use crate::scram_client::verifier;

/// Longer than any answer takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const CLIENT: &str = "meter-1";

/// A started actor with its file.
pub(crate) struct TestAuth {
    pub(crate) address: Addr<Auth>,
    pub(crate) asking: Arc<Asking>,
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

    /// With another provider than the settings name.
    pub(crate) fn with_provider(settings: &AuthSettings, provider: Provider) -> Self {
        Self::start_on(settings, provider, tempfile::tempdir().unwrap())
    }

    fn start(settings: &AuthSettings, folder: TempDir) -> Self {
        Self::start_on(settings, Provider::from_settings(settings).unwrap(), folder)
    }

    fn start_on(settings: &AuthSettings, provider: Provider, folder: TempDir) -> Self {
        let (policy, live) = (provider.policy(), provider.live_policy());
        let asking = Arc::new(Asking::new(settings, live.clone()));
        Self { address: Auth::new(provider).start(), asking, policy, live, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    /// Asks a question that has an answer.
    pub(crate) async fn ask<Q: Question>(&self, question: Q) -> Q::Answer {
        self.try_to_ask(question).await.expect("an answer").answer
    }

    /// Asks as one who is connected.
    pub(crate) fn try_to_ask<Q: Question>(
        &self,
        question: Q,
    ) -> impl Future<Output = Result<Given<Q::Answer>, NoAnswer>> + use<Q> {
        let (asking, address) = (Arc::clone(&self.asking), self.address.clone());
        async move { within(asking.ask(Some(address), Asker::Connected, question)).await }
    }

    pub(crate) async fn reload(&self) -> Result<(), AuthError> {
        within(self.address.send(Reload)).await.unwrap()
    }

    /// How many verdicts of a kind ended so.
    pub(crate) fn count(&self, kind: QuestionKind, outcome: Outcome) -> u64 {
        self.asking.outcomes().of(kind, outcome)
    }

    pub(crate) async fn log_in(&self, user_name: &str, password: &str) -> AuthenticationOutcome {
        self.ask(login(Some(user_name), Some(password))).await
    }

    pub(crate) async fn may(&self, action: Action, topic: &str) -> bool {
        let question = Authorize {
            client_identifier: CLIENT.to_owned(),
            user_name: Some("ann".to_owned()),
            grant: None,
            wishes: Arc::new([(action, topic.to_owned())]),
        };
        self.ask(question).await.verdicts == [true]
    }
}

pub(crate) async fn within<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, answer).await.expect("no answer within the deadline")
}

pub(crate) fn file_settings(file: PathBuf) -> AuthSettings {
    // Tests that are about a deadline set one.
    let answer_timeout_ms = DEADLINE.as_millis() as u64;
    AuthSettings {
        provider: ProviderKind::File,
        file: Some(file),
        answer_timeout_ms,
        ..AuthSettings::default()
    }
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
    AuthenticationOutcome::Allowed(Identity::named(user_name))
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
