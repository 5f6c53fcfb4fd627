//! Texts of topic filters and topic names, by their levels. Pure.

/// The first level, and what follows it behind the `/`.
pub(super) fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let level = first(text);
    (level, text.get(level.len() + 1..))
}

/// The first level.
pub(super) fn first(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'/');
    &text[..end.unwrap_or(text.len())]
}

/// Whether what a topic filter has behind one of its levels matches what a topic name has there: a level ends where each
/// is empty or begins with `/`.
pub(super) fn match_behind(mut filter: &[u8], mut topic: &[u8]) -> bool {
    while let [b'/', next @ ..] = filter {
        // `a/#` matches `a` too [MQTT-4.7.1-2].
        if next == b"#" {
            return matches!(topic, [] | [b'/', ..]);
        }
        let [b'/', name @ ..] = topic else { return false };
        if let [b'+', rest @ ..] = next {
            (filter, topic) = (rest, &name[first(name).len()..]);
        } else {
            let level = first(next);
            let Some(rest) = name.strip_prefix(level) else { return false };
            (filter, topic) = (&next[level.len()..], rest);
        }
    }
    topic.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_level() {
        let check = |filter: &str, topic: &str, expected| {
            assert_eq!(match_behind(filter.as_bytes(), topic.as_bytes()), expected, "{filter} {topic}");
        };
        check("", "", true);
        check("", "/", false);
        check("/", "", false);
        check("/", "/", true);
        check("/", "/a", false);
        check("/a", "/ab", false);
        check("/ab", "/a", false);
        check("/#", "", true);
        check("/#", "/a/b", true);
        check("//#", "/", true);
        check("//#", "/a", false);
        check("/a/#", "/ab", false);
        check("/+", "", false);
        check("/+", "/", true);
        check("/+/b", "/a/b", true);
        check("/+/b", "/a/b/c", false);
        check("/+/#", "/$a", true);
    }
}
