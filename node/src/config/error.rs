//! What is wrong with a configuration: each problem is one sentence that names the source and the key.

use std::fmt;
use std::path::PathBuf;

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Reads "conf/micro-mq.toml: cannot be read: No such file or directory (os error 2)".
    #[error("{}: cannot be read: {cause}", file.display())]
    Unreadable {
        /// As given with `--config`.
        file: PathBuf,
        /// What the operating system says.
        cause: String,
    },
    /// Reads "conf/micro-mq.toml: line 3, column 8: unclosed table, expected `]`".
    #[error("{}: line {line}, column {column}: {cause}", file.display())]
    Syntax {
        /// As given with `--config`.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the TOML parser says.
        cause: String,
    },
    /// Reads "--set: tcp: must read KEY=VALUE".
    #[error("--set: {argument}: must read KEY=VALUE")]
    NotAnAssignment {
        /// The whole argument.
        argument: String,
    },
    /// Reads "environment variable MICRO_MQ_NODE_WORKERS: two underscores part ...: MICRO_MQ__NODE__WORKERS".
    #[error("environment variable {name}: two underscores stand before and between section and key: {meant}")]
    Underscores {
        /// As it is written.
        name: String,
        /// As it has to be.
        meant: String,
    },
    /// Reads "conf/micro-mq.toml: node.connect_timeout_ms: must be above 0, not 0".
    #[error("{origin}: {key}: {problem}")]
    Key {
        /// File path, "environment variable NAME", "--set" or "defaults".
        origin: String,
        /// With its tables: `listener.tcp.bind`.
        key: String,
        /// What must hold, and what was found.
        problem: String,
    },
}

/// Everything that is wrong, in the order of the sources and their keys; one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<Vec<Problem>> for ConfigError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}
