//! Connections and packets of clients that have sessions: more of MQTT than the load scenarios need.

pub(crate) mod link;
pub(crate) mod packets;
