//! What a caller is willing to decode.

/// The largest remaining length that its four bytes can say.
pub const REMAINING_LENGTH_MAX: u32 = 268_435_455;

/// The largest packet of the protocol: [`REMAINING_LENGTH_MAX`] and a fixed header of five bytes.
pub const PACKET_BYTES_MAX: u32 = REMAINING_LENGTH_MAX + 5;

/// Limits on what is decoded; whatever exceeds them is an error before anything is allocated for it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet in bytes, fixed header included. Default 16 MiB.
    pub maximum_packet_size: u32,
    /// Longest UTF-8 string in bytes. Default 65535, the most the protocol can say.
    pub string_bytes_max: u16,
    /// Most user properties in one packet (those of the will count as well). Default 1024.
    pub properties_max: u16,
    /// Most topic filters in one SUBSCRIBE or UNSUBSCRIBE. Default 8192.
    pub filters_max: u16,
    /// Whether strings may hold control characters (U+0001 to U+001F, U+007F to U+009F) and Unicode
    /// non-characters. NUL and surrogates are refused always. Default false.
    pub allow_control_characters: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            maximum_packet_size: 16 * 1024 * 1024,
            string_bytes_max: u16::MAX,
            properties_max: 1024,
            filters_max: 8192,
            allow_control_characters: false,
        }
    }
}
