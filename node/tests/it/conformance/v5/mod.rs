//! MQTT 5.0, by packet and chapter.

mod acknowledgements;
mod bytes;
mod connack;
mod connect;
mod fixed_header;
mod lengths;
mod properties;
mod publish;
mod refusals;
mod strings;
