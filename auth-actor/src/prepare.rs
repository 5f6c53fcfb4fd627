//! SASLprep (RFC 4013): one form for user names and passwords that look the same.

use std::borrow::Cow;

use crate::AuthError;

/// Longest user name in bytes: what fits into an MQTT string [MQTT-1.5.4].
const USER_NAME_BYTES_MAX: usize = 65535;

/// The form under which a user name is stored and looked up; `None` if there is none.
pub(crate) fn user_name(text: &str) -> Option<Cow<'_, str>> {
    stringprep::saslprep(text).ok().filter(|prepared| !prepared.is_empty())
}

/// The form of a user name that is to be stored.
///
/// # Errors
/// Empty, too long, or with characters that SASLprep does not admit.
pub(crate) fn user_name_to_store(text: &str) -> Result<String, AuthError> {
    let wrong = |problem| AuthError::UserName { user_name: text.to_owned(), problem };
    let prepared = stringprep::saslprep(text)
        .map_err(|_| wrong("holds characters that RFC 4013 (SASLprep) does not admit"))?;
    if prepared.is_empty() {
        return Err(wrong("is empty"));
    }
    if prepared.len() > USER_NAME_BYTES_MAX {
        return Err(wrong("has more than 65535 bytes"));
    }
    Ok(prepared.into_owned())
}

/// The form of a password from which SCRAM verifiers are made.
///
/// # Errors
/// Empty, not UTF-8, or with characters that SASLprep does not admit.
pub(crate) fn password_to_store(bytes: &[u8]) -> Result<Cow<'_, str>, AuthError> {
    let wrong = |problem| AuthError::Password { problem };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
    let prepared = stringprep::saslprep(text)
        .map_err(|_| wrong("holds characters that RFC 4013 (SASLprep) does not admit"))?;
    if prepared.is_empty() {
        return Err(wrong("is empty"));
    }
    Ok(prepared)
}
