//! MQTT 3.1, 3.1.1 and 5.0 control packets: bytes to packets, packets to bytes, topic names and topic filters.
//!
//! There is no socket, no clock and no runtime in here. Three ways in, from the plainest to the most comfortable:
//!
//! * [`read_header`] and [`decode_body`] (or [`decode`], both in one) work on borrowed bytes. A PUBLISH borrows its
//!   topic name, properties and payload ([`PublishRef`]): nothing is copied or allocated for it.
//!   [`PublishFrame`] and [`encode_ack`] are their counterpart on the way out, [`encode`] takes any packet.
//! * [`MqttCodec`] turns a byte stream into owned packets ([`Packet`]) for `tokio_util::codec::Framed`
//!   (feature `framed`, a default one).
//! * [`topic`] judges and matches topic names, topic filters and shared subscriptions.
//!
//! Every packet is judged by its sender, fixed header flags, exact length, and the properties and reason codes that
//! are legal for packet, version and sender. What is wrong is a [`DecodeError`] that names its clause and the
//! [`ReasonCode`] to answer with; no input panics, or makes the decoder allocate out of proportion to its size.
//! [`Limits`] bound packets, strings, properties and filters.
//!
//! # Example
//!
//! ```
//! use mqtt_codec::{
//!     Limits, Packet, PacketIdentifier, PacketRef, ProtocolVersion, QoS, Sender, Subscribe, SubscriptionFilter,
//!     decode, encode,
//! };
//!
//! let subscribe = Packet::Subscribe(Subscribe {
//!     packet_identifier: PacketIdentifier::MIN,
//!     subscription_identifier: None,
//!     user_properties: Vec::new(),
//!     filters: vec![(SubscriptionFilter::parse("kitchen/+")?, QoS::AtLeastOnce.into())],
//! });
//! let mut bytes = Vec::new();
//! encode(&subscribe, ProtocolVersion::V5, u32::MAX, &mut bytes)?;
//!
//! let decoded = decode(&bytes, ProtocolVersion::V5, Sender::Client, &Limits::default())?;
//! assert_eq!(decoded, Some((PacketRef::Other(subscribe), bytes.len())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "framed")]
mod codec;
mod error;
mod frame;
mod identifier;
mod limits;
mod packet;
mod packet_type;
mod property;
mod property_identifier;
mod qos;
mod read;
mod reason;
pub mod topic;
mod version;
mod write;

#[cfg(feature = "framed")]
pub use codec::MqttCodec;
pub use error::{CodecError, DecodeError, EncodeError};
pub use frame::{FrameHeader, read_header};
pub use identifier::PacketIdentifier;
pub use limits::{Limits, PACKET_BYTES_MAX, REMAINING_LENGTH_MAX};
pub use packet::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, ConnectProperties,
    Disconnect, DisconnectProperties, FilterPieces, Packet, PacketRef, PayloadFormat, Publish, PublishFrame,
    PublishProperties, PublishPropertiesRef, PublishRef, RetainHandling, SubAck, Subscribe,
    SubscriptionOptions, UnsubAck, Unsubscribe, Will, decode, decode_body, encode, encode_ack, encoded_bytes,
};
pub use packet_type::{PacketType, Sender};
pub use property_identifier::PropertyIdentifier;
pub use qos::{InvalidQoS, QoS};
pub use reason::{ConnectReturnCode, ReasonCode, UnknownReasonCode};
pub use topic::{
    SharedFilter, SubscriptionFilter, TopicError, TopicFilter, TopicName, matches, validate_topic_filter,
    validate_topic_name,
};
pub use version::ProtocolVersion;

/// The examples of the README are compiled and run too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
