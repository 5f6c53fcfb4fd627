//! Collects what does not agree in a simulated node.

/// What does not agree, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Broken(Vec<String>);

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Judge {
    pub(super) wrong: Vec<String>,
}

impl Judge {
    #[track_caller]
    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: impl std::fmt::Display,
        found: T,
        expected: T,
    ) {
        if found != expected {
            self.wrong.push(format!("{what}: {found:?} in place of {expected:?}"));
        }
    }

    pub(super) fn verdict(self) -> Result<(), Broken> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Broken(self.wrong)) }
    }
}
