//! The folder in which a node keeps what is to last; one node at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system says why.
    #[error("{} cannot be used", folder.display())]
    Unusable {
        /// Which folder.
        folder: PathBuf,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// There is none.
    #[error("{} holds no session store", folder.display())]
    Missing {
        /// Which folder.
        folder: PathBuf,
    },
    /// Another process has it.
    #[error("{} is in use by the process {process}", folder.display())]
    InUse {
        /// Which folder.
        folder: PathBuf,
        /// Its number, as far as it can be read.
        process: String,
    },
}

/// A folder that no other process uses for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

/// The file that is locked, and says who does.
const LOCK: &str = "lock";

/// Makes a folder, for its owner alone, and those that it is in, so that none of them is lost with the power.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Messages, and who reads them, are nobody else's.
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in missing {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

impl Folder {
    /// Takes a folder, and makes it if need be.
    ///
    /// # Errors
    /// When another process has it, or it cannot be used.
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        make(path).map_err(|source| FolderError::Unusable { folder: path.to_owned(), source })?;
        Self::lock(path)
    }

    /// Takes a folder that was taken before; none is made.
    ///
    /// # Errors
    /// The same, and when there is none.
    pub fn take_existing(path: &Path) -> Result<Self, FolderError> {
        match path.join(LOCK).exists() {
            true => Self::lock(path),
            false => Err(FolderError::Missing { folder: path.to_owned() }),
        }
    }

    fn lock(path: &Path) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { folder: path.to_owned(), source };
        let lock = path.join(LOCK);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock);
        let mut file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = file.read_to_string(&mut process);
                let process = process.trim().to_owned();
                return Err(FolderError::InUse { folder: path.to_owned(), process });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write().map_err(unusable)?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
