//! The variables of the environment: which are keys, and which were meant to be.

use super::schema::{SECTIONS, Section};

/// What every variable of the environment that is a key begins with.
pub const ENVIRONMENT_PREFIX: &str = "MICRO_MQ__";

/// What those begin with that may have been meant to be one.
const NEARLY: &str = "MICRO_MQ_";

/// The variable that `name` was meant to be, if it was meant to be one and its underscores are wrong:
/// `MICRO_MQ_NODE_WORKERS` was meant to be `MICRO_MQ__NODE__WORKERS`. Others that begin alike are somebody else's, such
/// as `MICRO_MQ_PORT`, which a container's surroundings may set.
pub(super) fn meant(name: &str) -> Option<String> {
    let words = words(name.strip_prefix(NEARLY)?);
    let right = SECTIONS.iter().find_map(|section| of_section(section, &words))?;
    (!right.eq_ignore_ascii_case(name)).then_some(right)
}

/// In upper case, and with one underscore between two words.
fn words(text: &str) -> String {
    let words: Vec<&str> = text.split('_').filter(|word| !word.is_empty()).collect();
    words.join("_").to_ascii_uppercase()
}

fn of_section(section: &Section, words: &str) -> Option<String> {
    let table = section.name.to_ascii_uppercase();
    if section.is_named() {
        let rest = words.strip_prefix(&table)?.strip_prefix('_')?;
        return section.keys.iter().find_map(|(key, _)| {
            let key = key.to_ascii_uppercase();
            let name = rest.strip_suffix(&key)?.strip_suffix('_')?;
            Some(format!("{ENVIRONMENT_PREFIX}{table}__{name}__{key}"))
        });
    }
    section.keys.iter().find_map(|(key, _)| {
        let key = key.to_ascii_uppercase();
        // With its section, or without, if it is no word that others may use as well: MICRO_MQ_CONNECTIONS_MAX.
        let is_meant = words == key && key.contains('_')
            || words.strip_prefix(&table).and_then(|rest| rest.strip_prefix('_')) == Some(&key);
        is_meant.then(|| format!("{ENVIRONMENT_PREFIX}{table}__{key}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(meant(name).as_deref(), expected, "{name}");
    }

    #[test]
    fn wrong_underscores_are_told_from_other_variables() {
        check("MICRO_MQ_LISTENER_TCP_BIND", Some("MICRO_MQ__LISTENER__TCP__BIND"));
        check("MICRO_MQ__LISTENER_TCP_BIND", Some("MICRO_MQ__LISTENER__TCP__BIND"));
        check("MICRO_MQ_LISTENER__MY_OWN__BIND", Some("MICRO_MQ__LISTENER__MY_OWN__BIND"));
        check("MICRO_MQ_NODE_WORKERS", Some("MICRO_MQ__NODE__WORKERS"));
        check("MICRO_MQ_node_workers", Some("MICRO_MQ__NODE__WORKERS"));
        check("MICRO_MQ__NODE_CONNECTIONS_MAX", Some("MICRO_MQ__NODE__CONNECTIONS_MAX"));
        check("MICRO_MQ_CONNECTIONS_MAX", Some("MICRO_MQ__NODE__CONNECTIONS_MAX"));
        check("MICRO_MQ__NODE__WORKERS", None);
        check("MICRO_MQ__node__workers", None);
        check("MICRO_MQ_FILE", None);
        check("MICRO_MQ__LISTENER__TCP__BIND", None);
        for other in
            ["MICRO_MQ_PORT", "MICRO_MQ_PORT_1883_TCP", "MICRO_MQ_ADMIN_SERVICE_HOST", "MICRO_MQ_TEST_TCP"]
        {
            check(other, None);
        }
        check("MICRO_MQ_LISTENER_BIND", None);
        check("WORKERS", None);
    }
}
