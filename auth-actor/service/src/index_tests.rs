//! The index against what it is for, written down plainly.

use std::collections::{BTreeMap, BTreeSet};

use auth_actor::{Action, TopicPattern};
use proptest::prelude::*;

use super::{Asked, Index, Reason, RoleError};
use crate::model::{Role, Rule};

fn rule(text: &str) -> Rule {
    let words: Vec<&str> = text.split(' ').collect();
    let [permission, action, topic] = words[..] else { panic!("{text}") };
    Rule {
        deny: permission == "deny",
        publish: action != "subscribe",
        subscribe: action != "publish",
        topic: topic.to_owned(),
    }
}

fn role(name: &str, inherits: &[&str], rules: &[&str]) -> (String, Role) {
    let inherits = inherits.iter().map(|name| (*name).to_owned()).collect();
    let rules = rules.iter().map(|text| rule(text)).collect();
    (name.to_owned(), Role { name: name.to_owned(), inherits, rules })
}

fn asked<'a>(action: Action, topic: &'a str) -> Asked<'a> {
    Asked { client_identifier: "c1", name: "ann", action, topic }
}

#[track_caller]
fn check(index: &Index, roles: &[&str], action: Action, topic: &str, expected: bool) {
    let roles: Vec<String> = roles.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        index.rules_of(&roles).judge(asked(action, topic)).0,
        expected,
        "{roles:?} {action:?} {topic}"
    );
}

#[test]
fn one_rule_that_denies_wins_wherever_it_is_inherited_from() {
    use Action::{Publish, Subscribe};
    let roles = BTreeMap::from([
        role("base", &[], &["deny all +/+/key"]),
        role("device", &["base"], &["allow publish devices/%u/#", "allow subscribe commands/%c"]),
        role("admin", &[], &["allow all #"]),
    ]);
    let index = Index::compile(&roles).unwrap();
    check(&index, &["device"], Publish, "devices/ann/power", true);
    check(&index, &["device"], Publish, "devices/bob/power", false);
    check(&index, &["device"], Publish, "devices/ann/key", false);
    check(&index, &["device"], Subscribe, "commands/c1", true);
    check(&index, &["device"], Subscribe, "commands/+", false);
    check(&index, &["admin"], Subscribe, "#", true);
    check(&index, &["admin"], Subscribe, "$SYS/#", false);
    check(&index, &["admin", "device"], Subscribe, "#", false);
    check(&index, &["admin", "device"], Publish, "a/b/key", false);
    check(&index, &["gone"], Publish, "a", false);
    check(&index, &[], Publish, "a", false);
    check(&index, &["admin"], Publish, "a/+", false);
}

#[test]
fn what_decided_is_named() {
    let roles = BTreeMap::from([role("r", &[], &["allow all a/#", "deny publish a/b"])]);
    let set = Index::compile(&roles).unwrap().rules_of(&["r".to_owned()]);
    let deny = rule("deny publish a/b");
    assert_eq!(set.judge(asked(Action::Publish, "a/b")), (false, Reason::Rule { role: "r", rule: &deny }));
    assert_eq!(set.judge(asked(Action::Publish, "b")), (false, Reason::Nothing));
    assert_eq!(set.judge(asked(Action::Publish, "a/#")), (false, Reason::NoTopic));
}

#[test]
fn roles_that_cannot_be_are_refused() {
    let compile = |roles: Vec<(String, Role)>| Index::compile(&roles.into_iter().collect()).unwrap_err();
    assert_eq!(compile(vec![role("a", &["b"], &[])]), RoleError::Unknown("b".into()));
    let circle = compile(vec![role("a", &["b"], &[]), role("b", &["c"], &[]), role("c", &["a"], &[])]);
    assert_eq!(circle, RoleError::Circle("a".into()));
    assert_eq!(compile(vec![role("a", &["a"], &[])]), RoleError::Circle("a".into()));
    let topic = RoleError::Topic { role: "a".into(), topic: "a/#/b".into() };
    assert_eq!(compile(vec![role("a", &[], &["allow all a/#/b"])]), topic);
}

/// All rules of all roles, looked at one after the other.
fn plainly(roles: &BTreeMap<String, Role>, of: &[String], asked: Asked<'_>) -> bool {
    let (mut open, mut all) = (of.to_vec(), BTreeSet::new());
    while let Some(name) = open.pop() {
        if all.insert(name.clone()) {
            open.extend(roles[&name].inherits.iter().cloned());
        }
    }
    let rules = || all.iter().flat_map(|name| &roles[name].rules);
    let speaks = |rule: &&Rule| match asked.action {
        Action::Publish => rule.publish,
        Action::Subscribe => rule.subscribe,
    };
    let levels: Vec<&str> = asked.topic.split('/').collect();
    let pattern = |rule: &Rule| TopicPattern::parse(&rule.topic).unwrap();
    let denied = rules()
        .filter(speaks)
        .filter(|rule| rule.deny)
        .any(|rule| pattern(rule).overlaps(asked.client_identifier, Some(asked.name), &levels));
    let allowed = rules()
        .filter(speaks)
        .filter(|rule| !rule.deny)
        .any(|rule| pattern(rule).covers(asked.client_identifier, Some(asked.name), &levels));
    allowed && !denied
}

fn topic(wildcards: bool) -> impl Strategy<Value = String> {
    let levels = if wildcards { vec!["a", "b", "+", "%c", "%u"] } else { vec!["a", "b", "c1", "ann"] };
    (prop::collection::vec(prop::sample::select(levels), 1..4), any::<bool>()).prop_map(
        move |(levels, all_below)| {
            let below = if wildcards && all_below { "/#" } else { "" };
            format!("{}{below}", levels.join("/"))
        },
    )
}

/// Four roles, each of which may inherit from those before it: up to four deep.
fn roles() -> impl Strategy<Value = BTreeMap<String, Role>> {
    let rule = (0..10, 0..3, topic(true)).prop_map(|(deny, action, topic)| Rule {
        deny: deny == 0,
        publish: action != 0,
        subscribe: action != 1,
        topic,
    });
    let role = (prop::collection::vec(rule, 0..5), any::<[bool; 4]>());
    prop::collection::vec(role, 4).prop_map(|roles| {
        let role = |(number, (rules, parents)): (usize, (Vec<Rule>, [bool; 4]))| {
            let parents = parents.iter().enumerate().filter(|(parent, is_one)| **is_one && *parent < number);
            let name = format!("r{number}");
            (
                name.clone(),
                Role { name, inherits: parents.map(|(parent, _)| format!("r{parent}")).collect(), rules },
            )
        };
        roles.into_iter().enumerate().map(role).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn agrees_with_looking_at_all_rules(
        roles in roles(),
        names in prop::collection::vec(topic(false), 10),
        filters in prop::collection::vec(topic(true), 10),
        of in prop::collection::vec(0..4_usize, 1..3),
    ) {
        let index = Index::compile(&roles).unwrap();
        let of: Vec<String> = of.into_iter().map(|number| format!("r{number}")).collect();
        let names = names.iter().map(|topic| asked(Action::Publish, topic));
        let filters = filters.iter().map(|topic| asked(Action::Subscribe, topic));
        for asked in names.chain(filters) {
            let judged = index.rules_of(&of).judge(asked).0;
            prop_assert_eq!(judged, plainly(&roles, &of, asked), "{:?}", asked);
        }
    }
}
