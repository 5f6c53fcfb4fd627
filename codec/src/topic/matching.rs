//! Whether a topic filter matches a topic name.

/// Whether a valid topic filter matches a valid topic name.
///
/// Levels are compared byte by byte [MQTT-4.7.3-4]; `+` stands for one level, `#` for the level before it and all
/// below. A filter that begins with a wildcard never matches a name that begins with `$` [MQTT-4.7.2-1].
///
/// ```
/// use mqtt_codec::topic::matches;
///
/// assert!(matches("sport/#", "sport"));
/// assert!(matches("+/temperature", "kitchen/temperature"));
/// assert!(!matches("+/uptime", "$SYS/uptime"));
/// ```
pub fn matches(filter: &str, topic_name: &str) -> bool {
    let (filter, name) = (filter.as_bytes(), topic_name.as_bytes());
    if name.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    let (mut filter_at, mut name_at) = (0, 0);
    // Each round compares one level; both positions stand at its beginning.
    loop {
        match filter.get(filter_at) {
            Some(b'#') => return true,
            Some(b'+') => {
                filter_at += 1;
                while name.get(name_at).is_some_and(|byte| *byte != b'/') {
                    name_at += 1;
                }
            }
            _ => {
                while let (Some(wanted), Some(found)) = (filter.get(filter_at), name.get(name_at)) {
                    if wanted != found {
                        break;
                    }
                    if *wanted == b'/' {
                        break;
                    }
                    filter_at += 1;
                    name_at += 1;
                }
            }
        }
        match (filter.get(filter_at), name.get(name_at)) {
            (None, None) => return true,
            (Some(b'/'), Some(b'/')) => {
                filter_at += 1;
                name_at += 1;
            }
            // "sport/#" matches its parent "sport" as well.
            (Some(b'/'), None) => return filter[filter_at..] == *b"/#",
            _ => return false,
        }
    }
}
