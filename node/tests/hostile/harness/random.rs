//! Numbers that a seed decides.

/// The seed of a run: of the environment, or a new one. It is printed, so that what fails can be replayed.
pub(crate) fn seed() -> u64 {
    let told = std::env::var("MICRO_MQ_HOSTILE_SEED").ok();
    let seed = told.map_or_else(
        || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        |told| told.parse().expect("MICRO_MQ_HOSTILE_SEED is a number"),
    );
    eprintln!("MICRO_MQ_HOSTILE_SEED={seed}");
    seed
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0, below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    pub(crate) fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }
}
