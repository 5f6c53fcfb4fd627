//! What is registered, on the disk: redb, one file, each change one transaction together with its entry in the audit log.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{AuditEntry, Caller, Client, Role};

/// Name to client, role, caller; each as JSON.
const CLIENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("clients");
const ROLES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("roles");
const CALLERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("callers");
/// Name to the generation by which its network connections were to end last.
const WITHDRAWN: TableDefinition<'_, &str, u64> = TableDefinition::new("withdrawn");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const GENERATION: &str = "generation";
const FORMAT: &str = "format";
/// Of what this program writes.
const FORMAT_NOW: u64 = 1;

/// Why something cannot be kept, or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refuses the folder.
    #[error("{}: cannot be used", folder.display())]
    Folder {
        /// As given.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database says why.
    #[error("the database of the auth service: {0}")]
    Database(Box<redb::Error>),
    /// A later version has written it.
    #[error("the database of the auth service is of format {0}, which a later version writes")]
    Format(u64),
    /// It holds what nobody writes.
    #[error("the database of the auth service: {table} {name:?} cannot be read")]
    Damaged {
        /// Of which table.
        table: &'static str,
        /// Under which key.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// All that is kept but the audit log.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) generation: u64,
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) callers: HashMap<String, Caller>,
    pub(crate) withdrawn: HashMap<String, u64>,
}

/// One change, kept whole or not at all.
#[derive(Debug)]
pub(crate) enum Write {
    Client(Client),
    NoClient(String),
    Role(Role),
    NoRole(String),
    Caller(Caller),
    NoCaller(String),
    /// By the generation of the change.
    Withdrawn(String),
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Opens the folder, which is made for its owner alone if there is none, and reads what is kept.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Kept), StoreError> {
        let wrong = |source| StoreError::Folder { folder: folder.to_owned(), source };
        if !folder.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
        }
        let file = folder.join("auth.redb");
        // It holds hashes of passwords: nobody else is to read it.
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&file).map_err(wrong)?;
        let database = Database::create(&file)?;
        let transaction = database.begin_write()?;
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let format = numbers.get(FORMAT)?.map(|format| format.value());
            match format {
                None => _ = numbers.insert(FORMAT, FORMAT_NOW)?,
                Some(FORMAT_NOW) => {}
                Some(later) => return Err(StoreError::Format(later)),
            }
            transaction.open_table(CLIENTS)?;
            transaction.open_table(ROLES)?;
            transaction.open_table(CALLERS)?;
            transaction.open_table(WITHDRAWN)?;
            transaction.open_table(AUDIT)?;
        }
        transaction.commit()?;
        let store = Self { database };
        let kept = store.read()?;
        Ok((store, kept))
    }

    fn read(&self) -> Result<Kept, StoreError> {
        let transaction = self.database.begin_read()?;
        let generation = transaction.open_table(NUMBERS)?.get(GENERATION)?.map_or(0, |number| number.value());
        let mut kept = Kept { generation, ..Kept::default() };
        for entry in transaction.open_table(CLIENTS)?.iter()? {
            let (name, bytes) = entry?;
            kept.clients.insert(name.value().to_owned(), decoded("client", name.value(), bytes.value())?);
        }
        for entry in transaction.open_table(ROLES)?.iter()? {
            let (name, bytes) = entry?;
            kept.roles.insert(name.value().to_owned(), decoded("role", name.value(), bytes.value())?);
        }
        for entry in transaction.open_table(CALLERS)?.iter()? {
            let (name, bytes) = entry?;
            kept.callers.insert(name.value().to_owned(), decoded("caller", name.value(), bytes.value())?);
        }
        for entry in transaction.open_table(WITHDRAWN)?.iter()? {
            let (name, at) = entry?;
            kept.withdrawn.insert(name.value().to_owned(), at.value());
        }
        Ok(kept)
    }

    /// Keeps a change, as of this generation, with its entry in the audit log. It has outlived the loss of power when this
    /// returns.
    pub(crate) fn write(
        &self,
        generation: u64,
        writes: &[Write],
        entry: &AuditEntry,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(NUMBERS)?.insert(GENERATION, generation)?;
        for write in writes {
            carry_out(&transaction, generation, write)?;
        }
        {
            let mut audit = transaction.open_table(AUDIT)?;
            let number = audit.last()?.map_or(1, |(number, _)| number.value() + 1);
            audit.insert(number, encoded(entry).as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Entries of the audit log behind a number, at most so many.
    pub(crate) fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let audit = transaction.open_table(AUDIT)?;
        let mut entries = Vec::new();
        for entry in audit.range(after.saturating_add(1)..)?.take(limit) {
            let (number, bytes) = entry?;
            let name = number.value().to_string();
            entries.push((number.value(), decoded("audit", &name, bytes.value())?));
        }
        Ok(entries)
    }
}

fn carry_out(transaction: &WriteTransaction, generation: u64, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Client(client) => {
            let bytes = encoded(client);
            transaction.open_table(CLIENTS)?.insert(client.name.as_str(), bytes.as_slice())?;
        }
        Write::NoClient(name) => _ = transaction.open_table(CLIENTS)?.remove(name.as_str())?,
        Write::Role(role) => {
            let bytes = encoded(role);
            transaction.open_table(ROLES)?.insert(role.name.as_str(), bytes.as_slice())?;
        }
        Write::NoRole(name) => _ = transaction.open_table(ROLES)?.remove(name.as_str())?,
        Write::Caller(caller) => {
            let bytes = encoded(caller);
            transaction.open_table(CALLERS)?.insert(caller.name.as_str(), bytes.as_slice())?;
        }
        Write::NoCaller(name) => _ = transaction.open_table(CALLERS)?.remove(name.as_str())?,
        Write::Withdrawn(name) => _ = transaction.open_table(WITHDRAWN)?.insert(name.as_str(), generation)?,
    }
    Ok(())
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("its keys are texts, and nothing in it fails")
}

fn decoded<T: DeserializeOwned>(table: &'static str, name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Damaged {
        table,
        name: name.to_owned(),
        source,
    })
}

/// Writes a secret into a file that its owner alone can read; false if there is one already.
pub(crate) fn write_secret(file: &Path, secret: &str) -> io::Result<bool> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut file) => file.write_all(format!("{secret}\n").as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
