//! MQTT 5.0, by packet and chapter.

mod bytes;
mod connect;
mod fixed_header;
mod lengths;
mod properties;
mod refusals;
mod strings;
