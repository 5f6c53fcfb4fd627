//! The server's two steps: a challenge to the client's first message, a judgement of its last.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;

use super::message::ClientFinal;
use super::{ClientFirst, Verifier};

/// Random bytes in the server's part of the nonce.
const NONCE_BYTES: usize = 18;

/// Why a client's last message does not prove that it knows the password.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScramError {
    /// It is no such message, or belongs to another exchange.
    Malformed,
    /// It is one, with a wrong proof.
    WrongProof,
}

/// A fresh server's part of a nonce.
///
/// # Errors
/// The system has no random bytes.
pub(crate) fn server_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64.encode(bytes))
}

/// What was asked of a client and has to be remembered until it answers. No secret is in it: the verifier is looked up
/// again, so that a user who is removed meanwhile is refused.
#[derive(Debug)]
pub(crate) struct Challenge {
    user_name: String,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    server_first: String,
}

impl Challenge {
    /// Answers a client's first message. `user_name` is that message's, prepared.
    pub(crate) fn new(
        first: &ClientFirst<'_>,
        user_name: String,
        verifier: &Verifier,
        server_nonce: &str,
    ) -> Self {
        let nonce = format!("{}{server_nonce}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        Self {
            user_name,
            gs2_header: first.gs2_header.to_owned(),
            client_first_bare: first.bare.to_owned(),
            nonce,
            server_first,
        }
    }

    /// The user that the client claims to be, prepared.
    pub(crate) fn user_name(&self) -> &str {
        &self.user_name
    }

    /// The message to the client.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Judges the client's last message; gives the server's, which proves that it knows the verifier.
    pub(crate) fn judge(&self, verifier: &Verifier, client_final: &[u8]) -> Result<String, ScramError> {
        let last = ClientFinal::parse(client_final).ok_or(ScramError::Malformed)?;
        if last.channel_binding != self.gs2_header.as_bytes() || last.nonce != self.nonce {
            return Err(ScramError::Malformed);
        }
        let mechanism = verifier.mechanism;
        let auth_message = format!("{},{},{}", self.client_first_bare, self.server_first, last.without_proof);
        let mut client_key = mechanism.hmac(&verifier.stored_key, auth_message.as_bytes());
        if last.proof.len() != client_key.len() {
            return Err(ScramError::Malformed);
        }
        for (byte, proof) in client_key.iter_mut().zip(&last.proof) {
            *byte ^= proof;
        }
        if !bool::from(mechanism.hash(&client_key).ct_eq(&verifier.stored_key)) {
            return Err(ScramError::WrongProof);
        }
        let server_signature = mechanism.hmac(&verifier.server_key, auth_message.as_bytes());
        Ok(format!("v={}", BASE64.encode(server_signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mechanism;
    use super::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn exchange(mechanism: Mechanism, client_final: &str) -> Result<String, ScramError> {
        let verifier = Verifier::derive(mechanism, "pencil", &BASE64.decode(SALT).unwrap(), 4096);
        let first = ClientFirst::parse(FIRST).unwrap();
        let challenge = Challenge::new(&first, first.user_name.clone(), &verifier, NONCE);
        assert_eq!(
            challenge.server_first(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        challenge.judge(&verifier, client_final.as_bytes())
    }

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_exchange_of_rfc_7677() {
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            exchange(Mechanism::Sha256, last).as_deref(),
            Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
    }

    /// The same with SHA-512; the RFC has none, so proof and signature were computed with Python's hashlib and hmac.
    #[test]
    fn the_same_exchange_with_sha_512() {
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
        assert_eq!(
            exchange(Mechanism::Sha512, last).as_deref(),
            Ok("v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==")
        );
    }

    #[test]
    fn a_last_message_has_to_belong_to_the_exchange() {
        const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let last = |head: &str| exchange(Mechanism::Sha256, &format!("{head},p={PROOF}"));
        const RIGHT: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        // "eSws" is "y,,": not the header of the first message.
        assert_eq!(last(&format!("c=eSws,{RIGHT}")), Err(ScramError::Malformed));
        assert_eq!(last("c=biws,r=rOprNGfwEbeRWgbNEkqO"), Err(ScramError::Malformed));
        assert_eq!(last(&format!("c=biws,{RIGHT}x")), Err(ScramError::Malformed));
        assert_eq!(last(&format!("c=biws,{RIGHT},x=1")), Err(ScramError::WrongProof));
        assert_eq!(
            exchange(Mechanism::Sha256, &format!("c=biws,{RIGHT},p=AAAA")),
            Err(ScramError::Malformed)
        );
        assert_eq!(
            exchange(Mechanism::Sha512, &format!("c=biws,{RIGHT},p={PROOF}")),
            Err(ScramError::Malformed)
        );
    }
}
