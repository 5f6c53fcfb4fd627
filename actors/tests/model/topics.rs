//! The topic names and filters of a run, and what matches what: naive, and independent of the product's matcher.

pub(crate) const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "b", "b/c", "a/", "$d/x", "c/d/e/f"];

pub(crate) const FILTERS: [&str; 16] = [
    "a", "a/b", "a/b/c", "b", "b/c", "$d/x", "a/+", "a/#", "#", "+/b", "+/+/c", "b/#", "+", "$d/#", "+/#",
    "c/+/e/#",
];

pub(crate) const SHARED: [&str; 6] =
    ["$share/g/a/#", "$share/g/a/b", "$share/h/#", "$share/h/b", "$share/g/+/b", "$share/i/c/d/e/f"];

/// The topic filter of a subscription, without the name of a group.
pub(crate) fn plain(filter: &str) -> &str {
    match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_, filter)| filter),
        None => filter,
    }
}

pub(crate) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

/// Whether a topic filter without the name of a group matches [MQTT-4.7.1-1 to MQTT-4.7.2-1].
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let (mut filters, mut topics) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), topics.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
