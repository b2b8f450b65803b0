//! The environment of a one-off process of a brick: a migration, a console, a question to its database.
//!
//! It has what an instance of the brick has, but is none: nobody calls it, and it is in no pool. It carries the mark of
//! the system, so it ends with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use brick_core::{BrickRef, Incarnation, env};

use super::Handle;
use crate::Error;
use crate::api::OneOff;
use crate::board::Slot;
use crate::folder::write_private;
use crate::launch::attributes;
use crate::plan::known;
use crate::supervise::configured;

/// Age at which the token file of an earlier one-off process is removed; no token lives longer.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

impl Handle {
    /// Folder and environment of a one-off process of that brick, with a token that was issued for it.
    pub async fn one_off(&self, of: &BrickRef) -> Result<OneOff, Error> {
        let shared = &self.shared;
        let model = shared.model.borrow().clone();
        let (of, brick) = known(&model, of)?;
        let incarnation = Incarnation::new();
        let tokens = shared.ground.folder.tokens();
        let token = tokens.join(format!("run.{of}.{incarnation}.jwt"));
        let slot = Slot::of_brick(&of, 0);
        let mut spec = shared.ground.brick(&model, slot, &brick, Path::new(""), &[]);
        spec = spec.at_port(shared.context.ports.fresh(&of.to_string())?);
        let (control, inherited) = (&shared.context.control, &shared.context.inherited);
        if let Some(configured) = configured::now(control, inherited, &spec).await {
            spec = configured;
        }
        let issued = shared
            .context
            .control
            .process_token(&of.brick, incarnation, &spec.scopes);
        let issued = issued.await?;
        remove_old(&tokens).await;
        write_private(&token, format!("{}\n", issued.token).as_bytes(), false)
            .map_err(Error::file("write", &token))?;
        let name = format!("{of}/run");
        for (variable, value) in &mut spec.env {
            match variable.as_str() {
                env::BRICK_TOKEN_FILE => *value = token.display().to_string(),
                env::BRICK_INSTANCE => name.clone_into(value),
                _ => {}
            }
        }
        let mut variables: BTreeMap<String, String> = spec.env.iter().cloned().collect();
        variables.insert(env::BRICK_INCARNATION.to_owned(), incarnation.to_string());
        let resource = attributes(&spec, &name, incarnation);
        variables.insert(env::OTEL_RESOURCE_ATTRIBUTES.to_owned(), resource);
        Ok(OneOff {
            dir: spec.dir.display().to_string(),
            env: variables,
            before: spec
                .enclosure
                .map_or_else(Vec::new, |enclosure| enclosure.words().to_vec()),
        })
    }
}

/// Removes the tokens of one-off processes that nobody can use any more.
async fn remove_old(tokens: &Path) {
    let tokens: PathBuf = tokens.to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        for entry in std::fs::read_dir(tokens).into_iter().flatten().flatten() {
            let of_run = entry.file_name().to_string_lossy().starts_with("run.");
            let changed = entry.metadata().and_then(|meta| meta.modified());
            let age = changed.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            if of_run && age.is_ok_and(|age| age > TOKEN_AGE_MAX) {
                // Another agent call may have been quicker.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    });
    // What could not be removed now is tried the next time.
    let _ = removed.await;
}
