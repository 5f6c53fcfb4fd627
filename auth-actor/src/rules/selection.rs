//! Which rules a client has to be compared with: those for everybody, and those for its own names. A file with ten
//! thousand users and rules for each costs a client no more than a file with its own.

use std::collections::HashMap;

use super::{Names, Rule};

/// Places of rules, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Selection {
    for_all: Vec<usize>,
    /// Those that name a user, and maybe a client as well.
    by_user: HashMap<String, Vec<usize>>,
    /// Those that name a client and no user.
    by_client: HashMap<String, Vec<usize>>,
}

impl Selection {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut selection = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let places = match (&rule.user, &rule.client) {
                (Some(user), _) => selection.by_user.entry(user.clone()).or_default(),
                (None, Some(client)) => selection.by_client.entry(client.clone()).or_default(),
                (None, None) => &mut selection.for_all,
            };
            places.push(at);
        }
        selection
    }

    /// The places of the rules for these names, in the order of the file, from a place on.
    pub(super) fn for_names(&self, names: Names<'_>, from: usize) -> impl Iterator<Item = usize> {
        let of_user = names.user_name.and_then(|name| self.by_user.get(name));
        let of_client = self.by_client.get(names.client_identifier);
        let mut lists = [Some(&self.for_all), of_user, of_client].map(|list| {
            let list = list.map_or(&[][..], Vec::as_slice);
            &list[list.partition_point(|at| *at < from)..]
        });
        std::iter::from_fn(move || {
            let next = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
            let (at, rest) = next.split_first()?;
            *next = rest;
            Some(*at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Actions, Pattern, Permission};

    fn rule(user: Option<&str>, client: Option<&str>) -> Rule {
        Rule {
            permission: Permission::Allow,
            actions: Actions::All,
            pattern: Pattern::parse("a").unwrap(),
            user: user.map(str::to_owned),
            client: client.map(str::to_owned),
        }
    }

    #[test]
    fn the_rules_for_a_client_in_their_order() {
        let rules = [
            rule(Some("ann"), None),
            rule(None, None),
            rule(None, Some("c")),
            rule(Some("bob"), None),
            rule(Some("ann"), Some("c")),
            rule(None, None),
            rule(None, Some("d")),
        ];
        let selection = Selection::of(&rules);
        let ask = |user, client_identifier, from| {
            let names = Names { client_identifier, user_name: user };
            selection.for_names(names, from).collect::<Vec<_>>()
        };
        assert_eq!(ask(Some("ann"), "c", 0), [0, 1, 2, 4, 5]);
        assert_eq!(ask(Some("ann"), "c", 2), [2, 4, 5]);
        assert_eq!(ask(Some("bob"), "d", 0), [1, 3, 5, 6]);
        assert_eq!(ask(None, "x", 0), [1, 5]);
        assert_eq!(ask(None, "x", 6), [0; 0]);
    }
}
