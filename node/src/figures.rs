//! The actors' figures, as the admin listener serves them, and those of the process beside them.

use std::fmt::Write as _;
use std::sync::Arc;

use micro_mq_actors::{AdminHandle, Readiness, Unanswered};

use crate::admin::{AdminError, AdminSource, Answer};
use crate::logging::LogQueue;
use crate::registry::Seen;

/// All figures of the process.
pub(crate) struct Figures {
    actors: Arc<AdminHandle>,
    log: LogQueue,
    registry: Seen,
}

impl Figures {
    pub(crate) fn new(actors: Arc<AdminHandle>, log: LogQueue, registry: Seen) -> Self {
        Self { actors, log, registry }
    }
}

impl AdminSource for Figures {
    fn readiness(&self) -> Readiness {
        self.actors.readiness()
    }

    fn metrics(&self) -> Answer<String> {
        let (actors, log, registry) = (Arc::clone(&self.actors), self.log.clone(), self.registry.clone());
        Box::pin(async move {
            let mut page = actors.prometheus().await?;
            let name = "micro_mq_log_lines_lost_total";
            let help = "Lines of the log that stderr did not take.";
            let lost = log.lost();
            write!(page, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {lost}\n")
                .expect("a String takes everything");
            registry.write(&mut page);
            Ok(page)
        })
    }

    fn registry_trouble(&self) -> Option<String> {
        self.registry.trouble()
    }

    fn actors(&self) -> Option<Arc<AdminHandle>> {
        Some(Arc::clone(&self.actors))
    }
}

impl From<Unanswered> for AdminError {
    fn from(_: Unanswered) -> Self {
        Self::Unavailable
    }
}
