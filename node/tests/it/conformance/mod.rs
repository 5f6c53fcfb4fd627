//! What the standards say of a server, statement by statement. Each test names those that it shows, and
//! docs/conformance.md is written from that.

mod v31;
mod v311;
mod v5;
