//! Log lines to stderr, as text or JSON; stdout is for what a command answers.

use tracing_subscriber::EnvFilter;

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
}

/// Installs the log of this process.
///
/// # Errors
/// If the filter cannot be read, or a log is installed already.
pub(crate) fn init(config: &LogConfig) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|source| LoggingError::Filter { level: config.level.clone(), source })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(LoggingError::Installed)
}
