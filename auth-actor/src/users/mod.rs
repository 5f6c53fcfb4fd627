//! The file of users and rules: read by the provider `file`, written by `micro-mq passwd`.

mod decoys;
mod read;
mod write;

use std::borrow::Cow;
use std::collections::HashMap;

use argon2::PasswordHash;

use crate::rules::Rules;
use crate::scram::{Mechanism, Verifier};
use decoys::Decoys;

pub use write::{check_file, list_users, remove_user, set_password};

/// What the file says, checked.
pub(crate) struct UserFile {
    users: HashMap<String, User>,
    pub(crate) rules: Rules,
    /// How many there are.
    rule_count: usize,
    decoys: Decoys,
}

/// A user, by prepared name. What is missing cannot be used to log in.
struct User {
    password: Option<PasswordHash>,
    scram_sha_256: Option<Verifier>,
    scram_sha_512: Option<Verifier>,
}

impl User {
    fn verifier(&self, mechanism: Mechanism) -> Option<&Verifier> {
        match mechanism {
            Mechanism::Sha256 => self.scram_sha_256.as_ref(),
            Mechanism::Sha512 => self.scram_sha_512.as_ref(),
        }
    }
}

/// What a login is compared with.
pub(crate) struct Reference<T> {
    pub(crate) value: T,
    /// Whether there is such a user. If not, the value is a decoy and a success does not count.
    pub(crate) exists: bool,
}

impl UserFile {
    /// The password hash of a user, by prepared name.
    pub(crate) fn password_hash(&self, user_name: Option<&str>) -> Reference<&PasswordHash> {
        match user_name.and_then(|name| self.users.get(name)).and_then(|user| user.password.as_ref()) {
            Some(value) => Reference { value, exists: true },
            None => Reference { value: &self.decoys.hash, exists: false },
        }
    }

    /// The SCRAM verifier of a user, by prepared name.
    pub(crate) fn verifier(&self, mechanism: Mechanism, user_name: &str) -> Reference<Cow<'_, Verifier>> {
        match self.users.get(user_name).and_then(|user| user.verifier(mechanism)) {
            Some(verifier) => Reference { value: Cow::Borrowed(verifier), exists: true },
            None => {
                Reference { value: Cow::Owned(self.decoys.verifier(mechanism, user_name)), exists: false }
            }
        }
    }
}
