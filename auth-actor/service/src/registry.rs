//! All that is registered and in force, in memory and on the disk, and how it changes.
//!
//! A change is kept first, put in force then, and told last; each has a generation of its own, which rises for as long as the
//! folder is used.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use auth_actor::{Action, HashThreads, Overloaded, Password, StoredPassword};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::broadcast;

use crate::index::{Asked, Index, Reason, RoleError};
use crate::model::{AuditEntry, Caller, CallerRole, Client, Hash, Role, now};
use crate::store::{Kept, Store, StoreError, Write};
use crate::token::{Token, drawn};

/// Changes that a watcher may be behind; one that is further behind asks for all anew.
const CHANGES_KEPT: usize = 1024;
/// Bytes of a name of a client, a role, a caller: less than what a topic name leaves room for.
const NAME_BYTES_MAX: usize = 1024;

/// What is in force since when, and whose network connections end.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    pub(crate) generation: u64,
    pub(crate) withdrawn: Vec<String>,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none of that name.
    #[error("{what} {name:?} is not there")]
    NotFound {
        /// Client, role, caller.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// There is one of that name.
    #[error("{what} {name:?} is there already")]
    Exists {
        /// Client, caller.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// It cannot be as it is asked for.
    #[error("{0}")]
    Wrong(String),
    /// Others have it.
    #[error("role {name:?} is in use by {by}")]
    InUse {
        /// The role.
        name: String,
        /// A client or a role.
        by: String,
    },
    /// It could not be kept; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RoleError> for Refused {
    fn from(error: RoleError) -> Self {
        Self::Wrong(error.to_string())
    }
}

#[derive(Debug, Default)]
struct State {
    generation: u64,
    clients: HashMap<String, Client>,
    /// The names in order, for lists.
    names: BTreeSet<String>,
    roles: BTreeMap<String, Role>,
    index: Arc<Index>,
    callers: HashMap<String, Caller>,
    withdrawn: HashMap<String, u64>,
}

/// What is registered.
#[derive(Debug)]
pub struct Registry {
    state: RwLock<State>,
    /// Held over a whole change, so that there is one at a time.
    store: Mutex<Store>,
    changes: broadcast::Sender<Changed>,
    threads: HashThreads,
    /// What passwords of unknown clients are compared with, so that these take as long.
    decoy: StoredPassword,
}

/// What a login came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Allowed(String),
    Wrong,
    Unavailable,
}

impl Registry {
    /// Opens what is kept in a folder.
    ///
    /// # Errors
    /// It cannot be read, or a thread cannot be started.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let (store, kept) = Store::open(folder)?;
        let Kept { generation, clients, roles, callers, withdrawn } = kept;
        let wrong = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let index =
            Index::compile(&roles).map_err(|error| wrong(std::io::Error::other(error.to_string())))?;
        let names = clients.keys().cloned().collect();
        let state = State { generation, clients, names, roles, index: Arc::new(index), callers, withdrawn };
        let decoy = StoredPassword::derive(b"of nobody");
        Ok(Self {
            state: RwLock::new(state),
            store: Mutex::new(store),
            changes: broadcast::channel(CHANGES_KEPT).0,
            threads: HashThreads::start().map_err(wrong)?,
            decoy: decoy.map_err(|error| wrong(std::io::Error::other(error.to_string())))?,
        })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    // === decisions ===

    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Compares a password, on a thread of its own.
    pub(crate) async fn login(&self, name: &str, password: Password) -> Login {
        let known = {
            let state = self.state();
            let client = state.clients.get(name).filter(|client| !client.disabled);
            client.and_then(|client| StoredPassword::parse(&client.password.0))
        };
        let verified = self.threads.verify_stored(password, known.as_ref().unwrap_or(&self.decoy));
        let is_right = match verified {
            Err(Overloaded) => return Login::Unavailable,
            Ok(verified) => verified.await,
        };
        // It may have been disabled, or given another password, meanwhile.
        let state = self.state();
        let still = state.clients.get(name).filter(|client| !client.disabled);
        match (is_right, known, still) {
            (Ok(true), Some(known), Some(client)) if known.to_text() == client.password.0 => {
                Login::Allowed(client.name.clone())
            }
            (Ok(_), _, _) => Login::Wrong,
            (Err(_), _, _) => Login::Unavailable,
        }
    }

    /// Judges many questions of one client under one generation, which is returned as well.
    pub(crate) fn judge(
        &self,
        client_identifier: &str,
        name: &str,
        wishes: &[(Action, String)],
    ) -> (Vec<bool>, u64) {
        let state = self.state();
        let Some(client) = state.clients.get(name).filter(|client| !client.disabled) else {
            return (vec![false; wishes.len()], state.generation);
        };
        let rules = state.index.rules_of(&client.roles);
        let verdicts = wishes
            .iter()
            .map(|(action, topic)| rules.judge(Asked { client_identifier, name, action: *action, topic }).0);
        (verdicts.collect(), state.generation)
    }

    /// Judges one question, and says why.
    pub(crate) fn explain(
        &self,
        client_identifier: &str,
        name: &str,
        action: Action,
        topic: &str,
    ) -> (bool, String) {
        let state = self.state();
        let Some(client) = state.clients.get(name) else {
            return (false, format!("client {name:?} is not registered"));
        };
        if client.disabled {
            return (false, format!("client {name:?} is disabled"));
        }
        let rules = state.index.rules_of(&client.roles);
        let (allowed, reason) = rules.judge(Asked { client_identifier, name, action, topic });
        let reason = match reason {
            Reason::Rule { role, rule } => format!("role {role:?}: {rule}"),
            Reason::Nothing if client.roles.is_empty() => "it has no role".to_owned(),
            Reason::Nothing => format!("no rule of its roles allows it ({})", client.roles.join(", ")),
            Reason::NoTopic => format!("{topic:?} cannot be a topic of that"),
        };
        (allowed, reason)
    }

    /// All names that were withdrawn since a generation, and what is in force; and what comes behind that.
    pub(crate) fn watch(&self, since: u64) -> (Changed, broadcast::Receiver<Changed>) {
        let state = self.state();
        let changes = self.changes.subscribe();
        let withdrawn = state.withdrawn.iter().filter(|(_, at)| **at > since).map(|(name, _)| name.clone());
        // Who knows none has nobody who could be withdrawn.
        let withdrawn = if since == 0 { Vec::new() } else { withdrawn.collect() };
        (Changed { generation: state.generation, withdrawn }, changes)
    }

    /// Whose token this is.
    pub(crate) fn caller(&self, token: &str) -> Option<(String, CallerRole)> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let state = self.state();
        let found = state.callers.values().find(|caller| bool::from(caller.token_hash.ct_eq(&hash)));
        found.map(|caller| (caller.name.clone(), caller.role))
    }

    // === lists ===

    pub(crate) fn clients(&self, after: &str, limit: usize) -> Vec<Client> {
        let state = self.state();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let names = state.names.range::<str, _>(behind).take(limit);
        names.filter_map(|name| state.clients.get(name).cloned()).collect()
    }

    pub(crate) fn roles(&self, after: &str, limit: usize) -> Vec<Role> {
        let state = self.state();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        state.roles.range::<str, _>(behind).take(limit).map(|(_, role)| role.clone()).collect()
    }

    pub(crate) fn callers(&self) -> Vec<(String, CallerRole)> {
        let state = self.state();
        let mut callers: Vec<_> =
            state.callers.values().map(|caller| (caller.name.clone(), caller.role)).collect();
        callers.sort();
        callers
    }

    pub(crate) fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).audit(after, limit)
    }

    // === changes: they block for as long as the disk takes ===

    /// Registers a client; without a password of its own one is drawn. Returns it.
    pub(crate) fn create_client(
        &self,
        by: &str,
        name: &str,
        roles: Vec<String>,
        password: &[u8],
    ) -> Result<(Client, String), Refused> {
        check_name(name)?;
        let (shown, hash) = credentials(password)?;
        let at = now();
        let client = Client {
            name: name.to_owned(),
            password: hash,
            roles,
            disabled: false,
            created_at: at,
            rotated_at: at,
        };
        self.change(by, "client.create", name, |state| {
            if state.clients.contains_key(name) {
                return Err(Refused::Exists { what: "client", name: name.to_owned() });
            }
            check_roles(state, &client.roles)?;
            Ok((vec![Write::Client(client.clone())], Vec::new()))
        })?;
        Ok((client, shown))
    }

    /// Changes a client that is there, and ends its network connections if that is asked for.
    pub(crate) fn change_client(
        &self,
        by: &str,
        what: &str,
        name: &str,
        ends: bool,
        change: impl FnOnce(&mut Client),
    ) -> Result<Client, Refused> {
        let mut changed = None;
        self.change(by, what, name, |state| {
            let mut client = state.clients.get(name).cloned().ok_or_else(|| no_client(name))?;
            change(&mut client);
            check_roles(state, &client.roles)?;
            let mut writes = vec![Write::Client(client.clone())];
            if ends {
                writes.push(Write::Withdrawn(name.to_owned()));
            }
            changed = Some(client);
            Ok((writes, if ends { vec![name.to_owned()] } else { Vec::new() }))
        })?;
        changed.ok_or_else(|| no_client(name))
    }

    /// Gives a client another password, and returns that.
    pub(crate) fn rotate_client(&self, by: &str, name: &str) -> Result<(Client, String), Refused> {
        let (shown, hash) = credentials(&[])?;
        let client = self.change_client(by, "client.rotate", name, true, |client| {
            client.password = hash;
            client.rotated_at = now();
        })?;
        Ok((client, shown))
    }

    pub(crate) fn delete_client(&self, by: &str, name: &str) -> Result<(), Refused> {
        self.change(by, "client.delete", name, |state| {
            if !state.clients.contains_key(name) {
                return Err(no_client(name));
            }
            Ok((
                vec![Write::NoClient(name.to_owned()), Write::Withdrawn(name.to_owned())],
                vec![name.to_owned()],
            ))
        })
    }

    pub(crate) fn put_role(&self, by: &str, role: Role) -> Result<(), Refused> {
        check_name(&role.name)?;
        let name = role.name.clone();
        self.change(by, "role.put", &name, |_| Ok((vec![Write::Role(role)], Vec::new())))
    }

    pub(crate) fn delete_role(&self, by: &str, name: &str) -> Result<(), Refused> {
        self.change(by, "role.delete", name, |state| {
            if !state.roles.contains_key(name) {
                return Err(Refused::NotFound { what: "role", name: name.to_owned() });
            }
            let heir = state.roles.values().find(|role| role.inherits.iter().any(|parent| parent == name));
            let client = state.clients.values().find(|client| client.roles.iter().any(|role| role == name));
            let by = heir.map(|role| format!("role {:?}", role.name));
            if let Some(by) = by.or_else(|| client.map(|client| format!("client {:?}", client.name))) {
                return Err(Refused::InUse { name: name.to_owned(), by });
            }
            Ok((vec![Write::NoRole(name.to_owned())], Vec::new()))
        })
    }

    /// Lets somebody call, and returns the token, which is not kept.
    ///
    /// # Errors
    /// There is one of that name, or it could not be kept.
    pub fn add_caller(&self, by: &str, name: &str, role: CallerRole) -> Result<Token, Refused> {
        check_name(name)?;
        let token = drawn().map_err(|error| Refused::Wrong(error.to_string()))?;
        let token_hash = Sha256::digest(token.shown().as_bytes()).into();
        let caller = Caller { name: name.to_owned(), role, token_hash };
        self.change(by, "caller.add", name, |state| {
            if state.callers.contains_key(name) {
                return Err(Refused::Exists { what: "caller", name: name.to_owned() });
            }
            Ok((vec![Write::Caller(caller)], Vec::new()))
        })?;
        Ok(token)
    }

    /// Lets a caller call no more.
    ///
    /// # Errors
    /// There is none of that name, or it could not be kept.
    pub fn remove_caller(&self, by: &str, name: &str) -> Result<(), Refused> {
        self.change(by, "caller.remove", name, |state| match state.callers.contains_key(name) {
            true => Ok((vec![Write::NoCaller(name.to_owned())], Vec::new())),
            false => Err(Refused::NotFound { what: "caller", name: name.to_owned() }),
        })
    }

    /// Whether anybody may call.
    pub fn has_callers(&self) -> bool {
        !self.state().callers.is_empty()
    }

    /// Decides, keeps, puts in force, tells. One at a time.
    fn change(
        &self,
        by: &str,
        what: &str,
        name: &str,
        decide: impl FnOnce(&State) -> Result<(Vec<Write>, Vec<String>), Refused>,
    ) -> Result<(), Refused> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (writes, withdrawn, generation, index) = {
            let state = self.state();
            let (writes, withdrawn) = decide(&state)?;
            let index = next_index(&state, &writes)?;
            (writes, withdrawn, state.generation + 1, index)
        };
        let entry =
            AuditEntry { at: now(), caller: by.to_owned(), what: what.to_owned(), name: name.to_owned() };
        store.write(generation, &writes, &entry)?;
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.generation = generation;
            if let Some(index) = index {
                state.index = Arc::new(index);
            }
            for write in writes {
                state.take_in(generation, write);
            }
            // Within the lock: who begins to watch has this either here or in what is in force.
            // Nobody may listen.
            let _ = self.changes.send(Changed { generation, withdrawn });
        }
        tracing::info!(caller = by, what, name, generation, "changed");
        Ok(())
    }
}

impl State {
    fn take_in(&mut self, generation: u64, write: Write) {
        match write {
            Write::Client(client) => {
                self.names.insert(client.name.clone());
                self.clients.insert(client.name.clone(), client);
            }
            Write::NoClient(name) => {
                self.names.remove(&name);
                self.clients.remove(&name);
            }
            Write::Role(role) => _ = self.roles.insert(role.name.clone(), role),
            Write::NoRole(name) => _ = self.roles.remove(&name),
            Write::Caller(caller) => _ = self.callers.insert(caller.name.clone(), caller),
            Write::NoCaller(name) => _ = self.callers.remove(&name),
            Write::Withdrawn(name) => _ = self.withdrawn.insert(name, generation),
        }
    }
}

/// The roles behind a change, compiled; none if it changes no role.
fn next_index(state: &State, writes: &[Write]) -> Result<Option<Index>, RoleError> {
    if !writes.iter().any(|write| matches!(write, Write::Role(_) | Write::NoRole(_))) {
        return Ok(None);
    }
    let mut roles = state.roles.clone();
    for write in writes {
        match write {
            Write::Role(role) => _ = roles.insert(role.name.clone(), role.clone()),
            Write::NoRole(name) => _ = roles.remove(name),
            _ => {}
        }
    }
    Index::compile(&roles).map(Some)
}

fn no_client(name: &str) -> Refused {
    Refused::NotFound { what: "client", name: name.to_owned() }
}

fn check_name(name: &str) -> Result<(), Refused> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Refused::Wrong(format!(
            "name {name:?}: 1 to {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(())
}

fn check_roles(state: &State, roles: &[String]) -> Result<(), Refused> {
    match roles.iter().find(|role| !state.roles.contains_key(*role)) {
        Some(missing) => Err(Refused::NotFound { what: "role", name: missing.clone() }),
        None => Ok(()),
    }
}

/// A password and its hash: the one given, which is not shown again, or one that is drawn.
fn credentials(password: &[u8]) -> Result<(String, Hash), Refused> {
    let wrong = |error: &dyn std::fmt::Display| Refused::Wrong(error.to_string());
    if !password.is_empty() {
        let hash = StoredPassword::derive(password).map_err(|error| wrong(&error))?;
        return Ok((String::new(), Hash(hash.to_text())));
    }
    let drawn = drawn().map_err(|error| wrong(&error))?;
    let hash = StoredPassword::derive(drawn.shown().as_bytes()).map_err(|error| wrong(&error))?;
    Ok((drawn.shown().to_owned(), Hash(hash.to_text())))
}
