//! What a registry knows of nodes.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// A node, as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: one for each node of a cluster.
    pub name: String,
    /// Drawn at each start of its process, so that two processes with one name know each other apart.
    pub instance: u64,
    /// The version of its program.
    pub version: String,
    /// Where it is reached: `host:port` by what is spoken there, `mqtt`, `admin` or `cluster`.
    pub addresses: BTreeMap<String, String>,
    /// Whether its last sign of life is recent enough.
    pub is_passing: bool,
}

/// Names of addresses that a node may register.
pub(crate) const ADDRESSES: [&str; 3] = ["mqtt", "admin", "cluster"];

impl Member {
    /// What stands in a registry for it, as a flat table of texts.
    pub(crate) fn to_table(&self) -> Map<String, Value> {
        let mut table = Map::new();
        table.insert("node".to_owned(), json!(self.name));
        // A number of 64 bits is no number of JSON.
        table.insert("instance".to_owned(), json!(format!("{:016x}", self.instance)));
        table.insert("version".to_owned(), json!(self.version));
        for (name, address) in &self.addresses {
            table.insert(name.clone(), json!(address));
        }
        table
    }

    /// `None` unless it was written by [`Member::to_table`]: services of others may have the same name.
    pub(crate) fn from_table(table: &Value, is_passing: bool) -> Option<Self> {
        let text = |key: &str| table.get(key)?.as_str().map(str::to_owned);
        let addresses = ADDRESSES.into_iter().filter_map(|name| Some((name.to_owned(), text(name)?)));
        Some(Self {
            name: text("node").filter(|name| !name.is_empty())?,
            instance: u64::from_str_radix(&text("instance")?, 16).ok()?,
            version: text("version")?,
            addresses: addresses.collect(),
            is_passing,
        })
    }
}

/// What went wrong with the registry, as long as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Instant,
    /// What was tried last, and why it failed.
    pub cause: String,
}

/// All nodes, as they were last known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// By name; one of each.
    pub list: Vec<Member>,
    /// Whether the registry was ever asked with success; before, the list says nothing.
    pub is_known: bool,
    /// Why the list may be outdated.
    pub following: Option<Trouble>,
    /// Why this node may not be registered.
    pub announcing: Option<Trouble>,
    /// Another process registered under this node's name, later than this one did; since then this one is silent.
    pub is_displaced: bool,
}

impl Members {
    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.list.iter().find(|member| member.name == name)
    }

    /// Whether the registry calls a node critical, or lists it no more; `None` where it cannot be asked.
    pub fn is_gone(&self, name: &str) -> Option<bool> {
        if !self.is_known || self.trouble().is_some() {
            return None;
        }
        Some(self.get(name).is_none_or(|member| !member.is_passing))
    }

    /// What is wrong now, if anything is.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.following.as_ref().or(self.announcing.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, is_passing: bool) -> Member {
        Member {
            name: name.to_owned(),
            instance: u64::MAX,
            version: "0.1.0".to_owned(),
            addresses: BTreeMap::from([("mqtt".to_owned(), "10.0.0.1:1883".to_owned())]),
            is_passing,
        }
    }

    #[test]
    fn what_is_registered_is_read_again() {
        let written = Value::Object(member("node-1", true).to_table());
        assert_eq!(Member::from_table(&written, true), Some(member("node-1", true)));
    }

    #[test]
    fn a_service_of_others_is_no_member() {
        for table in [json!(null), json!({}), json!({"node": "", "instance": "1", "version": ""})] {
            assert_eq!(Member::from_table(&table, true), None, "{table}");
        }
        let strange = json!({"node": "a", "instance": "not hexadecimal", "version": "1"});
        assert_eq!(Member::from_table(&strange, true), None);
    }

    #[test]
    fn nothing_is_said_of_a_node_while_the_registry_is_away() {
        let mut members = Members::default();
        assert_eq!(members.is_gone("a"), None, "never asked");
        members.is_known = true;
        members.list = vec![member("a", true), member("b", false)];
        assert_eq!(members.is_gone("a"), Some(false));
        assert_eq!(members.is_gone("b"), Some(true), "critical");
        assert_eq!(members.is_gone("c"), Some(true), "not listed");
        members.following = Some(Trouble { since: Instant::now(), cause: String::new() });
        assert_eq!(members.is_gone("c"), None, "away");
    }
}
