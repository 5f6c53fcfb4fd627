//! Who hears a publish, as the scenario says.

use crate::{
    arguments::Arguments,
    scenario::Scenario,
    wire::{digits, number},
};

/// Where the publishes of a scenario go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To nobody.
    Nobody,
    /// To every subscriber.
    All,
    /// To the subscriber with the number of the publisher.
    Partner,
    /// Back to the client itself, if it subscribed.
    Itself,
    /// To the members of a group in turn.
    InTurn {
        /// How many there are.
        members: u32,
    },
    /// To one subscriber for each of the two drawn levels of the topic name.
    Drawn {
        /// Digits of a level.
        width: usize,
        /// Subscribers of the first level; those of the second are numbered behind them.
        first: u32,
        /// Subscribers of the second level.
        second: u32,
    },
}

impl Route {
    /// The route of the publishes of a run.
    pub(super) fn of(load: &Arguments) -> Self {
        match load.scenario {
            Scenario::Pub | Scenario::Connect | Scenario::Subscribe | Scenario::Retain => Self::Nobody,
            Scenario::FanIn | Scenario::FanOut => Self::All,
            Scenario::Pairs | Scenario::Paced | Scenario::Slow => Self::Partner,
            Scenario::Idle | Scenario::Churn => Self::Itself,
            Scenario::Shared => Self::InTurn { members: load.subscribers },
            Scenario::Wild => {
                let first = load.subscribers / 2;
                let width = digits(load.filters / 2 - 1);
                Self::Drawn { width, first, second: load.subscribers - first }
            }
        }
    }

    /// All publishes of one client go the same way, so that those which arrive together are passed on in one piece.
    pub(super) fn is_one_for_all(self) -> bool {
        !matches!(self, Self::InTurn { .. } | Self::Drawn { .. })
    }
}

/// The two subscribers of a topic name `bench/RUN/wild/K/K/value`.
pub(super) fn drawn(topic_name: &[u8], width: usize, first: u32, second: u32) -> Option<[u32; 2]> {
    const BEHIND: usize = "/value".len();
    let levels = topic_name.len().checked_sub(BEHIND + 2 * width + 1)?;
    let level = |at: usize| number(&topic_name[at..at + width]);
    Some([level(levels) % first, first + level(levels + width + 1) % second])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_say_who_hears() {
        assert_eq!(drawn(b"bench/1f/wild/00123/00045/value", 5, 10, 20), Some([3, 15]));
        assert_eq!(drawn(b"bench/value", 5, 10, 20), None);
    }
}
