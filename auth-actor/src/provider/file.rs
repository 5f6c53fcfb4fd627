//! Users and rules of one file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Answer, Answers, now};
use crate::exchange::Step;
use crate::hashing::{HashThreads, Overloaded};
use crate::rules::Names;
use crate::scram::{Challenge, ClientFirst, Mechanism, ScramError, server_nonce};
use crate::users::UserFile;
use crate::{
    AuthError, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange, Exchange,
    ExchangeOutcome, Identity, LivePolicy, Policy, Refusal, prepare,
};

/// Answers from a file that was read at the start or at the last reload.
pub(super) struct FileProvider {
    file: Arc<PathBuf>,
    users: Arc<RwLock<Arc<UserFile>>>,
    /// Held while the file is read and put in place, so that of two reloads the later one stays.
    reloading: Arc<Mutex<()>>,
    threads: HashThreads,
}

impl FileProvider {
    pub(super) fn open(file: &Path) -> Result<Self, AuthError> {
        let users = UserFile::read(file)?;
        Ok(Self {
            file: Arc::new(file.to_owned()),
            users: Arc::new(RwLock::new(Arc::new(users))),
            reloading: Arc::default(),
            threads: HashThreads::start().map_err(AuthError::Threads)?,
        })
    }

    fn users(&self) -> Arc<UserFile> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The step from a client's first message to the challenge.
    fn challenge(
        &self,
        mechanism: Mechanism,
        reauthenticate: Option<Identity>,
        data: &[u8],
    ) -> ExchangeOutcome {
        let refused = ExchangeOutcome::Refused(Refusal::NotAuthorized);
        let Some(first) = ClientFirst::parse(data) else { return refused };
        let Some(user_name) = prepare::user_name(&first.user_name) else { return refused };
        if let Some(identity) = &reauthenticate
            && identity.user_name.as_deref() != Some(&*user_name)
        {
            return refused;
        }
        let Ok(nonce) = server_nonce() else { return ExchangeOutcome::Refused(Refusal::Unavailable) };
        let users = self.users();
        let verifier = users.verifier(mechanism, &user_name).value;
        let challenge = Challenge::new(&first, user_name.into_owned(), &verifier, &nonce);
        let data = challenge.server_first().as_bytes().to_owned();
        let step = Step::ClientFinal(Box::new(challenge));
        ExchangeOutcome::Continue { exchange: Exchange { reauthenticate, mechanism, step }, data }
    }

    /// The step from a client's last message to the verdict.
    fn judge(
        &self,
        mechanism: Mechanism,
        reauthenticating: bool,
        challenge: &Challenge,
        data: &[u8],
    ) -> ExchangeOutcome {
        let users = self.users();
        let verifier = users.verifier(mechanism, challenge.user_name());
        match challenge.judge(&verifier.value, data) {
            Ok(server_final) if verifier.exists => ExchangeOutcome::Success {
                identity: Identity { user_name: Some(challenge.user_name().to_owned()) },
                data: server_final.into_bytes(),
            },
            Err(ScramError::Malformed) => ExchangeOutcome::Refused(Refusal::NotAuthorized),
            // A DISCONNECT, which ends a re-authentication, knows no bad user name or password.
            Ok(_) | Err(ScramError::WrongProof) => ExchangeOutcome::Refused(if reauthenticating {
                Refusal::NotAuthorized
            } else {
                Refusal::BadUserNameOrPassword
            }),
        }
    }
}

fn policy(users: &UserFile) -> Policy {
    Policy { authenticates: true, authorizes: !users.rules.allow_everything() }
}

impl Answers for FileProvider {
    fn policy(&self) -> Policy {
        policy(&self.users())
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        use AuthenticationOutcome::{Allowed, Refused};

        let Some(user_name) = question.user_name else { return now(Refused(Refusal::NotAuthorized)) };
        let Some(password) = question.password else { return now(Refused(Refusal::BadUserNameOrPassword)) };
        let users = self.users();
        let user_name = prepare::user_name(&user_name);
        let hash = users.password_hash(user_name.as_deref());
        let known = user_name.filter(|_| hash.exists).map(String::from);
        match self.threads.verify(password, hash.value.clone()) {
            Err(Overloaded) => now(Refused(Refusal::Unavailable)),
            Ok(verified) => Box::pin(async move {
                match (verified.await, known) {
                    (Ok(true), Some(user_name)) => Allowed(Identity { user_name: Some(user_name) }),
                    (Ok(_), _) => Refused(Refusal::BadUserNameOrPassword),
                    (Err(_), _) => Refused(Refusal::Unavailable),
                }
            }),
        }
    }

    fn begin_exchange(&self, question: BeginExchange) -> Answer<ExchangeOutcome> {
        let Some(mechanism) = Mechanism::from_name(&question.method) else {
            return now(ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod));
        };
        let reauthenticate = question.reauthenticate;
        now(match question.data {
            // The client speaks first in SCRAM: an empty challenge asks it to (RFC 4422, section 3.3).
            None => {
                let exchange = Exchange { reauthenticate, mechanism, step: Step::ClientFirst };
                ExchangeOutcome::Continue { exchange, data: Vec::new() }
            }
            Some(data) => self.challenge(mechanism, reauthenticate, &data),
        })
    }

    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome> {
        let Exchange { reauthenticate, mechanism, step } = question.exchange;
        let data = question.data.unwrap_or_default();
        now(match step {
            Step::ClientFirst => self.challenge(mechanism, reauthenticate, &data),
            Step::ClientFinal(challenge) => {
                self.judge(mechanism, reauthenticate.is_some(), &challenge, &data)
            }
        })
    }

    fn authorize(&self, question: Authorize) -> Answer<Vec<bool>> {
        let users = self.users();
        let names = Names {
            client_identifier: &question.client_identifier,
            user_name: question.user_name.as_deref(),
        };
        let answers = question
            .questions
            .iter()
            .map(|(action, topic)| users.rules.allow(names, *action, topic))
            .collect();
        now(answers)
    }

    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>> {
        let (file, users, reloading) =
            (Arc::clone(&self.file), Arc::clone(&self.users), Arc::clone(&self.reloading));
        Box::pin(async move {
            let read = move || {
                let _alone = reloading.lock().unwrap_or_else(PoisonError::into_inner);
                let new = UserFile::read(&file)?;
                let policy = policy(&new);
                *users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                live.advance(policy);
                Ok(())
            };
            tokio::task::spawn_blocking(read).await.unwrap_or(Err(AuthError::Interrupted))
        })
    }
}
