//! `up --watch`: builds and rolls bricks when their sources change. A build or a new process that fails leaves the old
//! instances as they are.
//!
//! Sources are looked at again and again, with pauses so long that the looking takes at most 1/200 of a core; only where
//! one look takes longer than 25 ms (many thousands of files) it may take more.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brick_core::{BrickName, Drain};
use brick_model::Model;
use tokio::sync::watch;

use self::sources::{Roots, Snapshot, bricks_of, cargo_package, is_cargo};
use super::{Handle, Shared};
use crate::api::Roll;
use crate::events::{Event, EventKind};
use crate::{builder, plan};

const PAUSE_MIN: Duration = Duration::from_millis(300);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Pause after a look, in times that the look took.
const PAUSE_FACTOR: u32 = 200;
/// Changes are taken together until so long nothing changes.
const SETTLE: Duration = Duration::from_millis(150);

/// What is watched.
struct Watcher {
    handle: Handle,
    roots: Roots,
    seen: Snapshot,
    /// How long the last look took.
    took: Duration,
    /// Folders of cargo packages by the folder that cargo runs in and the package's name.
    packages: BTreeMap<(PathBuf, String), Option<PathBuf>>,
    told_full: bool,
}

/// Watches from when it is switched on; what changes before the system is up is rolled after it.
pub(super) async fn run(shared: Arc<Shared>, mut on: watch::Receiver<bool>, up: Drain) {
    if on.wait_for(|on| *on).await.is_err() {
        return;
    }
    let mut watcher = Watcher {
        handle: Handle { shared },
        roots: Roots::new(),
        seen: Snapshot::default(),
        took: Duration::ZERO,
        packages: BTreeMap::new(),
        told_full: false,
    };
    watcher.look().await;
    up.requested().await;
    watcher.tell(
        EventKind::Changed,
        "sources are watched: a changed brick is built and rolled",
    );
    loop {
        let changed = watcher.look().await;
        if !changed.is_empty() {
            watcher.rebuild(changed).await;
        }
        let pause = (watcher.took * PAUSE_FACTOR).clamp(PAUSE_MIN, PAUSE_MAX);
        tokio::time::sleep(pause).await;
    }
}

impl Watcher {
    /// The bricks whose sources changed since the last look, once they have come to rest.
    async fn look(&mut self) -> BTreeSet<BrickName> {
        let roots = self.find_roots().await;
        let mut now = self.snapshot(&roots).await;
        if roots != self.roots {
            // Another manifest: what is there now is where the watch begins.
            (self.roots, self.seen) = (roots, now);
            return BTreeSet::new();
        }
        if now == self.seen {
            return BTreeSet::new();
        }
        loop {
            tokio::time::sleep(SETTLE).await;
            let later = self.snapshot(&roots).await;
            if later == now {
                break;
            }
            now = later;
        }
        let changed = now.changed_since(&self.seen);
        let bricks = changed.iter().filter_map(|file| bricks_of(&self.roots, file));
        let bricks: BTreeSet<BrickName> = bricks.flatten().cloned().collect();
        if let Some(first) = changed.first().filter(|_| !bricks.is_empty()) {
            let dir = &self.handle.shared.ground.options.dir;
            let first = first.strip_prefix(dir).unwrap_or(first).display();
            let more = match changed.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.tell(
                EventKind::Changed,
                &format!("{first}{more} changed: {}", list(&bricks)),
            );
        }
        self.seen = now;
        bricks
    }

    async fn snapshot(&mut self, roots: &Roots) -> Snapshot {
        let (roots, manifest) = (roots.clone(), self.handle.shared.ground.options.manifest.clone());
        let timed = move || {
            let began = Instant::now();
            (Snapshot::take(&roots, &manifest), began.elapsed())
        };
        // It fails when everything ends: then nothing has changed.
        let taken = tokio::task::spawn_blocking(timed).await;
        let (taken, took) = taken.unwrap_or_else(|_| (self.seen.clone(), Duration::ZERO));
        self.took = took;
        if taken.full && !std::mem::replace(&mut self.told_full, true) {
            let msg = "there are more source files than are watched (20,000): changes in the rest are not seen; give the bricks a narrower `dir`";
            self.tell(EventKind::Warning, msg);
        }
        taken
    }

    /// Builds what changed and rolls what came out otherwise.
    async fn rebuild(&mut self, changed: BTreeSet<BrickName>) {
        let shared = self.handle.shared.clone();
        let model = shared.model.borrow().clone();
        let in_order = model.start_order().into_iter().flatten();
        let bricks: Vec<BrickName> = in_order.filter(|name| changed.contains(name)).collect();
        if let Err(error) = shared.build_of(&model, &bricks, &shared.down_asked).await {
            // What the compiler said was told by the build.
            let msg = match error {
                crate::Error::Build { .. } => "the build failed: the old instances go on".to_owned(),
                other => format!("{}: the old instances go on", brick_core::chain(&other)),
            };
            self.tell(EventKind::Warning, &msg);
            return;
        }
        let not_cargo = |brick: &BrickName| self.builds(&model, brick).iter().any(|b| !is_cargo(&b.command));
        if bricks.iter().any(not_cargo) {
            // What such a build wrote between the sources is no change of theirs, or it would build for ever.
            self.seen = self.snapshot(&self.roots.clone()).await;
        }
        for brick in bricks {
            if !self.is_other(&model, &brick).await {
                continue;
            }
            let roll = Roll {
                brick: brick.into(),
                no_build: true,
            };
            match self.handle.roll(roll).await {
                // A roll that failed has told so, and one of nothing is none.
                Ok(_) | Err(crate::Error::Roll { .. } | crate::Error::Invalid { .. }) => {}
                Err(error) => self.tell(EventKind::Warning, &brick_core::chain(&error)),
            }
        }
    }

    /// Whether instances of a brick would run otherwise by now. Of what cargo builds the program itself says so; of
    /// everything else nobody knows.
    async fn is_other(&self, model: &Model, brick: &BrickName) -> bool {
        let shared = &self.handle.shared;
        let builds = self.builds(model, brick);
        if builds.is_empty() || !builds.iter().all(|build| is_cargo(&build.command)) {
            return true;
        }
        let Ok(specs) = shared.specs_of(model, |slot| slot.brick == *brick) else {
            return true;
        };
        let fleet = shared.fleet.lock().await;
        specs.iter().any(|spec| fleet.runs_otherwise(spec))
    }

    fn builds(&self, model: &Model, brick: &BrickName) -> Vec<builder::Build> {
        let options = &self.handle.shared.ground.options;
        let target = options.target_dir.join("release");
        // A build that cannot be read failed the start.
        builder::builds(model, &options.dir, &target, std::slice::from_ref(brick)).unwrap_or_default()
    }

    /// The folders of sources: that of the package for what cargo builds, else that of the brick.
    async fn find_roots(&mut self) -> Roots {
        let shared = self.handle.shared.clone();
        let model = shared.model.borrow().clone();
        let options = &shared.ground.options;
        let mut roots = Roots::new();
        for brick in plan::wanted(&model, &options.only).unwrap_or_default() {
            let Some(settings) = model.bricks.get(&brick) else {
                continue;
            };
            let mut folders = Vec::new();
            for build in self.builds(&model, &brick) {
                if let Some(package) = cargo_package(&build.command) {
                    folders.extend(self.package(&build.dir, package).await);
                }
            }
            if folders.is_empty() {
                folders.push(settings.dir(&options.dir));
            }
            for folder in folders {
                roots.entry(folder).or_default().insert(brick.clone());
            }
        }
        roots
    }

    /// The folder of a cargo package, asked for once.
    async fn package(&mut self, dir: &Path, package: &str) -> Option<PathBuf> {
        let key = (dir.to_owned(), package.to_owned());
        if let Some(known) = self.packages.get(&key) {
            return known.clone();
        }
        let options = &self.handle.shared.ground.options;
        let env = builder::environment(&options.env, &options.target_dir);
        let (dir, package) = key.clone();
        let found = tokio::task::spawn_blocking(move || package_folder(&dir, &package, env)).await;
        let found = found.ok().flatten();
        self.packages.insert(key, found.clone());
        found
    }

    fn tell(&self, kind: EventKind, msg: &str) {
        self.handle.shared.context.events.send(Event::new(kind, msg));
    }
}

/// Asks cargo where a package of the workspace around `dir` is.
fn package_folder(dir: &Path, package: &str, env: Vec<(String, String)>) -> Option<PathBuf> {
    let output = std::process::Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(dir)
        .env_clear()
        .envs(env)
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata["packages"].as_array()?;
    let found = packages.iter().find(|known| known["name"] == package)?;
    let manifest = Path::new(found["manifest_path"].as_str()?);
    manifest.parent().map(Path::to_owned)
}

fn list(bricks: &BTreeSet<BrickName>) -> String {
    let names: Vec<&str> = bricks.iter().map(BrickName::as_str).collect();
    names.join(", ")
}
