//! Secrets that nobody chose.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Bits beyond all guessing.
const SECRET_BYTES: usize = 32;

/// A token, or a password, that was drawn. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// As it is to be given to who it is for.
    pub fn shown(&self) -> &str {
        &self.0
    }

    /// From a file or a line that holds one, with blanks around it.
    pub fn read(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Draws one.
pub(crate) fn drawn() -> Result<Token, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Token(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}
