//! A whole node on a clock that stands still, with clients whose every packet is checked.

mod fuzzed;
mod simulated;
