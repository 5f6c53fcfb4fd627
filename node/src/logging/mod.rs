//! Log lines to stderr, as text or JSON; stdout is for what a command answers.
//!
//! A log that cannot be written never stops anything and makes nobody wait ([`LogQueue`]).

mod last_words;
mod panics;
mod queue;

use std::io;

use tracing_subscriber::EnvFilter;

pub(crate) use last_words::{PATIENCE, say, say_last};
pub(crate) use queue::LogQueue;

use crate::config::{LogConfig, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The configuration's check lets none of these pass.
    #[error("log.level {level:?} is no filter")]
    Filter {
        /// As configured.
        level: String,
        /// What the filter says.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Only one log can be installed in a process.
    #[error("a log is installed already")]
    Installed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system has no thread or no descriptor left.
    #[error("the thread that writes the log cannot be started")]
    Thread(#[source] io::Error),
}

/// Installs the log of this process; panics are part of it from then on.
///
/// # Errors
/// If the filter cannot be read, a log is installed already, or its thread cannot be started.
pub(crate) fn init(config: &LogConfig) -> Result<LogQueue, LoggingError> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|source| LoggingError::Filter { level: config.level.clone(), source })?;
    let queue = LogQueue::new(config.queue_bytes_max);
    queue.start_writing().map_err(LoggingError::Thread)?;
    // What goes wrong within the log has nobody to be told to: the fallback would be stderr itself.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(queue.clone())
        .log_internal_errors(false);
    match config.format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(LoggingError::Installed)?;
    panics::log_panics();
    Ok(queue)
}
