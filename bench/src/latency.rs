//! A histogram of latencies with a fixed relative error, cheap enough to record every delivery.

use serde::Serialize;

/// Values below this have a bucket each; above, half as many share a power of two, which tells them apart to 3 %.
const SUB_BUCKETS: usize = 64;
const SUB_BUCKET_BITS: u32 = SUB_BUCKETS.trailing_zeros();
/// The exact values, then one group for each higher bit of a `u64`.
const BUCKETS: usize = SUB_BUCKETS * (64 - SUB_BUCKET_BITS as usize + 1);

/// Latencies in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

/// What a report shows, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest value, exact.
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, largest: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.largest = self.largest.max(nanoseconds);
    }

    /// Counts all values of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.largest = self.largest.max(other.largest);
    }

    /// Forgets all values, for the measured part after the warm-up.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.largest = 0;
    }

    /// `None` when nothing was recorded.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        (self.total > 0).then(|| Percentiles {
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.largest as f64 / 1e3,
        })
    }

    /// Upper end of the bucket that holds the value of this rank, in microseconds.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        let holding = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        });
        holding.map_or(self.largest, |index| upper_end(index).min(self.largest)) as f64 / 1e3
    }
}

fn bucket(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BUCKET_BITS);
    // `value >> shift` is below 64 for shift 0 and in 32..64 above, where groups of 64 leave their lower half empty.
    shift as usize * SUB_BUCKETS + (value >> shift) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let (shift, position) = (bucket / SUB_BUCKETS, bucket % SUB_BUCKETS);
    let next = (position as u128 + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        for value in
            (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit) - 1, (1u64 << bit) + 1]).chain([u64::MAX])
        {
            let end = upper_end(bucket(value));
            assert!(
                end >= value && (end - value) as f64 <= value as f64 / 31.0,
                "{value} in a bucket up to {end}"
            );
        }
    }

    #[test]
    fn percentiles_of_a_ramp() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), None);
        for microseconds in 1..=1000u64 {
            histogram.record(microseconds * 1000);
        }
        let percentiles = histogram.percentiles().unwrap();
        let near = |value: f64, expected: f64| (value - expected).abs() <= expected * 0.04;
        assert!(near(percentiles.p50, 500.0) && near(percentiles.p99, 990.0), "{percentiles:?}");
        assert_eq!(percentiles.max, 1000.0);
        let mut sum = Histogram::default();
        sum.add(&histogram);
        assert_eq!(sum.percentiles(), Some(percentiles));
    }
}
