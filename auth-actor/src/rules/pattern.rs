//! The topic filter of a rule, with `%c` and `%u` in it.

use mqtt_codec::topic::{TopicError, validate_topic_filter};

use super::{Names, PER_COMPARISON};

/// A topic filter whose levels may hold `%c` (client identifier) and `%u` (user name), also beside other text as in
/// `meter-%c`. Both stand for text within one level, never for a wildcard or a separator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    levels: Vec<Level>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// `+`
    One,
    /// `#`
    AllBelow,
    Text(Vec<Part>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    ClientIdentifier,
    UserName,
}

impl Part {
    fn text<'a>(&'a self, names: Names<'a>) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::ClientIdentifier => Some(names.client_identifier),
            Self::UserName => names.user_name,
        }
    }
}

/// What becomes of a pattern when the name of a client cannot stand in it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It matches nothing.
    NoMatch,
    /// It matches all topics below the levels before.
    MatchAllBelow,
}

/// A level for one client.
#[derive(Copy, Clone, Debug)]
pub(super) enum Resolved<'a> {
    One,
    AllBelow,
    /// Like `#`, and `$` topics too.
    Everything,
    Text(&'a [Part]),
}

impl Pattern {
    /// Reads a topic filter; `%` before any other letter stands for itself.
    pub(crate) fn parse(text: &str) -> Result<Self, TopicError> {
        validate_topic_filter(text)?;
        let levels = text
            .split('/')
            .map(|level| match level {
                "+" => Level::One,
                "#" => Level::AllBelow,
                _ => Level::Text(parts(level)),
            })
            .collect();
        Ok(Self { levels })
    }

    pub(super) fn first_level(&self) -> Option<&Level> {
        self.levels.first()
    }

    /// What it costs to compare it with a topic, in comparisons with a short rule.
    pub(super) fn work(&self) -> usize {
        1 + self.levels.len() / PER_COMPARISON
    }

    /// The levels for this client; `None` if they match nothing.
    pub(super) fn resolve(&self, names: Names<'_>, unusable: Unusable) -> Option<Vec<Resolved<'_>>> {
        let mut resolved = Vec::with_capacity(self.levels.len());
        for (at, level) in self.levels.iter().enumerate() {
            resolved.push(match level {
                Level::One => Resolved::One,
                Level::AllBelow => Resolved::AllBelow,
                Level::Text(parts) if usable(parts, names, at == 0) => Resolved::Text(parts),
                Level::Text(_) if unusable == Unusable::NoMatch => return None,
                Level::Text(_) => {
                    resolved.push(Resolved::Everything);
                    return Some(resolved);
                }
            });
        }
        Some(resolved)
    }
}

fn parts(level: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = level;
    let mut text_end = 0;
    while let Some(found) = rest[text_end..].find('%') {
        let at = text_end + found;
        let name = match rest.as_bytes().get(at + 1) {
            Some(b'c') => Part::ClientIdentifier,
            Some(b'u') => Part::UserName,
            _ => {
                text_end = at + 1;
                continue;
            }
        };
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        parts.push(name);
        rest = &rest[at + 2..];
        text_end = 0;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    parts
}

/// Whether the names can stand in this level: they are there, not empty, hold no separator and no wildcard, and do not
/// turn the topic into one that begins with `$`.
fn usable(parts: &[Part], names: Names<'_>, first_level: bool) -> bool {
    parts.iter().enumerate().all(|(at, part)| {
        if matches!(part, Part::Text(_)) {
            return true;
        }
        let Some(name) = part.text(names) else { return false };
        let begins_topic = first_level && at == 0;
        let hidden = begins_topic && name.starts_with('$');
        !name.is_empty() && !name.contains(['/', '+', '#']) && !hidden
    })
}

/// Whether the parts together are this text.
fn is_text(parts: &[Part], names: Names<'_>, text: &str) -> bool {
    let rest = parts.iter().try_fold(text, |rest, part| rest.strip_prefix(part.text(names)?));
    rest == Some("")
}

/// Whether every topic name that the filter matches is matched by the pattern as well. A topic name is a filter that
/// matches only itself.
pub(super) fn covers(pattern: &[Resolved<'_>], names: Names<'_>, filter: &[&str]) -> bool {
    if misses_dollar(pattern, filter) {
        return false;
    }
    // "#" matches a name of any number of levels, each of which has at least one.
    if let ([Resolved::One, Resolved::AllBelow], ["#"]) = (pattern, filter) {
        return true;
    }
    let mut wanted = filter.iter();
    for level in pattern {
        let covered = match (level, wanted.next()) {
            (Resolved::AllBelow | Resolved::Everything, _) => return true,
            (Resolved::One, Some(&found)) => found != "#",
            // No text is "+" or "#": a pattern's own wildcards are levels of another kind, names hold none.
            (Resolved::Text(parts), Some(&found)) => is_text(parts, names, found),
            (Resolved::One | Resolved::Text(_), None) => false,
        };
        if !covered {
            return false;
        }
    }
    wanted.next().is_none()
}

/// Whether some topic name is matched by both. The empty name counts here, so `/#` and `+` share one: a `deny` rule may
/// hit in a case where it need not.
pub(super) fn overlaps(pattern: &[Resolved<'_>], names: Names<'_>, filter: &[&str]) -> bool {
    if misses_dollar(pattern, filter) {
        return false;
    }
    if let ([Resolved::Text(parts), ..], ["+" | "#", ..]) = (pattern, filter)
        && parts.first().and_then(|part| part.text(names)).is_some_and(|text| text.starts_with('$'))
    {
        return false;
    }
    let mut wanted = filter.iter();
    for level in pattern {
        let shared = match (level, wanted.next()) {
            (Resolved::AllBelow | Resolved::Everything, _) | (_, Some(&"#")) => return true,
            (Resolved::One, Some(_)) | (Resolved::Text(_), Some(&"+")) => true,
            (Resolved::Text(parts), Some(&found)) => is_text(parts, names, found),
            (Resolved::One | Resolved::Text(_), None) => false,
        };
        if !shared {
            return false;
        }
    }
    matches!(wanted.next(), None | Some(&"#"))
}

/// Whether a wildcard stands first against a topic that begins with `$` [MQTT-4.7.2-1].
fn misses_dollar(pattern: &[Resolved<'_>], filter: &[&str]) -> bool {
    matches!(pattern.first(), Some(Resolved::One | Resolved::AllBelow))
        && filter.first().is_some_and(|level| level.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use mqtt_codec::topic::matches;
    use proptest::prelude::*;

    use super::*;

    const NAMES: Names<'_> = Names { client_identifier: "c1", user_name: Some("ann") };

    fn ask(question: fn(&[Resolved<'_>], Names<'_>, &[&str]) -> bool, pattern: &str, filter: &str) -> bool {
        let pattern = Pattern::parse(pattern).unwrap();
        let levels: Vec<&str> = filter.split('/').collect();
        question(&pattern.resolve(NAMES, Unusable::NoMatch).unwrap(), NAMES, &levels)
    }

    #[track_caller]
    fn check(pattern: &str, filter: &str, covered: bool, overlapping: bool) {
        assert_eq!(ask(covers, pattern, filter), covered, "{pattern:?} covers {filter:?}");
        assert_eq!(ask(overlaps, pattern, filter), overlapping, "{pattern:?} overlaps {filter:?}");
    }

    #[test]
    fn covering_and_overlapping() {
        check("a/#", "a", true, true);
        check("a/#", "a/#", true, true);
        check("a/#", "a/+/b", true, true);
        check("a/#", "#", false, true);
        check("a/#", "+", false, true);
        check("a/#", "+/b", false, true);
        check("a/#", "b/#", false, false);
        check("a/+", "a/b", true, true);
        check("a/+", "a/#", false, true);
        check("a/+", "a/+", true, true);
        check("a/+", "a", false, false);
        check("a/+", "a/b/c", false, false);
        check("a/+/c", "a/b/+", false, true);
        check("a", "a/#", false, true);
        check("a/b", "a", false, false);
        check("#", "+/a", true, true);
        check("#", "$SYS/#", false, false);
        check("+/x", "$SYS/x", false, false);
        check("$SYS/#", "#", false, false);
        check("$SYS/#", "+/x", false, false);
        check("$SYS/#", "$SYS/broker/+", true, true);
        check("+/#", "#", true, true);
        check("a/+/#", "a/#", false, true);
        check("/+", "+/x", false, true);
    }

    #[test]
    fn names_stand_for_text_within_a_level() {
        check("devices/%c/#", "devices/c1/state", true, true);
        check("devices/%c/#", "devices/c2/state", false, false);
        check("devices/%c/#", "devices/+/state", false, true);
        check("x-%c-%u/%u", "x-c1-ann/ann", true, true);
        check("x-%c-%u/%u", "x-c1-bob/ann", false, false);
        check("100%/%x/%%c", "100%/%x/%c1", true, true);
        check("ü%cü", "üc1ü", true, true);
    }

    #[test]
    fn a_pattern_is_a_topic_filter() {
        for wrong in ["", "a/#/b", "a+", "%c+", "#%u", "a\0"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    fn filter() -> impl Strategy<Value = String> {
        let levels = prop::collection::vec(prop::sample::select(vec!["a", "b", "", "+", "$x"]), 1..4);
        (levels, any::<bool>()).prop_filter_map("not empty", |(mut levels, all_below)| {
            if all_below {
                levels.push("#");
            }
            let filter = levels.join("/");
            (!filter.is_empty()).then_some(filter)
        })
    }

    /// All topic names of up to five levels that tell these filters apart, the empty one included.
    fn topic_names() -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut last = vec![String::new()];
        for depth in 0..5 {
            last = last
                .iter()
                .flat_map(|head| {
                    ["a", "b", "", "$x"]
                        .map(|level| if depth == 0 { level.to_owned() } else { format!("{head}/{level}") })
                })
                .collect();
            names.extend(last.iter().cloned());
        }
        names
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        /// Both questions against a plain enumeration of topic names.
        #[test]
        fn agrees_with_matching_every_topic_name(pattern in filter(), wanted in filter()) {
            let names = topic_names();
            let by_filter: Vec<_> = names.iter().filter(|name| matches(&wanted, name)).collect();
            let all = by_filter.iter().all(|name| matches(&pattern, name));
            let some = by_filter.iter().any(|name| matches(&pattern, name));
            prop_assert_eq!(ask(overlaps, &pattern, &wanted), some);
            prop_assert_eq!(ask(covers, &pattern, &wanted), all);
        }
    }
}
