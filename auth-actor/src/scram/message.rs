//! The two messages of a client, taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Longest message of a client in bytes: a user name and a nonce need far less.
const MESSAGE_BYTES_MAX: usize = 4096;

/// `n,,n=user,r=nonce`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    /// `n,,` or `y,,`, with the authorization identity if there is one.
    pub(crate) gs2_header: &'a str,
    /// All behind that header.
    pub(crate) bare: &'a str,
    /// The user name, unescaped, not yet prepared.
    pub(crate) user_name: String,
    pub(crate) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// `None` if the message is malformed, asks for channel binding or for an extension that has to be understood, or
    /// wants to act as another user.
    pub(crate) fn parse(data: &'a [u8]) -> Option<Self> {
        let text = text(data)?;
        let (flag, rest) = text.split_once(',')?;
        // "y": the client could bind to the channel and believes that the server cannot. It is right.
        if !matches!(flag, "n" | "y") {
            return None;
        }
        let (authorization_identity, bare) = rest.split_once(',')?;
        let gs2_header = &text[..text.len() - bare.len()];
        // An extension that has to be understood, "m=", would stand before the user name.
        let (user_name, rest) = bare.strip_prefix("n=")?.split_once(',')?;
        let user_name = unescape(user_name)?;
        if !authorization_identity.is_empty() {
            let other = unescape(authorization_identity.strip_prefix("a=")?)?;
            if other != user_name {
                return None;
            }
        }
        let nonce = rest.split(',').next()?.strip_prefix("r=")?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        Some(Self { gs2_header, bare, user_name, nonce })
    }
}

/// `c=biws,r=nonce,p=proof`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// The GS2 header again, decoded.
    pub(super) channel_binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// The message up to the comma before the proof.
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    /// `None` if the message is malformed.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (without_proof, proof) = text(data)?.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let channel_binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        Some(Self {
            channel_binding: BASE64.decode(channel_binding).ok()?,
            nonce,
            proof: BASE64.decode(proof).ok()?,
            without_proof,
        })
    }
}

fn text(data: &[u8]) -> Option<&str> {
    if data.len() > MESSAGE_BYTES_MAX || data.contains(&0) {
        return None;
    }
    std::str::from_utf8(data).ok()
}

/// Undoes the escapes of a `saslname`: `=2C` is a comma and `=3D` an equals sign; no other `=` may stand there.
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            plain.push(',');
            plain.push_str(rest);
        } else {
            plain.push('=');
            plain.push_str(part.strip_prefix("3D")?);
        }
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_first_message_is_taken_apart() {
        let first = ClientFirst::parse(b"y,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=xyz,t=extension").unwrap();
        assert_eq!(first.gs2_header, "y,a=a=2Cb=3Dc,");
        assert_eq!(first.bare, "n=a=2Cb=3Dc,r=xyz,t=extension");
        assert_eq!(first.user_name, "a,b=c");
        assert_eq!(first.nonce, "xyz");
    }

    #[test]
    fn what_a_client_may_not_say_first() {
        for wrong in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,n=,r=xyz",
            "n,,n=user,r=",
            "n,,n=user,r=x\u{7f}",
            "n,,n=us=er,r=xyz",
            "n,,n=user=2c,r=xyz",
            "n,,m=must,n=user,r=xyz",
            "n,a=other,n=user,r=xyz",
            "n,other,n=user,r=xyz",
            "p=tls-exporter,,n=user,r=xyz",
            "n=user,r=xyz",
            "n,,n=us\0er,r=xyz",
        ] {
            assert_eq!(ClientFirst::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=xyz"), None);
        assert_eq!(ClientFirst::parse(format!("n,,n={},r=xyz", "u".repeat(5000)).as_bytes()), None);
    }

    #[test]
    fn what_a_client_may_not_say_last() {
        for wrong in
            ["", "c=biws,r=x", "r=x,c=biws,p=AAAA", "c=b!,r=x,p=AAAA", "c=biws,r=x,p=%", "c=biws,p=AAAA"]
        {
            assert_eq!(ClientFinal::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
