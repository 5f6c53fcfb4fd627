//! Subscriptions that come and go against a naive matcher; see `micro_mq_fuzz::trie`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| micro_mq_fuzz::trie::run(input));
