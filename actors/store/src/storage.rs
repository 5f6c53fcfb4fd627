//! The files of a log: as the operating system has them, or as tests do.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder of segments. All of it may block.
pub trait Storage: Debug + Send + Sync {
    /// The names of all files, in no order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of so many zero bytes, each of which has its place on the disk, or makes one of that size of what
    /// is there by this name.
    ///
    /// # Errors
    /// What the operating system says; `StorageFull` when there is no room. The file may be there in part.
    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn SegmentFile>>;

    /// Opens a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>>;

    /// Gives a file another name, which lasts when this returns.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file if it is there; it is gone for good when this returns.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How a file is named to people.
    fn describe(&self, name: &str) -> String;
}

/// One file of them.
pub trait SegmentFile: Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer from this place.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of it to this place.
    ///
    /// # Errors
    /// What the operating system says; some of it may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written before is on the disk.
    ///
    /// # Errors
    /// What the operating system says; then nobody knows what is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// Whether what is opened may be written.
    writes: bool,
}

/// Zeros that are written at once.
const ZEROS: usize = 1 << 20;

impl Files {
    /// Of a folder that is there.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), writes: true }
    }

    /// The same, of which nothing is changed.
    pub fn read_only(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), writes: false }
    }

    /// Names are lost with the power as long as the folder itself is not on the disk.
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Storage for Files {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|file| Ok(file?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn SegmentFile>> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut written = file.metadata()?.len().min(size);
        file.set_len(written)?;
        let zeros = vec![0; ZEROS];
        while written < size {
            let piece = zeros.len().min(usize::try_from(size - written).unwrap_or(usize::MAX));
            file.write_all_at(&zeros[..piece], written)?;
            written += piece as u64;
        }
        file.sync_all()?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(self.writes).open(self.folder.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))?;
        self.sync_names()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync_names(),
        }
    }

    fn describe(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl SegmentFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
