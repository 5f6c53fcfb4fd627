//! Some clients against a whole node on one thread; see `micro_mq_fuzz::connection`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| micro_mq_fuzz::connection::run(input));
