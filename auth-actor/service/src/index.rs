//! Roles, compiled: what a client with certain roles may do, found without looking at the rules that cannot concern a topic.
//!
//! Of all rules that the roles of a client have, by themselves or by inheritance, one that denies wins over all that allow;
//! without one that allows, the answer is no. A rule that allows a subscription has to cover all of its topic filter; one
//! that denies hits as soon as it shares a topic name with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use auth_actor::{Action, TopicPattern};
use mqtt_codec::topic::{validate_topic_filter, validate_topic_name};

use crate::model::{Role, Rule};

/// Sets of roles whose rules are kept put together; beyond it all are put together anew.
const SETS_MAX: usize = 10_000;

/// Why a role cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RoleError {
    #[error("role {0:?} is not there")]
    Unknown(String),
    #[error("role {0:?} inherits from itself")]
    Circle(String),
    #[error("role {role:?}: {topic:?} is no topic filter")]
    Topic { role: String, topic: String },
}

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) client_identifier: &'a str,
    pub(crate) name: &'a str,
    pub(crate) action: Action,
    pub(crate) topic: &'a str,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason<'a> {
    /// A rule of a role.
    Rule { role: &'a str, rule: &'a Rule },
    /// No rule allows it.
    Nothing,
    /// It is no topic name, or no topic filter.
    NoTopic,
}

#[derive(Debug)]
struct Compiled {
    role: Arc<str>,
    rule: Rule,
    pattern: TopicPattern,
}

/// All roles. It does not change: another takes its place.
#[derive(Debug, Default)]
pub(crate) struct Index {
    roles: HashMap<String, CompiledRole>,
    sets: RwLock<HashMap<Box<[String]>, Arc<RuleSet>>>,
}

#[derive(Debug)]
struct CompiledRole {
    inherits: Vec<String>,
    rules: Vec<Arc<Compiled>>,
}

/// The rules of a set of roles.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    denies: Rules,
    allows: Rules,
}

/// By the first level of their patterns.
#[derive(Debug, Default)]
struct Rules {
    by_first_level: HashMap<Box<str>, Vec<Arc<Compiled>>>,
    others: Vec<Arc<Compiled>>,
}

impl Index {
    /// Compiles all roles.
    ///
    /// # Errors
    /// One inherits from a role that is not there, or from itself; or a topic is none.
    pub(crate) fn compile(roles: &BTreeMap<String, Role>) -> Result<Self, RoleError> {
        let mut compiled = HashMap::with_capacity(roles.len());
        for role in roles.values() {
            if let Some(missing) = role.inherits.iter().find(|parent| !roles.contains_key(*parent)) {
                return Err(RoleError::Unknown(missing.clone()));
            }
            let name: Arc<str> = role.name.as_str().into();
            let rule = |rule: &Rule| {
                let pattern = TopicPattern::parse(&rule.topic)
                    .map_err(|_| RoleError::Topic { role: role.name.clone(), topic: rule.topic.clone() })?;
                Ok(Arc::new(Compiled { role: Arc::clone(&name), rule: rule.clone(), pattern }))
            };
            let rules = role.rules.iter().map(rule).collect::<Result<Vec<_>, RoleError>>()?;
            compiled.insert(role.name.clone(), CompiledRole { inherits: role.inherits.clone(), rules });
        }
        let index = Self { roles: compiled, sets: RwLock::default() };
        index.find_circle().map_or(Ok(index), |role| Err(RoleError::Circle(role)))
    }

    /// A role that inherits from itself: one that is left when those are taken away, again and again, that inherit from none
    /// that is left.
    fn find_circle(&self) -> Option<String> {
        let mut open: HashMap<&str, usize> =
            self.roles.iter().map(|(name, role)| (name.as_str(), role.inherits.len())).collect();
        let mut heirs: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, role) in &self.roles {
            for parent in &role.inherits {
                heirs.entry(parent).or_default().push(name);
            }
        }
        let mut done: Vec<&str> =
            open.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
        while let Some(role) = done.pop() {
            open.remove(role);
            for heir in heirs.get(role).into_iter().flatten() {
                if let Some(left) = open.get_mut(heir) {
                    *left -= 1;
                    if *left == 0 {
                        done.push(heir);
                    }
                }
            }
        }
        open.into_keys().min().map(str::to_owned)
    }

    /// The rules of a client with these roles; of those that are not there, none.
    pub(crate) fn rules_of(&self, roles: &[String]) -> Arc<RuleSet> {
        if let Some(set) = self.sets.read().unwrap_or_else(PoisonError::into_inner).get(roles) {
            return Arc::clone(set);
        }
        let set = Arc::new(self.put_together(roles));
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        sets.insert(roles.into(), Arc::clone(&set));
        set
    }

    fn put_together(&self, roles: &[String]) -> RuleSet {
        let (mut set, mut seen) = (RuleSet::default(), HashSet::new());
        let mut open: Vec<&str> = roles.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let Some(role) = self.roles.get(name).filter(|_| seen.insert(name)) else { continue };
            open.extend(role.inherits.iter().map(String::as_str));
            for rule in &role.rules {
                let rules = if rule.rule.deny { &mut set.denies } else { &mut set.allows };
                match rule.pattern.first_level() {
                    Some(level) => {
                        rules.by_first_level.entry(level.into()).or_default().push(Arc::clone(rule))
                    }
                    None => rules.others.push(Arc::clone(rule)),
                }
            }
        }
        set
    }
}

impl RuleSet {
    /// Judges one question.
    pub(crate) fn judge(&self, asked: Asked<'_>) -> (bool, Reason<'_>) {
        let is_topic = match asked.action {
            Action::Publish => validate_topic_name(asked.topic).is_ok(),
            Action::Subscribe => validate_topic_filter(asked.topic).is_ok(),
        };
        if !is_topic {
            return (false, Reason::NoTopic);
        }
        let levels: Vec<&str> = asked.topic.split('/').collect();
        let (identifier, name) = (asked.client_identifier, Some(asked.name));
        let denies =
            self.denies.find(asked.action, &levels, |rule| rule.pattern.overlaps(identifier, name, &levels));
        if let Some(rule) = denies {
            return (false, Reason::Rule { role: &rule.role, rule: &rule.rule });
        }
        let allows =
            self.allows.find(asked.action, &levels, |rule| rule.pattern.covers(identifier, name, &levels));
        match allows {
            Some(rule) => (true, Reason::Rule { role: &rule.role, rule: &rule.rule }),
            None => (false, Reason::Nothing),
        }
    }
}

impl Rules {
    fn find(
        &self,
        action: Action,
        levels: &[&str],
        mut matches: impl FnMut(&Compiled) -> bool,
    ) -> Option<&Compiled> {
        let speaks_of = |rule: &Compiled| match action {
            Action::Publish => rule.rule.publish,
            Action::Subscribe => rule.rule.subscribe,
        };
        let mut hit = |rule: &&Arc<Compiled>| speaks_of(rule) && matches(rule);
        let first = levels.first().copied().unwrap_or_default();
        let found = if matches!(first, "+" | "#") {
            // It shares topic names with rules of any first level.
            self.by_first_level.values().flatten().find(&mut hit)
        } else {
            self.by_first_level.get(first).into_iter().flatten().find(&mut hit)
        };
        found.or_else(|| self.others.iter().find(&mut hit)).map(|rule| &**rule)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
