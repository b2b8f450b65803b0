//! The last known good state on disk: written whole, beside its place and then renamed into it.

use std::fs::File;
use std::future::pending;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::{Cursor, Resource, Source, State, Watch};

/// Format of the file; a greater number is another program's business.
const SCHEMA: u32 = 1;
/// A larger file is no snapshot of ours.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Changes within this time share one write.
const DEBOUNCE: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    cursor: Option<String>,
    resources: Vec<Resource>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is damaged")]
    Damaged(#[from] serde_json::Error),
    #[error("it was written by a newer version: format {found}, this program knows {SCHEMA}")]
    Newer {
        /// What it says.
        found: u32,
    },
}

/// Writes the state down whenever it changed.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    watch: Watch,
    written: Option<Arc<State>>,
    failing: bool,
}

/// The state of the last life, or none with a warning where the file is of no use. Its cursor is kept: the event ids
/// say for which view of the store they hold, so resuming from disk is as safe as resuming from memory.
pub(super) fn load(path: &Path) -> Option<(Vec<Resource>, Option<Cursor>)> {
    match read(path) {
        Ok(known) => Some(known),
        Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let (path, reason) = (path.display(), brick_core::chain(&error));
            tracing::warn!(%path, %reason, "the snapshot of the bus is ignored; control is asked instead");
            None
        }
    }
}

fn read(path: &Path) -> Result<(Vec<Resource>, Option<Cursor>), Unusable> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Unusable::TooLarge);
    }
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let found = serde_json::from_slice::<Head>(&bytes)?.schema;
    if found > SCHEMA {
        return Err(Unusable::Newer { found });
    }
    let document: Document = serde_json::from_slice(&bytes)?;
    let cursor = document.cursor.and_then(|text| text.parse::<Cursor>().ok());
    Ok((document.resources, cursor))
}

/// Keeps until dropped; nothing to keep never ends.
pub(super) async fn keep(keeper: Option<&mut Keeper>) {
    let Some(keeper) = keeper else {
        return pending().await;
    };
    loop {
        keeper.watch.changed().await;
        tokio::time::sleep(DEBOUNCE).await;
        keeper.write().await;
    }
}

impl Keeper {
    pub(super) fn new(path: PathBuf, watch: Watch) -> Self {
        Self {
            path,
            watch,
            written: None,
            failing: false,
        }
    }

    /// Writes what came from control and is not written yet. A failure costs only the next start something, so it is
    /// told once and tried again with the next change.
    pub(super) async fn write(&mut self) {
        let state = self.watch.state();
        let known = self.written.as_ref().is_some_and(|w| Arc::ptr_eq(w, &state));
        if state.source != Source::Live || known {
            return;
        }
        let (path, copy) = (self.path.clone(), Arc::clone(&state));
        let outcome = tokio::task::spawn_blocking(move || store(&path, &copy)).await;
        match outcome.map_err(io::Error::other).and_then(|done| done) {
            Ok(()) => (self.written, self.failing) = (Some(state), false),
            Err(error) => {
                if !self.failing {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "the snapshot of the bus cannot be written");
                }
                self.failing = true;
            }
        }
    }
}

fn store(path: &Path, state: &State) -> io::Result<()> {
    let resources: Vec<&Resource> = state.resources.values().map(AsRef::as_ref).collect();
    let cursor = state.cursor.as_ref().map(Cursor::to_string);
    let document = json!({ "schema": SCHEMA, "cursor": cursor, "resources": resources });
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(&serde_json::to_vec(&document)?)?;
        file.sync_data()
    });
    let placed = written.and_then(|()| std::fs::rename(&beside, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some_state() -> State {
        let resource = Resource {
            name: "config/order".to_owned(),
            revision: 7,
            value: json!({ "max_lines": 50 }),
        };
        State {
            resources: [(resource.name.clone(), Arc::new(resource))].into(),
            source: Source::Live,
            cursor: "abc-7".parse().ok(),
        }
    }

    #[test]
    fn what_was_written_is_read_as_a_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/order.json");
        store(&path, &some_state()).unwrap();
        let (resources, cursor) = load(&path).unwrap();
        assert_eq!(resources[0], *some_state().resources["config/order"]);
        assert_eq!(cursor, some_state().cursor);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_or_damaged_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order.json");
        for text in ["{\"schema\":2,\"shape\":\"other\"}", "{\"schema\":1", "", "[]"] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_loading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("order.json");
            std::fs::write(&path, bytes).unwrap();
            let _ = load(&path);
        }
    }
}
