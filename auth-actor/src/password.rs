//! A password on its way from a CONNECT to the threads that verify it.

use std::fmt;

use zeroize::Zeroizing;

/// A password as it came: any bytes [MQTT-3.1.3.6]. `Debug` hides it, dropping it wipes it.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// The bytes, for who verifies them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Password {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<&[u8]> for Password {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_password_nor_its_length() {
        assert_eq!(format!("{:?}", Password::from(b"open sesame".to_vec())), "Password(..)");
    }
}
