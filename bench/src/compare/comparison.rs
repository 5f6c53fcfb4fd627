//! Results side by side: medians, and quotients to the first.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    figures::figures,
    input::{Outcome, Source},
};
use crate::scenario::Scenario;

/// What is shown.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Files, with brokers where a file holds several; the first is what the others are compared with.
    pub files: Vec<String>,
    pub scenarios: Vec<Compared>,
    /// What makes figures hard to compare.
    pub warnings: Vec<String>,
}

/// A scenario, of all files.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub scenario: String,
    /// Of the first file that has it.
    pub settings: Map<String, Value>,
    /// How many results each file has.
    pub rounds: Vec<usize>,
    pub figures: Vec<Line>,
    /// Lost, duplicated, out of order and unacknowledged, of all rounds of each file.
    pub faults: Vec<Option<[u64; 4]>>,
}

/// A figure, of all files.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub figure: &'static str,
    pub unit: &'static str,
    pub values: Vec<Option<Cell>>,
}

/// A figure of one file.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Cell {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// Over the median of the first file.
    pub quotient: Option<f64>,
}

/// The rounds of a scenario with one shape, of one file.
struct Group {
    label: String,
    scenario: Scenario,
    settings: Map<String, Value>,
    rounds: Vec<Round>,
}

/// One result.
struct Round {
    figures: Vec<Option<f64>>,
    counts: [u64; 4],
    clean: bool,
}

/// A scenario with the groups of all files.
type Row = Vec<Option<Group>>;

/// Compares all with the first.
pub(super) fn compare(sources: Vec<Source>) -> Comparison {
    let mut warnings = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let files: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    for (column, source) in sources.into_iter().enumerate() {
        let groups = groups(source, &mut warnings);
        // A group that has an equal goes to it, before those of other settings take what is left.
        let mut rest = Vec::new();
        for group in groups {
            let equal = |it: &Group| it.label == group.label && it.settings == group.settings;
            match free(&mut rows, column, equal) {
                Some(place) => *place = Some(group),
                None => rest.push(group),
            }
        }
        for group in rest {
            match free(&mut rows, column, |it| it.label == group.label) {
                Some(place) => *place = Some(group),
                None => {
                    let mut row: Row = files.iter().map(|_| None).collect();
                    row[column] = Some(group);
                    rows.push(row);
                }
            }
        }
    }
    let mut scenarios = Vec::new();
    for row in rows {
        warn(&files, &row, &mut warnings);
        scenarios.push(compared(&row));
    }
    Comparison { files, scenarios, warnings }
}

/// The free place of a column in a row where another file has such a group.
fn free(rows: &mut [Row], column: usize, alike: impl Fn(&Group) -> bool) -> Option<&mut Option<Group>> {
    let fits = |row: &&mut Row| row[column].is_none() && row.iter().flatten().any(&alike);
    rows.iter_mut().find(fits).map(|row| &mut row[column])
}

fn groups(source: Source, warnings: &mut Vec<String>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for run in source.runs {
        let label = run.label;
        let (scenario, settings, round) = match run.outcome {
            Outcome::Done { scenario, settings, figures, counts, clean } => {
                (scenario, settings, Round { figures, counts, clean })
            }
            Outcome::Failed(problem) => {
                warnings.push(format!("{label}, {}: {problem}", source.name));
                continue;
            }
        };
        match groups.iter_mut().find(|it| it.label == label && it.settings == settings) {
            Some(group) => group.rounds.push(round),
            None => groups.push(Group { label, scenario, settings, rounds: vec![round] }),
        }
    }
    groups
}

fn warn(files: &[String], row: &Row, warnings: &mut Vec<String>) {
    let mut present = files.iter().zip(row).filter_map(|(file, group)| Some((file, group.as_ref()?)));
    let Some((first, base)) = present.next() else { return };
    for (file, group) in present {
        let names =
            base.settings.keys().chain(group.settings.keys().filter(|it| !base.settings.contains_key(*it)));
        let shown = |settings: &Map<String, Value>, name: &str| match settings.get(name) {
            None => "none".into(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        for name in names.filter(|name| base.settings.get(*name) != group.settings.get(*name)) {
            let (here, there) = (shown(&group.settings, name), shown(&base.settings, name));
            warnings.push(format!("{}: {name} is {here} in {file}, {there} in {first}", base.label));
        }
    }
    for (file, group) in files.iter().zip(row).filter_map(|(file, group)| Some((file, group.as_ref()?))) {
        for (place, round) in group.rounds.iter().enumerate() {
            let number =
                if group.rounds.len() > 1 { format!(", round {}", place + 1) } else { String::new() };
            let [lost, duplicated, disorder, unacknowledged] = round.counts;
            if round.counts != [0; 4] {
                warnings.push(format!(
                    "{}, {file}{number}: {lost} lost, {duplicated} duplicated, {disorder} out of order, \
                     {unacknowledged} unacknowledged",
                    group.label
                ));
            } else if !round.clean {
                warnings.push(format!("{}, {file}{number}: the run was not clean", group.label));
            }
        }
    }
}

fn compared(row: &Row) -> Compared {
    let first = row.iter().flatten().next().expect("a row begins with a group");
    let figures = figures(first.scenario).enumerate().filter_map(|(place, figure)| {
        let values = values(place, row);
        let any = values.iter().any(Option::is_some);
        any.then_some(Line { figure: figure.name, unit: figure.unit, values })
    });
    let sum = |group: &Group| {
        let counts = group.rounds.iter().map(|round| round.counts);
        counts.fold([0; 4], |sums, counts| [0, 1, 2, 3].map(|place| sums[place] + counts[place]))
    };
    Compared {
        scenario: first.label.clone(),
        settings: first.settings.clone(),
        rounds: row.iter().map(|group| group.as_ref().map_or(0, |it| it.rounds.len())).collect(),
        figures: figures.collect(),
        faults: row.iter().map(|group| group.as_ref().map(sum)).collect(),
    }
}

/// The figure at this place, of each file.
fn values(place: usize, row: &Row) -> Vec<Option<Cell>> {
    let rounds = |group: &Option<Group>| {
        let rounds = group.iter().flat_map(|it| &it.rounds);
        rounds.filter_map(|round| round.figures[place]).collect()
    };
    let mut values: Vec<_> = row.iter().map(|group| Cell::of(rounds(group))).collect();
    let base = values.first().and_then(Option::as_ref).map(|it| it.median).filter(|&it| it != 0.0);
    for value in values.iter_mut().skip(1).flatten() {
        value.quotient = base.map(|base| value.median / base);
    }
    values
}

impl Cell {
    /// Of these rounds, without a quotient; `None` without rounds.
    fn of(mut rounds: Vec<f64>) -> Option<Self> {
        rounds.sort_by(f64::total_cmp);
        let (&least, &most) = (rounds.first()?, rounds.last()?);
        let middle = rounds.len() / 2;
        let median =
            if rounds.len() % 2 == 1 { rounds[middle] } else { (rounds[middle - 1] + rounds[middle]) / 2.0 };
        Some(Self { median, least, most, quotient: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        let cell = |rounds: &[f64]| Cell::of(rounds.to_vec()).map(|it| (it.least, it.median, it.most));
        assert_eq!(cell(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(cell(&[4.0, 1.0, 2.0, 3.0]), Some((1.0, 2.5, 4.0)));
        assert_eq!(cell(&[]), None);
    }
}
