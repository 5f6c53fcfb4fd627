//! `mqtt-bench compare`: result files side by side.
//!
//! Results are read as the JSON they are, not into the types of a report: what an older or newer mqtt-bench wrote can
//! be compared as well, as far as it has the figures.

mod arguments;
mod comparison;
mod figures;
mod input;
mod table;

pub(crate) use self::{
    arguments::{Arguments, HELP, parse},
    input::InputError,
};

/// What there is to read, and what to be warned of.
pub(crate) struct Shown {
    /// The table, or JSON.
    pub text: String,
    /// Sentences.
    pub warnings: Vec<String>,
}

/// Compares all files with the first.
pub(crate) fn run(arguments: &Arguments) -> Result<Shown, InputError> {
    let mut sources = Vec::new();
    for file in &arguments.files {
        sources.extend(input::read(file, &arguments.brokers)?);
    }
    let comparison = comparison::compare(sources);
    let text = if arguments.json {
        format!("{:#}\n", serde_json::json!(comparison))
    } else {
        comparison.to_string()
    };
    Ok(Shown { text, warnings: comparison.warnings })
}
