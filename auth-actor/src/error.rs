//! What can go wrong with settings and files.

use std::io;
use std::path::{Path, PathBuf};

/// Why a provider cannot start, or a file of users cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The provider `file` is chosen, but no file is named.
    #[error("auth.file: is missing, the provider \"file\" needs it")]
    NoFile,
    /// The provider is made by another crate.
    #[error("auth.provider: \"rpc\" is not a provider of this crate")]
    Elsewhere,
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written. The previous one is untouched.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is read, but says something wrong. Reads "users.toml: line 3: ...".
    #[error("{}: line {line}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The file has no such user.
    #[error("{}: has no user {user_name:?}", file.display())]
    UnknownUser {
        /// The file.
        file: PathBuf,
        /// The name asked for.
        user_name: String,
    },
    /// A user name that cannot be stored.
    #[error("user name {user_name:?} {problem}")]
    UserName {
        /// The name.
        user_name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A password that cannot be stored.
    #[error("password {problem}")]
    Password {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The password could not be hashed.
    #[error("password cannot be hashed: {problem}")]
    Hash {
        /// What the hash function said.
        problem: String,
    },
    /// The system has no random bytes.
    #[error("no random bytes")]
    Random(#[source] getrandom::Error),
    /// The threads that verify passwords cannot be started.
    #[error("cannot start the threads that verify passwords")]
    Threads(#[source] io::Error),
    /// The file is being read, and others wait for that already.
    #[error("the file of users is still being read")]
    Reloading,
    /// The thread that reads the file ended without an answer.
    #[error("reading the file of users was cut short")]
    Interrupted,
}

impl AuthError {
    pub(crate) fn read(file: &Path, source: io::Error) -> Self {
        Self::Read { file: file.to_owned(), source }
    }

    pub(crate) fn write(file: &Path, source: io::Error) -> Self {
        Self::Write { file: file.to_owned(), source }
    }
}
