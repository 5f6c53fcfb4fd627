//! MQTT 5.0, by packet and chapter.

mod acknowledgements;
mod auth;
mod bytes;
mod connack;
mod connect;
mod disconnect;
mod exchanges;
mod fixed_header;
mod flow;
mod lengths;
mod problem_information;
mod properties;
mod publish;
mod refusals;
mod sessions;
mod strings;
mod subscribe;
mod topics;
mod unsubscribe;
