//! *Externalised Configuration*, control's part: the layers above the code, merged into one resource for each brick,
//! and changed in two phases.
//!
//! Layers, lowest first: manifest, configuration repository, live changes. What they give together is published as
//! `config/<brick>`. Everything stands in the store: what operators set (`live/…`), what is being prepared
//! (`prepare/…`), what was changed (`history/…`), levels of log lines (`log/…`).
//!
//! What always holds: one change of a brick at a time; a decision is stored before anybody is told; values that are
//! secret stand in no answer, no history and no log line.

pub(crate) mod change;
pub(crate) mod cipher;
pub(crate) mod history;
pub(crate) mod layers;
pub(crate) mod level;
pub(crate) mod repository;
pub(crate) mod spring;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// Settings with what operators changed while the system ran.
pub(crate) const LIVE: &str = "live/";
/// Settings, and resources, with what is being prepared.
pub(crate) const PREPARE: &str = "prepare/";
/// Settings with what was changed.
pub(crate) const HISTORY: &str = "history/";
/// Settings, and resources, with levels of log lines.
pub(crate) const LOG: &str = "log/";

/// What stands in place of a secret.
pub(crate) const HIDDEN: &str = "•••";

/// Keeps changes of one brick apart from each other.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The turn of a brick: changes wait for each other. Bricks are few: those of the manifest.
    pub(crate) fn of(&self, brick: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.0.lock().entry(brick.to_owned()).or_default())
    }
}

/// Name of the resource with a brick's configuration.
pub(crate) fn resource_name(brick: &str) -> String {
    format!("config/{brick}")
}

/// A value, unless its key is secret.
pub(crate) fn shown(key: &str, value: &Value, secret: bool) -> Value {
    let ciphered = value
        .as_str()
        .is_some_and(|text| text.starts_with(cipher::PREFIX));
    match secret || ciphered || brick_config::is_secret(key) {
        true => Value::from(HIDDEN),
        false => value.clone(),
    }
}
