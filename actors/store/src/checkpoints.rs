//! What was applied up to some position: blobs by shard and key. A commit is there whole or not at all.

use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use crate::overlay::Overlay;
use crate::{Position, Shard};

/// By shard and key.
const BLOBS: TableDefinition<'_, (Shard, &[u8]), &[u8]> = TableDefinition::new("blobs");
/// What concerns all of them, by name.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const FORMAT_NAME: &str = "format";
const APPLIED_NAME: &str = "applied";
const HASH_KEY_NAME: &str = "hash key";
/// The format that is written, and the newest one that is read.
const FORMAT: u64 = 1;

/// Memory that is kept of what was read.
const CACHE_BYTES: usize = 16 << 20;

/// A key by which names are spread over shards.
pub type HashKey = [u8; 16];

/// Why a checkpoint can be neither read nor written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system or the file says why.
    #[error("the checkpoint cannot be read or written")]
    Failed(#[source] Box<redb::Error>),
    /// It lacks what every checkpoint has, or has it wrong.
    #[error("the checkpoint has no usable {0}")]
    Damaged(&'static str),
    /// A later version of this program wrote it.
    #[error("the checkpoint has format {0}, and this version reads {FORMAT} at most")]
    Newer(u64),
}

impl<E: Into<redb::Error>> From<E> for CheckpointError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

/// What a commit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'a> {
    /// A key has this blob.
    Put(Shard, &'a [u8], &'a [u8]),
    /// A key has none.
    Remove(Shard, &'a [u8]),
    /// No key from the first up to the second, which stays, has any.
    RemoveRange(Shard, &'a [u8], &'a [u8]),
}

/// A blob behind its key.
pub type Blob = (Vec<u8>, Vec<u8>);

/// Some of the blobs of a shard, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// With their keys.
    pub blobs: Vec<Blob>,
    /// Whether there may be others behind them.
    pub more: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Checkpoints {
    file: PathBuf,
    /// None where a commit failed, behind which the file has to be opened anew.
    database: Option<Database>,
    applied: Position,
    hash_key: HashKey,
}

impl Checkpoints {
    /// Opens the file, or makes it, with a key drawn by lot.
    ///
    /// # Errors
    /// When it cannot be read or written, is damaged, or of a later version.
    pub fn open(file: &Path, drawn_key: impl FnOnce() -> HashKey) -> Result<Self, CheckpointError> {
        let database = open_database(file)?;
        let transaction = begin(&database)?;
        let (applied, hash_key) = {
            transaction.open_table(BLOBS)?;
            let mut meta = transaction.open_table(META)?;
            match number(&meta, FORMAT_NAME)? {
                None => {
                    meta.insert(FORMAT_NAME, FORMAT.to_le_bytes().as_slice())?;
                    meta.insert(APPLIED_NAME, 0_u64.to_le_bytes().as_slice())?;
                    meta.insert(HASH_KEY_NAME, drawn_key().as_slice())?;
                }
                Some(FORMAT) => {}
                Some(format) => return Err(CheckpointError::Newer(format)),
            }
            known(&meta)?
        };
        transaction.commit()?;
        Ok(Self { file: file.to_owned(), database: Some(database), applied, hash_key })
    }

    /// The last entry of the log that is in it.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The key that was drawn when it was made.
    pub fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    /// Takes in all entries up to `applied`, which are on the disk. Their writes are done in their order.
    ///
    /// # Errors
    /// When it could not be written; then it is as it was.
    pub fn commit<'a>(
        &mut self,
        applied: Position,
        writes: impl IntoIterator<Item = Write<'a>>,
    ) -> Result<(), CheckpointError> {
        let outcome = write_all(self.database()?, applied, writes);
        match outcome {
            Ok(()) => self.applied = applied,
            Err(_) => self.database = None,
        }
        outcome
    }

    /// What it has now, to be read as long as somebody needs it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn reader(&mut self) -> Result<CheckpointReader, CheckpointError> {
        Ok(CheckpointReader(self.database()?.begin_read()?.open_table(BLOBS)?))
    }

    fn database(&mut self) -> Result<&Database, CheckpointError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(&self.file)?,
        };
        Ok(self.database.insert(database))
    }

    /// The next blobs of a shard behind a key: until they have so many bytes, and one at least.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn load(
        &mut self,
        shard: Shard,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> Result<Piece, CheckpointError> {
        let begin =
            after.map_or(Bound::Included((shard, [].as_slice())), |key| Bound::Excluded((shard, key)));
        let end = match shard.checked_add(1) {
            Some(next) => Bound::Excluded((next, [].as_slice())),
            None => Bound::Unbounded,
        };
        let blobs = self.database()?.begin_read()?.open_table(BLOBS)?;
        let (mut piece, mut bytes) = (Piece::default(), 0);
        for blob in blobs.range((begin, end))? {
            if bytes >= bytes_max && bytes > 0 {
                piece.more = true;
                break;
            }
            let (key, value) = blob?;
            let (key, value) = (key.value().1.to_vec(), value.value().to_vec());
            bytes += key.len() + value.len();
            piece.blobs.push((key, value));
        }
        Ok(piece)
    }
}

/// A checkpoint that is looked at: whatever opening it changes is not on the disk.
#[derive(Debug)]
pub struct CheckpointView(Checkpoints);

impl CheckpointView {
    /// Opens the file as [`Checkpoints::open`] does, and leaves it as it is.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or of a later version.
    pub fn open(file: &Path) -> Result<Self, CheckpointError> {
        let overlay = Overlay::open(file).map_err(redb::Error::Io)?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(overlay)?;
        let (applied, hash_key) = {
            let meta = database.begin_read()?.open_table(META)?;
            match number(&meta, FORMAT_NAME)? {
                Some(FORMAT) => {}
                Some(format) => return Err(CheckpointError::Newer(format)),
                None => return Err(CheckpointError::Damaged(FORMAT_NAME)),
            }
            known(&meta)?
        };
        Ok(Self(Checkpoints { file: file.to_owned(), database: Some(database), applied, hash_key }))
    }

    /// The format that it has.
    pub fn format(&self) -> u64 {
        FORMAT
    }

    /// The last entry of the log that is in it.
    pub fn applied(&self) -> Position {
        self.0.applied
    }

    /// The key that was drawn when it was made.
    pub fn hash_key(&self) -> &HashKey {
        &self.0.hash_key
    }

    /// The next blobs of a shard behind a key: until they have so many bytes, and one at least.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn load(
        &mut self,
        shard: Shard,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> Result<Piece, CheckpointError> {
        self.0.load(shard, after, bytes_max)
    }
}

/// What a checkpoint has at some moment, whatever is committed meanwhile.
pub struct CheckpointReader(ReadOnlyTable<(Shard, &'static [u8]), &'static [u8]>);

impl fmt::Debug for CheckpointReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointReader").finish_non_exhaustive()
    }
}

impl CheckpointReader {
    /// The blob of a key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, shard: Shard, key: &[u8]) -> Result<Option<Vec<u8>>, CheckpointError> {
        Ok(self.0.get((shard, key))?.map(|blob| blob.value().to_vec()))
    }

    /// The blobs between two keys, in the order of theirs.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn between(&self, shard: Shard, before: &[u8], behind: &[u8]) -> Result<Vec<Blob>, CheckpointError> {
        let range = (Bound::Excluded((shard, before)), Bound::Excluded((shard, behind)));
        let mut blobs = Vec::new();
        for blob in self.0.range(range)? {
            let (key, value) = blob?;
            blobs.push((key.value().1.to_vec(), value.value().to_vec()));
        }
        Ok(blobs)
    }
}

fn open_database(file: &Path) -> Result<Database, CheckpointError> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create(file)?)
}

fn write_all<'a>(
    database: &Database,
    applied: Position,
    writes: impl IntoIterator<Item = Write<'a>>,
) -> Result<(), CheckpointError> {
    let transaction = begin(database)?;
    {
        let mut blobs = transaction.open_table(BLOBS)?;
        for write in writes {
            carry_out(&mut blobs, write)?;
        }
        let mut meta = transaction.open_table(META)?;
        meta.insert(APPLIED_NAME, applied.to_le_bytes().as_slice())?;
    }
    Ok(transaction.commit()?)
}

/// A kill or a loss of power in the middle of it leaves what was there before, and costs no repair at the next start.
fn begin(database: &Database) -> Result<WriteTransaction, CheckpointError> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn carry_out(
    blobs: &mut Table<'_, (Shard, &'static [u8]), &'static [u8]>,
    write: Write<'_>,
) -> Result<(), CheckpointError> {
    match write {
        Write::Put(shard, key, blob) => drop(blobs.insert((shard, key), blob)?),
        Write::Remove(shard, key) => drop(blobs.remove((shard, key))?),
        Write::RemoveRange(shard, from, to) => blobs.retain_in((shard, from)..(shard, to), |_, _| false)?,
    }
    Ok(())
}

/// The last entry that is in it, and its key.
fn known(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<(Position, HashKey), CheckpointError> {
    let applied = number(meta, APPLIED_NAME)?.ok_or(CheckpointError::Damaged(APPLIED_NAME))?;
    let key = meta.get(HASH_KEY_NAME)?.and_then(|key| HashKey::try_from(key.value()).ok());
    Ok((applied, key.ok_or(CheckpointError::Damaged(HASH_KEY_NAME))?))
}

fn number(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &'static str,
) -> Result<Option<u64>, CheckpointError> {
    let Some(value) = meta.get(name)? else { return Ok(None) };
    let bytes = value.value().try_into().map_err(|_| CheckpointError::Damaged(name))?;
    Ok(Some(u64::from_le_bytes(bytes)))
}
