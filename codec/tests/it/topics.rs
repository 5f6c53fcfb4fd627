//! Topic names, topic filters and shared subscriptions.

use mqtt_codec::{SubscriptionFilter, TopicError, TopicFilter, TopicName, matches};
use proptest::prelude::*;

use crate::arbitrary::{topic_filter, topic_name};

#[track_caller]
fn check(filter: &str, topic_name: &str, expected: bool) {
    assert_eq!(TopicFilter::new(filter).unwrap().matches(topic_name), expected, "{filter} {topic_name}");
    TopicName::new(topic_name).unwrap();
}

/// Section 4.7 of the standard, its examples included.
#[test]
fn matching() {
    check("a", "a", true);
    check("a", "b", false);
    check("a", "A", false);
    check("a", "aa", false);
    check("aa", "a", false);
    check("a/b", "a/b", true);
    check("a/b", "a", false);
    check("a", "a/b", false);
    check("/a", "a", false);
    check("a/", "a", false);
    check("a", "a/", false);
    check("/", "/", true);
    check("a//b", "a//b", true);
    check("a//b", "a/b", false);

    // [MQTT-4.7.1-1]
    check("sport/tennis/player1/#", "sport/tennis/player1", true);
    check("sport/tennis/player1/#", "sport/tennis/player1/ranking", true);
    check("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
    check("sport/tennis/player1/#", "sport/tennis/player12", false);
    check("sport/#", "sport", true);
    check("sport/#", "sport/", true);
    check("sport/#", "spor", false);
    check("sport/#", "sports", false);
    check("#", "a", true);
    check("#", "/", true);
    check("#", "a/b/c", true);
    check("/#", "/", true);
    check("/#", "/a", true);
    check("/#", "a", false);
    check("a//#", "a/", true);
    check("a//#", "a", false);

    // [MQTT-4.7.1-2]
    check("sport/tennis/+", "sport/tennis/player1", true);
    check("sport/tennis/+", "sport/tennis/player1/ranking", false);
    check("sport/+", "sport", false);
    check("sport/+", "sport/", true);
    check("+", "a", true);
    check("+", "/a", false);
    check("+/+", "/finance", true);
    check("/+", "/finance", true);
    check("+", "/finance", false);
    check("+/+/+", "//", true);
    check("+/+", "//", false);
    check("a/+/c", "a//c", true);
    check("a/+/c", "a/b/c", true);
    check("a/+/c", "a/c", false);
    check("+/b/#", "a/b", true);
    check("+/b/#", "a/b/c/d", true);
    check("+/b/#", "a/c/b", false);
    check("+/#", "a", true);
    check("+/#", "/", true);
    check("a/+/#", "a", false);
    check("a/+/#", "a/", true);
    check("a/+/#", "a/b", true);
    check("é/+", "é/ü", true);
    check("é", "e\u{301}", false);

    // [MQTT-4.7.2-1]
    check("#", "$SYS", false);
    check("#", "$SYS/x", false);
    check("+", "$SYS", false);
    check("+/x", "$SYS/x", false);
    check("+/monitor/Clients", "$SYS/monitor/Clients", false);
    check("$SYS/#", "$SYS/monitor", true);
    check("$SYS/#", "$SYS", true);
    check("$SYS/monitor/+", "$SYS/monitor/Clients", true);
    check("$SYS/+", "$SYS/$x", true);
    check("a/+", "a/$x", true);
    check("a/#", "a/$x", true);
    check("/+", "/$x", true);
}

#[test]
fn names() {
    let check = |text: &str, expected: Result<(), TopicError>| {
        assert_eq!(TopicName::new(text).map(|name| assert_eq!(name.as_str(), text)), expected, "{text:?}");
    };
    for valid in ["a", "/", " ", "a b", "$SYS", "$share/a/b", "//", "é😀", "\u{FEFF}"] {
        check(valid, Ok(()));
    }
    check(&"a".repeat(65535), Ok(()));
    check("", Err(TopicError::Empty));
    check(&"a".repeat(65536), Err(TopicError::TooLong { bytes: 65536 }));
    check("a\0", Err(TopicError::NulCharacter));
    for wildcard in ["#", "+", "a/#", "a+b", "a/+/b", "a#b"] {
        check(wildcard, Err(TopicError::WildcardInName));
    }
}

#[test]
fn filters() {
    use TopicError::*;
    let check = |text: &str, expected: Result<(), TopicError>| {
        assert_eq!(
            TopicFilter::new(text).map(|filter| assert_eq!(filter.as_str(), text)),
            expected,
            "{text:?}"
        );
    };
    for valid in ["#", "+", "/", "a/#", "a/+", "+/a/+/#", "/+", "+/", "//#", "$share", "a b", "é/+"] {
        check(valid, Ok(()));
    }
    check("", Err(Empty));
    check(&"a".repeat(65536), Err(TooLong { bytes: 65536 }));
    check("a/\0", Err(NulCharacter));
    for text in ["a#", "#a", "##", "#/", "#/a", "a/#/b", "a/b#", "+#"] {
        let expected = if text == "+#" { MisplacedSingleLevelWildcard } else { MisplacedMultiLevelWildcard };
        check(text, Err(expected));
    }
    for text in ["a+", "+a", "++", "a/+b", "a/b+/c", "/a+"] {
        check(text, Err(MisplacedSingleLevelWildcard));
    }
    let filter = TopicFilter::new("/a/+//#").unwrap();
    assert_eq!(filter.levels().collect::<Vec<_>>(), ["", "a", "+", "", "#"]);
    assert!(filter.has_wildcard());
    assert!(!TopicFilter::new("a/b").unwrap().has_wildcard());
    assert_eq!(filter.to_string(), "/a/+//#");
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn shared_filters() {
    use TopicError::*;
    let check = |text: &str, expected: Result<(Option<&str>, &str), TopicError>| {
        let found = SubscriptionFilter::parse(text);
        let parts = found.as_ref().map(|filter| (filter.share_name(), filter.topic_filter().as_str()));
        assert_eq!(parts.map_err(|error| *error), expected, "{text:?}");
        if let Ok(filter) = found {
            assert_eq!(filter.to_string(), text);
        }
    };
    check("a/b", Ok((None, "a/b")));
    check("$share", Ok((None, "$share")));
    check("$shares/g/a", Ok((None, "$shares/g/a")));
    check("$SHARE/g/a", Ok((None, "$SHARE/g/a")));
    check("/$share/g/a", Ok((None, "/$share/g/a")));
    check("$share/g/a", Ok((Some("g"), "a")));
    check("$share/g//", Ok((Some("g"), "/")));
    check("$share/g//a", Ok((Some("g"), "/a")));
    check("$share/g/#", Ok((Some("g"), "#")));
    check("$share/ü ber/+/a", Ok((Some("ü ber"), "+/a")));
    check("$share/$share/$share/g/a", Ok((Some("$share"), "$share/g/a")));
    check("$share/", Err(EmptyShareName));
    check("$share//", Err(EmptyShareName));
    check("$share//a", Err(EmptyShareName));
    check("$share/g", Err(ShareNameWithoutFilter));
    check("$share/g/", Err(ShareNameWithoutFilter));
    check("$share/+/a", Err(InvalidShareName));
    check("$share/g#/a", Err(InvalidShareName));
    check("$share/#", Err(InvalidShareName));
    check("$share/g\0/a", Err(NulCharacter));
    check("$share/g/a#", Err(MisplacedMultiLevelWildcard));
    check("$share/g/a+", Err(MisplacedSingleLevelWildcard));
    let long = format!("$share/g/{}", "a".repeat(65535));
    check(&long, Err(TooLong { bytes: 65535 + 9 }));
}

/// What the standard says, level by level and slowly.
fn matches_by_levels(filter: &str, topic_name: &str) -> bool {
    fn levels(filter: &[&str], name: &[&str]) -> bool {
        match (filter, name) {
            (["#"], _) | ([], []) => true,
            ([wanted, filter @ ..], [found, name @ ..]) => {
                (*wanted == "+" || wanted == found) && levels(filter, name)
            }
            _ => false,
        }
    }
    let of_the_server = topic_name.starts_with('$') && filter.starts_with(['+', '#']);
    let (filter, name): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic_name.split('/').collect());
    !of_the_server && levels(&filter, &name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn matching_agrees_with_the_levels(filter in topic_filter(), name in "[ab$/]{1,6}") {
        prop_assert_eq!(matches(&filter, &name), matches_by_levels(&filter, &name), "{} {}", filter, name);
    }

    #[test]
    fn a_name_matches_itself(name in topic_name()) {
        prop_assert!(matches(&name, &name));
        prop_assert_eq!(matches("#", &name), !name.starts_with('$'));
    }

    #[test]
    fn no_text_panics(filter in "[a+#/$\u{0}é]{0,8}", name in "[a+#/$\u{0}é]{0,8}") {
        let _ = matches(&filter, &name);
        let _ = SubscriptionFilter::parse(&filter);
        let _ = TopicName::new(&name);
    }
}
