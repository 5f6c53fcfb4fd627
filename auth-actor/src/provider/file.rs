//! Users and rules of one file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::task::yield_now;

use super::reload::Reloads;
use super::{Answer, Answers, now};
use crate::hashing::{HashThreads, Overloaded};
use crate::rules::{Judgement, Names};
use crate::scram::{Challenge, ClientFirst, Mechanism, ScramError, server_nonce};
use crate::users::UserFile;
use crate::{
    AuthError, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange, Exchange,
    ExchangeOutcome, Identity, LivePolicy, Permissions, Policy, Refusal, prepare,
};

/// Comparisons of a topic with a rule that one question has before the others have their turn: some hundred
/// microseconds.
const COMPARISONS_PER_TURN: usize = 1024;

/// Answers from a file that was read at the start or at the last reload.
pub(super) struct FileProvider {
    source: Arc<Source>,
    reloads: Reloads,
    threads: HashThreads,
}

/// What a file said when it was read.
struct Source {
    file: PathBuf,
    in_force: RwLock<InForce>,
}

#[derive(Clone)]
struct InForce {
    users: Arc<UserFile>,
    /// Which reading of the file it is.
    edition: u64,
}

impl Source {
    fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file anew and puts it in force. By one thread at a time.
    fn read_anew(&self, live: &LivePolicy) -> Result<(), AuthError> {
        let users = Arc::new(UserFile::read(&self.file)?);
        let policy = policy(&users);
        let before = {
            let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
            let edition = in_force.edition + 1;
            std::mem::replace(&mut *in_force, InForce { users, edition })
        };
        live.advance(policy);
        // Behind the lock: it may be large.
        drop(before);
        Ok(())
    }

    /// Judges what a question asks for, in turns with the others.
    async fn judge(self: Arc<Self>, question: Authorize) -> Permissions {
        let Authorize { client_identifier, user_name, wishes, .. } = question;
        let names = Names { client_identifier: &client_identifier, user_name: user_name.as_deref() };
        let (mut judgement, mut judged_by) = (Judgement::default(), None);
        loop {
            {
                let InForce { users, edition } = self.in_force();
                if judged_by.replace(edition).is_some_and(|before| before != edition) {
                    // What was judged until now was judged by rules that are not in force any more.
                    judgement = Judgement::default();
                }
                judgement.go_on(&users.rules, names, &wishes, COMPARISONS_PER_TURN);
            }
            if let Some(verdicts) = judgement.verdicts(&wishes) {
                return verdicts.into();
            }
            yield_now().await;
        }
    }
}

/// An exchange between two steps.
struct ScramExchange {
    reauthenticate: Option<Identity>,
    mechanism: Mechanism,
    step: Step,
}

/// What the server waits for.
enum Step {
    ClientFirst,
    ClientFinal(Box<Challenge>),
}

impl FileProvider {
    pub(super) fn open(file: &Path) -> Result<Self, AuthError> {
        let in_force = InForce { users: Arc::new(UserFile::read(file)?), edition: 0 };
        Ok(Self {
            source: Arc::new(Source { file: file.to_owned(), in_force: RwLock::new(in_force) }),
            reloads: Reloads::default(),
            threads: HashThreads::start().map_err(AuthError::Threads)?,
        })
    }

    fn users(&self) -> Arc<UserFile> {
        self.source.in_force().users
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
        let exchange = Exchange::new(ScramExchange { reauthenticate, mechanism, step });
        ExchangeOutcome::Continue { exchange, data }
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
                identity: Identity::named(challenge.user_name()),
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
                    (Ok(true), Some(user_name)) => Allowed(Identity::named(user_name)),
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
                let state = ScramExchange { reauthenticate, mechanism, step: Step::ClientFirst };
                ExchangeOutcome::Continue { exchange: Exchange::new(state), data: Vec::new() }
            }
            Some(data) => self.challenge(mechanism, reauthenticate, &data),
        })
    }

    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome> {
        let Some(ScramExchange { reauthenticate, mechanism, step }) = question.exchange.into_state() else {
            return now(ExchangeOutcome::Refused(Refusal::NotAuthorized));
        };
        let data = question.data.unwrap_or_default();
        now(match step {
            Step::ClientFirst => self.challenge(mechanism, reauthenticate, &data),
            Step::ClientFinal(challenge) => {
                self.judge(mechanism, reauthenticate.is_some(), &challenge, &data)
            }
        })
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        Box::pin(Arc::clone(&self.source).judge(question))
    }

    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>> {
        let source = Arc::clone(&self.source);
        self.reloads.run(move || source.read_anew(&live))
    }
}
