//! Why a WebSocket was refused or closed, in the words of the metrics.

use std::io;

use super::{HandshakeError, WebSocketError};

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident => $label:literal),+ $(,)?) => {
        /// See the module.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum WebSocketRefusal { $($(#[$doc])* $variant),+ }

        impl WebSocketRefusal {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The reason as metrics name it.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}

refusals! {
    /// Not HTTP 1.1.
    NotHttp => "not_http",
    /// Another method than GET.
    WrongMethod => "wrong_method",
    /// No WebSocket is offered at the path.
    UnknownPath => "unknown_path",
    /// Too many or too long headers.
    HeadersTooLarge => "headers_too_large",
    /// No upgrade to WebSocket 13.
    NoUpgrade => "no_upgrade",
    /// An upgrade with a header that is missing, wrong, or there more than once.
    Malformed => "malformed_upgrade",
    /// A web page that may not connect.
    ForeignOrigin => "foreign_origin",
    /// The sub-protocol is not offered.
    NoMqtt => "no_mqtt",
    /// A text message in place of a binary one.
    Text => "text_message",
    /// A message or frame above the maximum packet size.
    TooLarge => "message_too_large",
    /// Text that is not UTF-8.
    NotUtf8 => "not_utf8",
    /// Any other violation of the protocol of frames.
    Protocol => "protocol_error",
}

impl WebSocketRefusal {
    /// What a failed handshake counts as; nothing if the client just left.
    pub(crate) fn of_handshake(error: &HandshakeError) -> Option<Self> {
        Some(match error {
            HandshakeError::Io(_) | HandshakeError::Incomplete { .. } => return None,
            HandshakeError::NotHttp(_) => Self::NotHttp,
            HandshakeError::HeadersTooLarge => Self::HeadersTooLarge,
            HandshakeError::WrongMethod => Self::WrongMethod,
            HandshakeError::UnknownPath(_) => Self::UnknownPath,
            HandshakeError::UpgradeRequired(_) => Self::NoUpgrade,
            HandshakeError::Malformed(_) => Self::Malformed,
            HandshakeError::NoMqtt(_) => Self::NoMqtt,
        })
    }

    /// What an error of reading counts as; nothing if it is one of the socket.
    pub(crate) fn of_read(error: &io::Error) -> Option<Self> {
        Some(match error.get_ref()?.downcast_ref::<WebSocketError>()? {
            WebSocketError::TextMessage { .. } => Self::Text,
            WebSocketError::TooLarge(_) => Self::TooLarge,
            WebSocketError::NotUtf8(_) => Self::NotUtf8,
            WebSocketError::Protocol(_) => Self::Protocol,
        })
    }
}
