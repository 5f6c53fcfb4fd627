//! CPU time and memory of a process, as `/proc/PID` tells them.

use std::{fs, io};

use serde::Serialize;

/// A process that is watched: the broker, or the generator itself.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    directory: String,
}

/// CPU time of all threads so far, in seconds, to a hundredth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct CpuTime {
    /// In user mode.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

impl CpuTime {
    /// Time spent since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    /// Both times together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }

    /// User and system together.
    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }
}

/// A process cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It is gone, or belongs to somebody else.
    #[error("cannot read {path}, is the process alive and yours?")]
    Read {
        /// The file below `/proc`.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel wrote something unknown.
    #[error("{path} holds no {what}")]
    Field {
        /// The file below `/proc`.
        path: String,
        /// The missing field.
        what: &'static str,
    },
}

impl Process {
    /// The process with this identifier.
    pub(crate) fn new(pid: u32) -> Self {
        Self { directory: format!("/proc/{pid}") }
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self { directory: "/proc/self".into() }
    }

    /// utime and stime of `stat`, all threads, dead ones included.
    pub(crate) fn cpu(&self) -> Result<CpuTime, ProcessError> {
        let (path, text) = self.read("stat")?;
        // The command name in parentheses may hold spaces; utime is the 12th field behind it.
        let mut ticks = text
            .rsplit_once(')')
            .into_iter()
            .flat_map(|(_, rest)| rest.split_ascii_whitespace().skip(11))
            .map_while(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks.next(), ticks.next()) else {
            return Err(ProcessError::Field { path, what: "utime and stime" });
        };
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(CpuTime { user: user as f64 / per_second, system: system as f64 / per_second })
    }

    /// Resident memory in bytes, quick; the kernel's counter may lag by some hundred KiB.
    pub(crate) fn resident(&self) -> Result<u64, ProcessError> {
        self.kibibytes("status", "VmRSS:")
    }

    /// Resident memory in bytes, counted page by page where the kernel allows.
    pub(crate) fn resident_exact(&self) -> Result<u64, ProcessError> {
        self.kibibytes("smaps_rollup", "Rss:").or_else(|_| self.resident())
    }

    fn kibibytes(&self, file: &str, field: &'static str) -> Result<u64, ProcessError> {
        let (path, text) = self.read(file)?;
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .map(|kibibytes| kibibytes * 1024)
            .ok_or(ProcessError::Field { path, what: field })
    }

    fn read(&self, file: &str) -> Result<(String, String), ProcessError> {
        let path = format!("{}/{file}", self.directory);
        match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(source) => Err(ProcessError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_figures_are_plausible() {
        let process = Process::own();
        let before = process.cpu().unwrap();
        let exact = process.resident_exact().unwrap();
        assert!(exact > 100 << 10 && exact < 1 << 40, "{exact} bytes resident");
        assert!(process.resident().unwrap() > 0);
        assert!(process.cpu().unwrap().since(before).total() >= 0.0);
    }

    #[test]
    fn a_missing_process_is_named() {
        let error = Process::new(u32::MAX).cpu().unwrap_err();
        assert_eq!(error.to_string(), "cannot read /proc/4294967295/stat, is the process alive and yours?");
    }
}
