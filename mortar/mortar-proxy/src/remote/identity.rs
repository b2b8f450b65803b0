//! Whose signatures count and who the proxy is, from files: one for all services that name the same files.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use brick_bus::ExternalTls;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

use crate::tls::{Client, Roots, file};

/// Finds the authorities that the machine knows.
pub type SystemRoots = fn() -> Vec<CertificateDer<'static>>;

/// The identities in use, by the files that they are made from.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    known: HashMap<Files, Weak<Identity>>,
    system: Option<SystemRoots>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Files {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

/// What the files say, as it is in force.
#[derive(Debug)]
pub(crate) struct Identity {
    files: Files,
    system: Option<SystemRoots>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the files when they were read last; none before.
    seen: Option<Vec<file::Stamp>>,
    generation: u64,
    client: Option<Client>,
}

impl Identities {
    pub(crate) fn with_roots(system: SystemRoots) -> Self {
        Self {
            known: HashMap::new(),
            system: Some(system),
        }
    }

    /// The one that is made from these files.
    pub(crate) fn of(&mut self, told: &ExternalTls) -> Arc<Identity> {
        let files = Files {
            ca: told.ca.clone(),
            cert: told.cert.clone(),
            key: told.key.clone(),
        };
        self.known.retain(|_, held| held.strong_count() > 0);
        if let Some(held) = self.known.get(&files).and_then(Weak::upgrade) {
            return held;
        }
        let made = Arc::new(Identity {
            files: files.clone(),
            system: self.system,
            state: Mutex::default(),
        });
        self.known.insert(files, Arc::downgrade(&made));
        made
    }
}

impl Files {
    fn paths(&self) -> impl Iterator<Item = &str> {
        let named = [&self.ca, &self.cert, &self.key].into_iter().flatten();
        named.map(String::as_str)
    }
}

impl Identity {
    /// What is in force now, with its generation; the files are read again where they changed. `of` says for whom.
    pub(crate) fn current(&self, of: &str) -> Option<(u64, Client)> {
        let mut state = self.state.lock();
        let seen: Vec<file::Stamp> = self.files.paths().map(file::stamp).collect();
        if state.seen.as_ref() != Some(&seen) {
            let is_first = state.seen.replace(seen).is_none();
            match self.read() {
                Ok(client) => {
                    state.generation += 1;
                    state.client = Some(client);
                    if !is_first {
                        tracing::info!(to = of, "another identity is shown from now on");
                    }
                }
                // A file that is being written must not take away what works.
                Err(reason) => tracing::warn!(
                    to = of,
                    reason,
                    "TLS settings cannot be used; the present ones stay"
                ),
            }
        }
        Some((state.generation, state.client.clone()?))
    }

    fn read(&self) -> Result<Client, String> {
        let read = |path: &String| {
            let found = file::read(path);
            found.map_err(|error| format!("cannot read {path}: {error}"))
        };
        let ca = self.files.ca.as_ref().map(read).transpose()?;
        let cert = self.files.cert.as_ref().map(read).transpose()?;
        let key = self.files.key.as_ref().map(read).transpose()?;
        let known = match (&ca, self.system) {
            (None, Some(system)) => system(),
            _ => Vec::new(),
        };
        let roots = ca.as_deref().map_or(Roots::Known(&known), Roots::Pem);
        let shown = cert.as_deref().zip(key.as_deref());
        Client::new(roots, shown).map_err(|error| {
            let paths: Vec<&str> = self.files.paths().collect();
            format!("{}: {}", paths.join(", "), brick_core::chain(&error))
        })
    }
}
