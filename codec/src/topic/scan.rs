//! Looking for a few bytes in topic names and filters, which may have 65,535: whole chunks without an early exit become
//! vector instructions.

/// Below this a byte at a time is as fast.
pub(super) const SHORT_BYTES: usize = 64;
/// Less than a byte counts.
const CHUNK: usize = 128;

/// What is looked at a byte at a time, before chunks are.
const NEAR_BYTES: usize = 16;

/// How many levels a topic name or filter has: one more than slashes.
#[inline]
pub fn count_levels(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.len() < SHORT_BYTES {
        true => 1 + bytes.iter().filter(|byte| **byte == b'/').count(),
        false => 1 + count_in_long(bytes),
    }
}

#[cold]
#[inline(never)]
fn count_in_long(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    let in_chunk = |chunk: &[u8; CHUNK]| chunk.iter().fold(0, |count, byte| count + u8::from(*byte == b'/'));
    let in_chunks: usize = chunks.iter().map(|chunk| usize::from(in_chunk(chunk))).sum();
    in_chunks + rest.iter().filter(|byte| **byte == b'/').count()
}

/// Whether a topic filter holds `+` or `#`.
#[inline]
pub fn holds_wildcard(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() < SHORT_BYTES {
        true => any_wildcard(bytes),
        false => wildcards_from(bytes, 0).is_some(),
    }
}

#[inline]
fn any_wildcard(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| is_wildcard(*byte))
}

#[inline]
pub(super) fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'+' | b'#')
}

/// Where the first `+` or `#` is, from a place on.
pub(super) fn wildcards_from(bytes: &[u8], from: usize) -> Option<usize> {
    let left = bytes.get(from..)?;
    // Where there is one there often are more.
    if let Some(at) = left.iter().take(NEAR_BYTES).position(|byte| is_wildcard(*byte)) {
        return Some(from + at);
    }
    let (chunks, _) = left.as_chunks::<CHUNK>();
    let is_without = |chunk: &&[u8; CHUNK]| !chunk.iter().fold(false, |any, byte| any | is_wildcard(*byte));
    let passed = chunks.iter().take_while(is_without).count() * CHUNK;
    left[passed..].iter().position(|byte| is_wildcard(*byte)).map(|at| from + passed + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_byte_at_a_time_finds(
            pieces in proptest::collection::vec(("[a/]{0,150}", prop_oneof!["\\+", "#", "/", ""]), 0..6),
            from in 0..400usize,
        ) {
            let text: String = pieces.into_iter().map(|(plain, mark)| plain + &mark).collect();
            prop_assert_eq!(count_levels(&text), text.split('/').count());
            prop_assert_eq!(holds_wildcard(&text), text.contains(['+', '#']));
            let expected = (from..text.len()).find(|at| is_wildcard(text.as_bytes()[*at]));
            prop_assert_eq!(wildcards_from(text.as_bytes(), from), expected);
        }
    }
}
