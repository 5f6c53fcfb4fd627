//! What the listeners of a node that runs have in force, and how it is replaced.
//!
//! A listener whose files do not go together keeps what it has, and says so. No network connection is dropped by a swap;
//! those whose certificate is revoked by it are closed, behind it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use auth_actor::{CertificateId, Notice, Notices};
use micro_mq_actors::Tls;
use tracing::{info, warn};

use super::{Loaded, TlsError, load, watch};
use crate::config::{ListenerConfig, NodeConfig};

/// The listeners that speak TLS. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LiveTls(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    name: String,
    listener: ListenerConfig,
    tls: Tls,
    revoked: HashSet<CertificateId>,
    contents: Vec<Vec<u8>>,
    /// What was wrong when they were read last, so that it is said once.
    problem: Option<String>,
}

impl LiveTls {
    /// Reads the files of all listeners that are opened.
    ///
    /// # Errors
    /// When one cannot be read or used.
    pub(crate) fn load(config: &NodeConfig) -> Result<Self, TlsError> {
        let mut entries = Vec::new();
        for (name, listener) in config.enabled_listeners() {
            let Some(Loaded { config, revoked, contents }) = load(name, listener)? else { continue };
            entries.push(Entry {
                name: name.to_owned(),
                listener: listener.clone(),
                tls: Tls::new(config, listener.tls_client_name),
                revoked,
                contents,
                problem: None,
            });
        }
        Ok(Self(Arc::new(Mutex::new(entries))))
    }

    /// What the listener of this name has in force; none if it speaks no TLS.
    pub(crate) fn of(&self, name: &str) -> Option<Tls> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().find(|entry| entry.name == name).map(|entry| entry.tls.clone())
    }

    /// Reads all files anew, on a thread of its own.
    pub(crate) fn reread(&self, notices: Notices) {
        let (live, told) = (self.clone(), notices);
        if self.is_empty() {
            return;
        }
        let reread =
            thread::Builder::new().name("tls-reload".to_owned()).spawn(move || live.reread_now(&told));
        if let Err(error) = reread {
            warn!(%error, "certificates cannot be read anew: there is no thread for it");
        }
    }

    /// Reads files anew when they change, for as long as the process runs.
    pub(crate) fn follow(&self, notices: Notices) {
        if self.is_empty() {
            return;
        }
        let folders = self.folders();
        let live = self.clone();
        watch::follow(folders, move || live.reread_now(&notices));
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The folders of all files: a file that is replaced is another one.
    fn folders(&self) -> HashSet<PathBuf> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let files = entries.iter().flat_map(|Entry { listener, .. }| {
            [&listener.tls_certificate, &listener.tls_key, &listener.tls_client_ca, &listener.tls_crl]
        });
        let files = files.filter(|file| !file.as_os_str().is_empty());
        let folder = |file: &PathBuf| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        files.map(folder).collect()
    }

    /// By one thread at a time.
    fn reread_now(&self, notices: &Notices) {
        let mut newly_revoked = Vec::new();
        {
            let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in &mut *entries {
                newly_revoked.extend(entry.reread());
            }
        }
        if !newly_revoked.is_empty() {
            // False if the node is no more.
            let _ = notices.give_blocking(Notice::Certificates(newly_revoked.into()));
        }
    }
}

impl Entry {
    /// Returns the certificates that are revoked since.
    fn reread(&mut self) -> Vec<CertificateId> {
        let Loaded { config, revoked, contents } = match load(&self.name, &self.listener) {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Vec::new(),
            Err(error) => {
                let problem = error.to_string();
                if self.problem.as_ref() != Some(&problem) {
                    warn!(%error, "certificates could not be read anew; what the listener has stays in force");
                    self.problem = Some(problem);
                }
                return Vec::new();
            }
        };
        self.problem = None;
        if contents == self.contents {
            return Vec::new();
        }
        self.tls.replace(config);
        self.contents = contents;
        let since = revoked.difference(&self.revoked).copied().collect::<Vec<_>>();
        info!(
            listener = self.name,
            revoked = revoked.len(),
            newly_revoked = since.len(),
            "certificates were read anew and are in force"
        );
        self.revoked = revoked;
        since
    }
}
