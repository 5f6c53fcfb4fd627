//! What `/metrics` says.

use std::collections::BTreeMap;

/// The figures of one moment, by name (without `micro_mq_`) and labels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(crate) fn read(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        Self(
            lines
                .filter_map(|line| {
                    let (name, value) = line.rsplit_once(' ')?;
                    let name = name.strip_prefix("micro_mq_")?;
                    Some((name.to_owned(), value.parse::<f64>().ok()? as u64))
                })
                .collect(),
        )
    }

    /// One figure; one with labels that never occurred is 0.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        let known = self.0.get(name).copied();
        known.unwrap_or_else(|| if name.contains('{') { 0 } else { panic!("no figure {name}") })
    }

    /// All figures of one name, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let of_name = |key: &&String| key.split('{').next() == Some(name);
        self.0.keys().filter(of_name).map(|key| self.0[key]).sum()
    }

    /// By how much a figure grew since `before`.
    #[track_caller]
    pub(crate) fn grew(&self, before: &Self, name: &str) -> u64 {
        self.get(name) - before.get(name)
    }
}
