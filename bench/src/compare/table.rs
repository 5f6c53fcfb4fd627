//! A comparison as lines to read.

use std::fmt::{self, Write};

use serde_json::Value;

use super::comparison::{Cell, Compared, Comparison};

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, scenario) in self.scenarios.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            write_scenario(out, &self.files, scenario)?;
        }
        Ok(())
    }
}

fn write_scenario(out: &mut fmt::Formatter<'_>, files: &[String], scenario: &Compared) -> fmt::Result {
    write!(out, "{}", scenario.scenario)?;
    for (name, value) in &scenario.settings {
        match value {
            Value::Bool(false) => {}
            Value::String(text) => write!(out, ", {name} {text}")?,
            value => write!(out, ", {name} {value}")?,
        }
    }
    writeln!(out)?;
    let mut table = vec![vec![String::new()]];
    for (file, rounds) in files.iter().zip(&scenario.rounds) {
        let rounds = if *rounds > 1 { format!(", {rounds} rounds") } else { String::new() };
        table[0].push(format!("{file}{rounds}"));
    }
    for line in &scenario.figures {
        let mut row = vec![format!("{}, {}", line.figure, line.unit)];
        row.extend(line.values.iter().map(|value| value.as_ref().map_or("-".into(), cell)));
        table.push(row);
    }
    for (place, name) in ["lost", "duplicated", "out of order", "unacknowledged"].into_iter().enumerate() {
        let mut row = vec![name.to_owned()];
        row.extend(scenario.faults.iter().map(|it| it.map_or("-".into(), |it| it[place].to_string())));
        table.push(row);
    }
    write_table(out, &table)
}

/// Columns as wide as their widest cell.
fn write_table(out: &mut fmt::Formatter<'_>, table: &[Vec<String>]) -> fmt::Result {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "  {cell:<width$}")?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `12.3 (11.9 to 14.0) x 0.97`
fn cell(cell: &Cell) -> String {
    let mut text = number(cell.median);
    if cell.least < cell.most {
        let _ = write!(text, " ({} to {})", number(cell.least), number(cell.most));
    }
    if let Some(quotient) = cell.quotient {
        let _ = write!(text, "  x {quotient:.3}");
    }
    text
}

/// With as many digits as say something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_what_there_is() {
        let shown = |least, median, most, quotient| cell(&Cell { median, least, most, quotient });
        assert_eq!(shown(2.0, 2.0, 2.0, None), "2.00");
        assert_eq!(shown(0.5, 12.34, 1234.5, Some(0.5)), "12.3 (0.500 to 1234)  x 0.500");
    }
}
