//! Entries of the log, and what they make of shards; see `micro_mq_fuzz::records`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| micro_mq_fuzz::records::run(input));
