//! What the server keeps instead of a password: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as in RFC 5803.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Mechanism;

/// Iterations of verifiers that are written here. Each costs whoever has stolen the file, but each login costs the
/// client as many; 65,536 take a small computer below 100 ms. The least that RFC 7677 admits is 4096.
pub(crate) const ITERATIONS: u32 = 65_536;

const ITERATIONS_MIN: u32 = 4096;

/// Nobody wants to wait longer; a count beyond it is a slip of the pen.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Length of a salt in bytes: shorter ones do not tell many users apart, longer ones do not help.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// The verifier of one user for one mechanism. Whoever knows it cannot log in, but can play the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    pub(super) mechanism: Mechanism,
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Vec<u8>,
    pub(super) server_key: Vec<u8>,
}

/// Why a text is not a verifier. It does not repeat the text.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifierError {
    #[error("is not of the form {}$iterations:salt$StoredKey:ServerKey", .0.name())]
    Form(Mechanism),
    #[error("iteration count {0} is not within {ITERATIONS_MIN} and {ITERATIONS_MAX}")]
    Iterations(u32),
    #[error("salt of {0} bytes is not within {min} and {max}", min = SALT_BYTES.start(), max = SALT_BYTES.end())]
    Salt(usize),
    #[error("key of {found} bytes instead of {expected}")]
    Key { found: usize, expected: usize },
}

impl Verifier {
    /// Makes the verifier of a prepared password: slow.
    pub(crate) fn derive(mechanism: Mechanism, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = mechanism.salted_password(password.as_bytes(), salt, iterations);
        Self {
            mechanism,
            iterations,
            salt: salt.to_owned(),
            stored_key: mechanism.hash(&mechanism.hmac(&salted, b"Client Key")),
            server_key: mechanism.hmac(&salted, b"Server Key"),
        }
    }

    /// A verifier for a user that does not exist, so that the client learns no more than that it failed. The same name
    /// always has the same salt, and nobody knows a password for it.
    pub(crate) fn decoy(mechanism: Mechanism, secret: &[u8], user_name: &str, like: Option<&Self>) -> Self {
        let (iterations, salt_bytes) =
            like.map_or((ITERATIONS, 16), |like| (like.iterations, like.salt.len()));
        let derive = |purpose: &str| mechanism.hmac(secret, format!("{purpose}\0{user_name}").as_bytes());
        // A salt has at most 64 bytes, which SHA-512 gives for both mechanisms.
        let mut salt =
            Mechanism::Sha512.hmac(secret, format!("{}\0salt\0{user_name}", mechanism.name()).as_bytes());
        salt.truncate(salt_bytes);
        Self {
            mechanism,
            iterations,
            salt,
            stored_key: derive("stored key"),
            server_key: derive("server key"),
        }
    }

    /// Reads the text form.
    pub(crate) fn parse(mechanism: Mechanism, text: &str) -> Result<Self, VerifierError> {
        let form = VerifierError::Form(mechanism);
        let rest = text.strip_prefix(mechanism.name()).and_then(|rest| rest.strip_prefix('$')).ok_or(form)?;
        let (parameters, keys) = rest.split_once('$').ok_or(form)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(form)?;

        let iterations = iterations.parse().map_err(|_| form)?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(VerifierError::Iterations(iterations));
        }
        let salt = BASE64.decode(salt).map_err(|_| form)?;
        if !SALT_BYTES.contains(&salt.len()) {
            return Err(VerifierError::Salt(salt.len()));
        }
        let key = |text: &str| {
            let key = BASE64.decode(text).map_err(|_| form)?;
            let expected = mechanism.key_bytes();
            if key.len() == expected {
                Ok(key)
            } else {
                Err(VerifierError::Key { found: key.len(), expected })
            }
        };
        Ok(Self { mechanism, iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }

    /// The text form, for the file alone.
    pub(crate) fn to_text(&self) -> String {
        format!(
            "{}${}:{}${}:{}",
            self.mechanism.name(),
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(&self.stored_key),
            BASE64.encode(&self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_comes_back() {
        for mechanism in [Mechanism::Sha256, Mechanism::Sha512] {
            let verifier = Verifier::derive(mechanism, "pencil", b"0123456789abcdef", 4096);
            assert_eq!(Verifier::parse(mechanism, &verifier.to_text()), Ok(verifier));
        }
    }

    #[test]
    fn wrong_texts_are_told_apart() {
        let parse = |text: &str| Verifier::parse(Mechanism::Sha256, text).unwrap_err();
        let form = VerifierError::Form(Mechanism::Sha256);
        assert_eq!(parse("open sesame"), form);
        assert_eq!(parse("SCRAM-SHA-512$4096:c2FsdHNhbHQ=$AAAA:AAAA"), form);
        assert_eq!(parse("SCRAM-SHA-256$many:c2FsdHNhbHQ=$AAAA:AAAA"), form);
        assert_eq!(parse("SCRAM-SHA-256$1:c2FsdHNhbHQ=$AAAA:AAAA"), VerifierError::Iterations(1));
        assert_eq!(parse("SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA"), VerifierError::Salt(4));
        assert_eq!(
            parse("SCRAM-SHA-256$4096:c2FsdHNhbHQ=$AAAA:AAAA"),
            VerifierError::Key { found: 3, expected: 32 }
        );
    }

    #[test]
    fn a_decoy_is_the_same_each_time_and_looks_like_the_others() {
        let like = Verifier::derive(Mechanism::Sha512, "pencil", &[7; 24], 5000);
        let decoy = |secret: &[u8], name| Verifier::decoy(Mechanism::Sha512, secret, name, Some(&like));
        assert_eq!(decoy(b"secret", "nobody"), decoy(b"secret", "nobody"));
        assert_ne!(decoy(b"secret", "nobody").salt, decoy(b"secret", "somebody").salt);
        assert_ne!(decoy(b"secret", "nobody").salt, decoy(b"other", "nobody").salt);
        assert_eq!(
            (decoy(b"secret", "nobody").salt.len(), decoy(b"secret", "nobody").iterations),
            (24, 5000)
        );
    }
}
