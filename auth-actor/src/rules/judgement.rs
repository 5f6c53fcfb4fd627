//! A question with all its wishes, judged piece by piece, so that thirty thousand rules and a SUBSCRIBE with thousands
//! of filters hold up nobody who has less to ask.

use super::{Judged, Names, Rules, Work};
use crate::Action;

/// How far a question is judged.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    verdicts: Vec<bool>,
    /// The rule at which the next wish goes on.
    next_rule: usize,
}

impl Judgement {
    /// Judges on, by the same rules as before, and stops after so many comparisons of a wish with a rule, or what
    /// takes as long. Answers how many it took: the last piece of work may be more than what was left.
    pub(crate) fn go_on(
        &mut self,
        rules: &Rules,
        names: Names<'_>,
        wishes: &[(Action, String)],
        comparisons: usize,
    ) -> usize {
        let mut work = Work::new(comparisons);
        while let Some((action, topic)) = wishes.get(self.verdicts.len())
            && !work.is_spent()
        {
            match rules.judge(names, *action, topic, self.next_rule, &mut work) {
                Judged::Decided(allowed) => {
                    self.verdicts.push(allowed);
                    self.next_rule = 0;
                }
                Judged::GoesOnAt(rule) => self.next_rule = rule,
            }
        }
        work.spent
    }

    /// The verdicts, in the order of the wishes; `None` as long as some are missing.
    pub(crate) fn verdicts(&mut self, wishes: &[(Action, String)]) -> Option<Vec<bool>> {
        (self.verdicts.len() == wishes.len()).then(|| std::mem::take(&mut self.verdicts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Actions, Pattern, Permission, Rule};

    const NAMES: Names<'_> = Names { client_identifier: "c", user_name: None };

    /// Each allows one topic name.
    fn rules(count: usize) -> Rules {
        let rule = |number| Rule {
            permission: Permission::Allow,
            actions: Actions::All,
            pattern: Pattern::parse(&format!("t/{number}")).unwrap(),
            user: None,
            client: None,
        };
        Rules::new((0..count).map(rule).collect(), None)
    }

    fn wishes(topics: impl IntoIterator<Item = String>) -> Vec<(Action, String)> {
        topics.into_iter().map(|topic| (Action::Subscribe, topic)).collect()
    }

    /// No turn takes more than it may, and the pieces together give what all at once would.
    #[test]
    fn pieces_are_bounded_and_make_a_whole() {
        const TURN: usize = 100;
        let rules = rules(1000);
        let wishes = wishes((0..40).map(|number| format!("t/{}", number * 37)));
        let mut judgement = Judgement::default();
        let mut turns = 0;
        let verdicts = loop {
            let spent = judgement.go_on(&rules, NAMES, &wishes, TURN);
            assert!(spent > 0 && spent <= TURN, "{spent}");
            turns += 1;
            if let Some(verdicts) = judgement.verdicts(&wishes) {
                break verdicts;
            }
        };
        let expected: Vec<bool> = (0..40).map(|number| number * 37 < 1000).collect();
        assert_eq!(verdicts, expected);
        // 28 wishes meet their rule, number * 37 rules in; 12 meet none of 1,000.
        let comparisons = (0..28).map(|number| number * 37 + 1).sum::<usize>() + 12 * 1000;
        assert!((comparisons / TURN..comparisons / TURN + 50).contains(&turns), "{turns}");
    }

    /// Long topics and rules of many levels cost what they cost.
    #[test]
    fn what_takes_long_counts_as_more() {
        let mut judgement = Judgement::default();
        let long = wishes([format!("t/{}", "x".repeat(16_000))]);
        assert!(judgement.go_on(&rules(1), NAMES, &long, 1) >= 1000);
        let mut judgement = Judgement::default();
        let deep = Rule {
            permission: Permission::Allow,
            actions: Actions::All,
            pattern: Pattern::parse(&"+/".repeat(1600)).unwrap(),
            user: None,
            client: None,
        };
        assert!(judgement.go_on(&Rules::new(vec![deep], None), NAMES, &wishes(["t".to_owned()]), 10) >= 100);
    }

    /// A topic that takes more than a turn comes to its end: a rule in each turn, but not the topic anew.
    #[test]
    fn a_topic_longer_than_a_turn_is_judged() {
        let (rules, long) = (rules(50), wishes([format!("t/{}", "x".repeat(60_000))]));
        let mut judgement = Judgement::default();
        let spent: Vec<usize> = (0..50).map(|_| judgement.go_on(&rules, NAMES, &long, 1)).collect();
        assert_eq!(judgement.verdicts(&long), Some(vec![false]));
        assert!(spent[0] > 1000 && spent[1..].iter().all(|spent| *spent <= 1), "{spent:?}");
    }

    #[test]
    fn nothing_asked_is_judged_at_once() {
        assert_eq!(Judgement::default().verdicts(&[]), Some(vec![]));
    }
}
