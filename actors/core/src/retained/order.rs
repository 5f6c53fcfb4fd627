//! What a topic filter can match next, in the order of topic names. Pure.
//!
//! A search steps from name to name and leaps over those between which nothing can match: over all below `device/` for
//! `dev/#`, over all below `a/b/` for `a/+`, over `$SYS` for `#`.

/// The character behind `/`: what begins with `a/` is in front of `a0`.
const BEHIND_SEPARATOR: char = '0';
/// The same for the `$` of topic names that no wildcard at the beginning of a filter matches [MQTT-4.7.2-1].
const BEHIND_DOLLAR: &str = "%";

/// Where to look behind a topic name that does not match.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At the name that follows.
    Following,
    /// At this one, or the first behind it: none before it matches.
    From(String),
    /// Nowhere: none of those that follow matches.
    Nowhere,
}

/// Where `filter` can match next, behind `topic`, which it does not match.
pub(super) fn behind(filter: &str, topic: &str) -> Next {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Next::From(BEHIND_DOLLAR.to_owned());
    }
    let mut rest = filter;
    let mut at = 0;
    for level in topic.split('/') {
        let (wanted, further) = match rest.split_once('/') {
            Some((wanted, further)) => (wanted, Some(further)),
            None => (rest, None),
        };
        if wanted != "+" && wanted != level {
            return behind_level(&topic[..at], wanted, further.is_some(), topic);
        }
        at += level.len() + 1;
        match further {
            Some(further) => rest = further,
            // The topic name has more levels than the filter, and so has all that begins like it.
            None => return Next::From(format!("{}{BEHIND_SEPARATOR}", &topic[..at - 1])),
        }
    }
    // The filter has more levels: what has them too stands further behind.
    Next::Following
}

/// Behind a topic name whose level after `parent` (empty, or with a `/` at its end) is not the one that is wanted.
fn behind_level(parent: &str, wanted: &str, has_further: bool, topic: &str) -> Next {
    let mut candidate = format!("{parent}{wanted}");
    if topic < candidate.as_str() {
        return Next::From(candidate);
    }
    candidate.push('/');
    if has_further && topic < candidate.as_str() {
        return Next::From(candidate);
    }
    match parent.strip_suffix('/') {
        Some(parent) => Next::From(format!("{parent}{BEHIND_SEPARATOR}")),
        None => Next::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, topic: &str, expected: &str) {
        let found = match behind(filter, topic) {
            Next::Following => "following".to_owned(),
            Next::From(name) => name,
            Next::Nowhere => "nowhere".to_owned(),
        };
        assert_eq!(found, expected, "{filter} behind {topic}");
    }

    #[test]
    fn of_a_level_that_is_another() {
        check("dev/#", "dev!", "dev/");
        check("dev/#", "dev!/x", "dev/");
        check("dev/#", "dev0", "nowhere");
        check("dev/#", "device/1", "nowhere");
        check("dev/#", "a", "dev");
        check("+/b", "a/a", "a/b");
        check("+/b", "a/b!", "a0");
        check("+/b/c", "a/b!", "a/b/");
        check("+/b", "a/c", "a0");
        check("+/+/x/#", "a/b/y", "a/b0");
        check("/+/x", "/a/y", "/a0");
        check("+/x", "/y", "0");
    }

    #[test]
    fn of_more_levels_and_fewer() {
        check("a/+", "a/b/c/d", "a/b0");
        check("a/+", "a//c", "a/0");
        check("+", "a/b", "a0");
        check("a/+", "a", "following");
        check("+/+/c", "a/b", "following");
    }

    /// [MQTT-4.7.2-1]
    #[test]
    fn of_names_with_a_dollar() {
        check("#", "$SYS/broker/uptime", "%");
        check("+/x", "$SYS/x", "%");
        check("$SYS/+", "$SYS/a/b", "$SYS/a0");
    }
}
