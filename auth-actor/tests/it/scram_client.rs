//! The client's side of SCRAM (RFC 5802), written for the tests alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

const ITERATIONS: u32 = 4096;
const SALT: &[u8] = b"salt of a test";

fn hmac(method: &str, key: &[u8], data: &[u8]) -> Vec<u8> {
    match method {
        "SCRAM-SHA-256" => {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
        }
        _ => Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec(),
    }
}

fn hash(method: &str, data: &[u8]) -> Vec<u8> {
    match method {
        "SCRAM-SHA-256" => Sha256::digest(data).to_vec(),
        _ => Sha512::digest(data).to_vec(),
    }
}

fn salted(method: &str, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    match method {
        "SCRAM-SHA-256" => {
            pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations).to_vec()
        }
        _ => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), salt, iterations).to_vec(),
    }
}

/// The line of a file for a password.
pub(crate) fn verifier(method: &str, password: &str) -> String {
    let salted = salted(method, password, SALT, ITERATIONS);
    format!(
        "{method}${ITERATIONS}:{}${}:{}",
        BASE64.encode(SALT),
        BASE64.encode(hash(method, &hmac(method, &salted, b"Client Key"))),
        BASE64.encode(hmac(method, &salted, b"Server Key"))
    )
}

/// A client in the middle of an exchange.
pub(crate) struct ScramClient {
    method: &'static str,
    user_name: String,
    password: String,
}

/// What a server says first.
pub(crate) struct ServerFirst {
    pub(crate) nonce: String,
    pub(crate) salt: String,
    pub(crate) iterations: u32,
}

impl ServerFirst {
    pub(crate) fn parse(data: &[u8]) -> Self {
        let text = std::str::from_utf8(data).unwrap();
        let field =
            |name: &str| text.split(',').find_map(|field| field.strip_prefix(name)).unwrap().to_owned();
        Self { nonce: field("r="), salt: field("s="), iterations: field("i=").parse().unwrap() }
    }
}

const NONCE: &str = "clientnonce";

impl ScramClient {
    pub(crate) fn new(method: &'static str, user_name: &str, password: &str) -> Self {
        Self { method, user_name: user_name.to_owned(), password: password.to_owned() }
    }

    fn bare(&self) -> String {
        format!("n={},r={NONCE}", self.user_name.replace('=', "=3D").replace(',', "=2C"))
    }

    pub(crate) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare()).into_bytes()
    }

    /// The last message, and what the server has to answer.
    pub(crate) fn last(&self, challenge: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let server = ServerFirst::parse(challenge);
        assert!(server.nonce.starts_with(NONCE) && server.nonce.len() > NONCE.len() + 16);
        let salt = BASE64.decode(&server.salt).unwrap();
        let salted = salted(self.method, &self.password, &salt, server.iterations);
        let client_key = hmac(self.method, &salted, b"Client Key");
        let without_proof = format!("c=biws,r={}", server.nonce);
        let message = format!("{},{},{without_proof}", self.bare(), std::str::from_utf8(challenge).unwrap());
        let signature = hmac(self.method, &hash(self.method, &client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
        let server_signature =
            hmac(self.method, &hmac(self.method, &salted, b"Server Key"), message.as_bytes());
        (
            format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes(),
            format!("v={}", BASE64.encode(server_signature)).into_bytes(),
        )
    }
}
