//! Answers who may connect, publish and subscribe.
//!
//! [`Auth`] is the actor. It is asked, by way of [`Asking`], with [`Authenticate`] (user name and password),
//! [`BeginExchange`] and [`ContinueExchange`] (enhanced authentication [MQTT-4.12]) and [`Authorize`] (publish,
//! subscribe), and it passes each question to its [`Provider`]: `anonymous`, `mock`, `file`, or whatever else
//! [`Answers`]. A provider says by [`Notices`] whose connections are to end. It knows no connection and no packet.
//!
//! # Invariants
//! - When in doubt, the answer is no: an unknown user, a full queue, a thread that died, a topic that is not one; an
//!   answer that is missing, late, or of another length than the question; one that was given under earlier rules.
//! - Who asks waits for a bounded time, whatever the provider does, and a bounded number waits.
//! - Slow hashes run on threads of their own, rules are judged in bounded pieces, and a file is read anew on a thread of
//!   its own; the actor's thread never waits for any.
//! - The actor keeps nothing about a client between two questions. The state of an [`Exchange`] travels with the
//!   caller.
//! - Passwords, hashes and keys never reach a log, an error text or a `Debug` output.
//!
//! # The file
//! ```toml
//! default = "deny"                 # when no rule matches; "allow" if there are no rules at all
//!
//! [[user]]                         # written by `micro-mq passwd`
//! name = "ann"
//! password = "$argon2id$v=19$m=19456,t=2,p=1$..."
//! scram_sha_256 = "SCRAM-SHA-256$65536:salt$StoredKey:ServerKey"
//! scram_sha_512 = "SCRAM-SHA-512$65536:salt$StoredKey:ServerKey"
//!
//! [[rule]]                         # the first rule that matches decides
//! permission = "allow"             # or "deny"
//! action = "all"                   # or "publish", "subscribe"
//! topic = "devices/%c/#"           # %c: client identifier, %u: user name
//! user = "ann"                     # optional: only for this user name
//! client = "meter-1"               # optional: only for this client identifier
//! ```
//! A subscription is allowed only by a rule that covers its whole topic filter, and is hit by a `deny` rule as soon
//! as some topic name is matched by both. `#` and `+` at the beginning of a rule do not match topics that begin with
//! `$`, as in a subscription [MQTT-4.7.2-1].

mod actor;
mod asked;
mod asking;
mod certificate;
mod error;
mod exchange;
mod grant;
mod hashing;
mod notice;
mod password;
mod policy;
mod prepare;
mod provider;
mod question;
mod rules;
mod scram;
mod settings;
mod users;

pub use actor::{Auth, Reload};
pub use asked::{Asked, Asker, Outcome, Outcomes, Question, QuestionKind};
pub use asking::{Asking, Given, NoAnswer};
pub use certificate::{CertificateId, CertificateName, ClientCertificate, revoked_by};
pub use error::AuthError;
pub use exchange::{BeginExchange, ContinueExchange, Exchange, ExchangeOutcome};
pub use grant::{Claims, Grant};
pub use hashing::{HASH_QUEUE_MAX, HASH_THREADS_MAX, HashThreads, Overloaded, StoredPassword};
pub use notice::{Heard, Notice, Notices, Withdrawals, Withdrawn};
pub use password::Password;
pub use policy::{InForce, LivePolicy, Policy};
pub use provider::{Answer, Answers, Provider, now};
pub use question::{
    Action, Authenticate, AuthenticationOutcome, Authorize, Identity, Permissions, Refusal, Wishes,
};
pub use rules::TopicPattern;
pub use settings::{AuthSettings, ProviderKind, WhenUnavailable};
pub use users::{check_file, list_users, remove_user, set_password};
