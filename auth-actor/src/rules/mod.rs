//! Rules: who may publish and subscribe to what.

mod judgement;
mod pattern;
mod selection;
mod topic_pattern;

use mqtt_codec::topic::{validate_topic_filter, validate_topic_name};
use serde::Deserialize;

use crate::Action;
pub(crate) use judgement::Judgement;
pub(crate) use pattern::Pattern;
use pattern::{Unusable, covers, overlaps};
use selection::Selection;
pub use topic_pattern::TopicPattern;

/// What a rule says, and what counts when no rule matches.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    Allow,
    Deny,
}

/// What a rule speaks of.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Actions {
    Publish,
    Subscribe,
    All,
}

impl Actions {
    fn contain(self, action: Action) -> bool {
        matches!(
            (self, action),
            (Self::All, _) | (Self::Publish, Action::Publish) | (Self::Subscribe, Action::Subscribe)
        )
    }
}

/// Who asks: what `%c` and `%u` stand for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) client_identifier: &'a str,
    pub(crate) user_name: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) permission: Permission,
    pub(crate) actions: Actions,
    pub(crate) pattern: Pattern,
    /// Only for this user name, prepared.
    pub(crate) user: Option<String>,
    /// Only for this client identifier.
    pub(crate) client: Option<String>,
}

impl Rule {
    /// Whether this rule decides the question.
    ///
    /// An `allow` rule has to cover the whole filter, a `deny` rule only to share a topic name with it: a subscription
    /// to `#` must not get round `deny secret/#`. For a topic name both mean that it matches. A name that cannot stand
    /// for `%c` or `%u` lets no `allow` rule match, and makes a `deny` rule hit everything below that level.
    fn decides(&self, names: Names<'_>, action: Action, levels: &[&str]) -> bool {
        if !self.actions.contain(action)
            || self.client.as_deref().is_some_and(|client| client != names.client_identifier)
            || self.user.as_deref().is_some_and(|user| Some(user) != names.user_name)
        {
            return false;
        }
        match self.permission {
            Permission::Allow => self
                .pattern
                .resolve(names, Unusable::NoMatch)
                .is_some_and(|pattern| covers(&pattern, names, levels)),
            Permission::Deny => self
                .pattern
                .resolve(names, Unusable::MatchAllBelow)
                .is_some_and(|pattern| overlaps(&pattern, names, levels)),
        }
    }
}

/// All rules, in the order of the file: the first that decides a question answers it.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    default: Permission,
    selection: Selection,
}

/// How far one question was judged within a bound.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Judged {
    /// To its end: whether it is allowed.
    Decided(bool),
    /// All rules before this one do not decide it.
    GoesOnAt(usize),
}

impl Rules {
    /// Without a word on it, rules deny what they do not mention, and no rules allow everything.
    pub(crate) fn new(rules: Vec<Rule>, default: Option<Permission>) -> Self {
        let default = default.unwrap_or(if rules.is_empty() { Permission::Allow } else { Permission::Deny });
        Self { selection: Selection::of(&rules), rules, default }
    }

    /// Whether everything is allowed to everybody.
    pub(crate) fn allow_everything(&self) -> bool {
        self.rules.is_empty() && self.default == Permission::Allow
    }

    /// Judges one question from a rule on, for as much work as `left` holds, and takes from that what it did: one rule at
    /// least, so that a topic that takes all of it comes to its end. What is not a topic name or topic filter at all is
    /// denied.
    fn judge(&self, names: Names<'_>, action: Action, topic: &str, from: usize, left: &mut Work) -> Judged {
        if from == 0 {
            left.spend(Work::of_topic(topic));
            let valid = match action {
                Action::Publish => validate_topic_name(topic),
                Action::Subscribe => validate_topic_filter(topic),
            };
            if valid.is_err() {
                return Judged::Decided(false);
            }
        }
        let levels: Vec<&str> = topic.split('/').collect();
        for (judged, at) in self.selection.for_names(names, from).enumerate() {
            if judged > 0 && left.is_spent() {
                return Judged::GoesOnAt(at);
            }
            let rule = &self.rules[at];
            left.spend(rule.pattern.work());
            if rule.decides(names, action, &levels) {
                return Judged::Decided(rule.permission == Permission::Allow);
            }
        }
        Judged::Decided(self.default == Permission::Allow)
    }

    /// Whether this client may do this.
    #[cfg(test)]
    fn allow(&self, names: Names<'_>, action: Action, topic: &str) -> bool {
        match self.judge(names, action, topic, 0, &mut Work::new(usize::MAX)) {
            Judged::Decided(allowed) => allowed,
            Judged::GoesOnAt(_) => unreachable!("there is no end to its work"),
        }
    }
}

/// So many bytes of a topic, or levels of a rule, are looked at in the time of a comparison with one rule.
const PER_COMPARISON: usize = 16;

/// What may still be done in a turn, in comparisons of a topic with a rule.
#[derive(Debug)]
struct Work {
    left: usize,
    spent: usize,
}

impl Work {
    fn new(comparisons: usize) -> Self {
        Self { left: comparisons, spent: 0 }
    }

    /// To look at a topic at all.
    fn of_topic(topic: &str) -> usize {
        1 + topic.len() / PER_COMPARISON
    }

    /// The last piece of work may overshoot.
    fn spend(&mut self, comparisons: usize) {
        self.left = self.left.saturating_sub(comparisons);
        self.spent = self.spent.saturating_add(comparisons);
    }

    fn is_spent(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Names<'_> = Names { client_identifier: "meter-1", user_name: Some("ann") };

    fn rule(permission: Permission, actions: Actions, topic: &str) -> Rule {
        Rule { permission, actions, pattern: Pattern::parse(topic).unwrap(), user: None, client: None }
    }

    fn allow(topic: &str) -> Rule {
        rule(Permission::Allow, Actions::All, topic)
    }

    fn deny(topic: &str) -> Rule {
        rule(Permission::Deny, Actions::All, topic)
    }

    #[track_caller]
    fn check(rules: Vec<Rule>, names: Names<'_>, action: Action, topic: &str, expected: bool) {
        assert_eq!(Rules::new(rules, None).allow(names, action, topic), expected, "{action:?} {topic:?}");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        check(vec![deny("a/secret"), allow("a/#")], ANN, Action::Publish, "a/secret", false);
        check(vec![allow("a/#"), deny("a/secret")], ANN, Action::Publish, "a/secret", true);
        check(vec![deny("a/secret"), allow("a/#")], ANN, Action::Publish, "a/open", true);
    }

    #[test]
    fn nothing_said_is_denied_unless_there_are_no_rules() {
        check(vec![allow("a/#")], ANN, Action::Publish, "b", false);
        check(vec![], ANN, Action::Publish, "b", true);
        assert!(Rules::new(vec![deny("a")], Some(Permission::Allow)).allow(ANN, Action::Publish, "b"));
        assert!(!Rules::new(vec![], Some(Permission::Deny)).allow(ANN, Action::Publish, "b"));
    }

    #[test]
    fn a_rule_speaks_of_its_action_user_and_client_alone() {
        let publish = || vec![rule(Permission::Allow, Actions::Publish, "a")];
        check(publish(), ANN, Action::Publish, "a", true);
        check(publish(), ANN, Action::Subscribe, "a", false);
        let user = |user: &str| vec![Rule { user: Some(user.to_owned()), ..allow("a") }];
        check(user("ann"), ANN, Action::Publish, "a", true);
        check(user("bob"), ANN, Action::Publish, "a", false);
        check(user("ann"), Names { user_name: None, ..ANN }, Action::Publish, "a", false);
        let client = |client: &str| vec![Rule { client: Some(client.to_owned()), ..allow("a") }];
        check(client("meter-1"), ANN, Action::Publish, "a", true);
        check(client("meter-2"), ANN, Action::Publish, "a", false);
    }

    #[test]
    fn a_subscription_cannot_get_round_a_deny_rule() {
        let rules = || vec![deny("secret/#"), allow("#")];
        check(rules(), ANN, Action::Subscribe, "#", false);
        check(rules(), ANN, Action::Subscribe, "+/plan", false);
        check(rules(), ANN, Action::Subscribe, "secret", false);
        check(rules(), ANN, Action::Subscribe, "open/#", true);
    }

    #[test]
    fn what_is_no_topic_is_denied() {
        check(vec![], ANN, Action::Publish, "", false);
        check(vec![], ANN, Action::Publish, "a/+", false);
        check(vec![], ANN, Action::Publish, "#", false);
        check(vec![], ANN, Action::Subscribe, "a/#/b", false);
    }

    #[test]
    fn names_that_look_like_topics_get_nothing() {
        let hostile = ["+", "#", "meter-1/secret", "/", "", "a+", "$SYS"];
        for name in hostile {
            let client = Names { client_identifier: name, user_name: Some("ann") };
            let user = Names { client_identifier: "meter-1", user_name: Some(name) };
            for topic in [name.to_owned(), format!("{name}/x"), "x/x".to_owned(), "meter-1/x".to_owned()] {
                check(vec![allow("%c/#")], client, Action::Publish, &topic, false);
                check(vec![allow("%u/#")], user, Action::Publish, &topic, false);
                check(vec![allow("%c/#")], client, Action::Subscribe, &topic, false);
                check(vec![allow("%u/#")], user, Action::Subscribe, &topic, false);
            }
            check(vec![allow("%u/#")], Names { user_name: None, ..ANN }, Action::Publish, "x", false);
        }
    }

    #[test]
    fn names_that_look_like_topics_do_not_get_round_a_deny_rule() {
        for name in ["+", "#", "a/b", "$SYS"] {
            let names = Names { client_identifier: name, user_name: Some("ann") };
            for topic in [format!("{name}/private"), "$SYS/private".to_owned(), "a/b/private".to_owned()] {
                check(
                    vec![deny("%c/private"), allow("#"), allow("$SYS/#")],
                    names,
                    Action::Subscribe,
                    &topic,
                    false,
                );
            }
        }
        let names = Names { client_identifier: "a/b", user_name: None };
        check(vec![deny("x/%c/private"), allow("#")], names, Action::Publish, "x/a/b/private", false);
        check(vec![deny("x/%c/private"), allow("#")], names, Action::Publish, "y/a/b/private", true);
    }
}
