//! Stand-ins for users who do not exist, so that neither the time nor the form of an answer tells who does.

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Params, PasswordHash, Version};
use sha2::{Digest, Sha512};

use super::User;
use crate::AuthError;
use crate::scram::{Mechanism, Verifier};

/// What logins with an unknown name are compared with.
pub(super) struct Decoys {
    /// As costly as that of a user; no password fits.
    pub(super) hash: PasswordHash,
    /// From it come the salts; the same after a restart.
    secret: Vec<u8>,
    /// What salts and iteration counts look like, by mechanism.
    like: [Option<Verifier>; 2],
}

impl Decoys {
    /// A verifier that no password fits, the same each time for a name.
    pub(super) fn verifier(&self, mechanism: Mechanism, user_name: &str) -> Verifier {
        let like = match mechanism {
            Mechanism::Sha256 => &self.like[0],
            Mechanism::Sha512 => &self.like[1],
        };
        Verifier::decoy(mechanism, &self.secret, user_name, like.as_ref())
    }
}

/// What the decoys are made after: the first user with a password, the first with each verifier.
#[derive(Default)]
pub(super) struct Models {
    params: Option<ParamsString>,
    secret: Option<Vec<u8>>,
    like: [Option<Verifier>; 2],
}

impl Models {
    /// Looks at the next user of the file.
    pub(super) fn consider(&mut self, user: &User) {
        if self.params.is_none() {
            self.params = user.password.as_ref().map(|hash| hash.params.clone());
        }
        let verifiers = [&user.scram_sha_256, &user.scram_sha_512];
        for (like, verifier) in self.like.iter_mut().zip(verifiers) {
            if like.is_none() {
                like.clone_from(verifier);
            }
        }
        // Nobody but the owner of the file knows a verifier, and it outlives a restart.
        if let (None, Some(verifier)) = (&self.secret, verifiers.into_iter().flatten().next()) {
            self.secret = Some(Sha512::digest(verifier.to_text()).to_vec());
        }
    }

    /// # Errors
    /// The system has no random bytes.
    pub(super) fn into_decoys(self) -> Result<Decoys, AuthError> {
        let mut random = [0; 48];
        getrandom::fill(&mut random).map_err(AuthError::Random)?;
        let (salt, output) = random.split_at(16);
        // Random bytes in place of a hash: nobody can know a password for them.
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: self.params.unwrap_or_else(|| {
                ParamsString::try_from(Params::default()).expect("the default parameters are short")
            }),
            salt: Some(Salt::new(salt).expect("16 bytes are a salt")),
            hash: Some(Output::new(output).expect("32 bytes are a hash")),
        };
        Ok(Decoys { hash, secret: self.secret.unwrap_or_else(|| random.to_vec()), like: self.like })
    }
}
