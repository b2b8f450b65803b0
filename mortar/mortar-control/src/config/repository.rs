//! The configuration repository: files in git, as a layer between manifest and live changes.
//!
//! One task fetches when the manifest changes, when somebody asks (a webhook, an operator), and from time to time.
//! What the files say of each brick is made a change like any other, in two phases; what is refused, cannot be read or
//! cannot be fetched leaves the old values, is told with its reason, and is tried again with the next look. The layers
//! stand in the store, so that a start of control needs no repository.

pub(crate) mod files;
mod flags;
pub(crate) mod git;
pub(crate) mod layer;
pub(crate) mod webhook;
mod yaml;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Drain;
use brick_model::ConfigRepository;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use tokio::sync::{Notify, Semaphore, watch};

use super::change::{self, What, Wish};
use crate::audit::By;
use crate::flags::{Said, of_repository};
use crate::service::Handle;
use crate::state::{Action, State};
use git::{File, Git};
use layer::{Layer, Read};

/// Settings with what the repository says of a brick.
pub(crate) const REPOSITORY: &str = "repository/";
/// Bricks whose changes are made at a time.
const BRICKS_MAX: usize = 8;
/// Questions of clients that are answered at a time; more wait.
const QUESTIONS_MAX: usize = 4;
/// Keys that are told to be left out.
const ODD_MAX: usize = 50;
/// How often a system without a repository looks whether it has one.
const IDLE: Duration = Duration::from_secs(3_600);

/// How the repository was found last.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Status {
    /// The folder or address.
    url: String,
    /// Branch, tag or revision that counts.
    label: String,
    /// Profiles of this system.
    profiles: Vec<String>,
    /// The revision that was read last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    /// What its author says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// When it was looked at, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_at: Option<String>,
    /// Why the repository cannot be read: the old values stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// Bricks whose old values stay, with the reason.
    pub(crate) refused: BTreeMap<String, String>,
    /// Why the flags are those of an older revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    flags_problem: Option<String>,
    /// Keys that no brick can have, with their files.
    left_out: BTreeSet<String>,
}

/// The repository's side of control.
#[derive(Debug)]
pub(crate) struct Repository {
    dir: Option<PathBuf>,
    base: PathBuf,
    status: Mutex<Option<Status>>,
    asked: AtomicU64,
    wake: Notify,
    done: watch::Sender<u64>,
    questions: Semaphore,
}

impl Repository {
    /// With a folder for its copy; paths of the manifest are relative to `base`.
    pub(crate) fn new(dir: Option<PathBuf>, base: PathBuf) -> Self {
        Self {
            dir,
            base,
            status: Mutex::default(),
            asked: AtomicU64::new(0),
            wake: Notify::new(),
            done: watch::Sender::new(0),
            questions: Semaphore::new(QUESTIONS_MAX),
        }
    }

    /// How it was found last; none where the system has none.
    pub(crate) fn status(&self) -> Option<Status> {
        self.status.lock().clone()
    }

    /// Why a brick does not have what the repository says, where that is so.
    pub(crate) fn problem_of(&self, brick: &str) -> Option<String> {
        let status = self.status.lock();
        let status = status.as_ref()?;
        let own = status.refused.get(brick).or(status.problem.as_ref())?;
        Some(format!("the configuration repository: {own}"))
    }

    /// Why flags are not what its newest revision says, where that is so.
    pub(crate) fn flags_problem(&self) -> Option<String> {
        let status = self.status.lock();
        let status = status.as_ref()?;
        status.flags_problem.clone().or_else(|| status.problem.clone())
    }

    /// What health shows.
    pub(crate) fn works(&self) -> Result<(), String> {
        let status = self.status.lock();
        let Some(status) = status.as_ref() else {
            return Ok(());
        };
        let refused = status
            .refused
            .iter()
            .map(|(brick, why)| format!("{brick}: {why}"));
        let flags = status.flags_problem.iter().map(|why| format!("flags: {why}"));
        let all: Vec<String> = status
            .problem
            .iter()
            .cloned()
            .chain(refused)
            .chain(flags)
            .collect();
        match all.is_empty() {
            true => Ok(()),
            false => Err(format!("old values stay: {}", all.join("; "))),
        }
    }

    /// Has it looked at soon.
    pub(crate) fn ask(&self) -> u64 {
        let ticket = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.wake.notify_one();
        ticket
    }

    /// The same, and waits until it was, at most for `limit`.
    pub(crate) async fn look(&self, limit: Duration) {
        let ticket = self.ask();
        let mut done = self.done.subscribe();
        let _ = tokio::time::timeout(limit, done.wait_for(|done| *done >= ticket)).await;
    }

    /// The copy, for somebody's question; none where there is none yet.
    pub(crate) fn copy(&self, spec: &ConfigRepository) -> Option<Git> {
        let git = Git::new(self.dir.clone()?, spec.timeout.0);
        git.is_there().then_some(git)
    }

    /// Keeps questions of clients few.
    pub(crate) fn questions(&self) -> &Semaphore {
        &self.questions
    }

    /// What git is asked to fetch from.
    fn address(&self, spec: &ConfigRepository) -> String {
        match spec.is_folder() {
            true => self.base.join(Path::new(&spec.url)).display().to_string(),
            false => spec.url.clone(),
        }
    }
}

/// What the repository said of a brick last.
pub(crate) fn of(state: &State, brick: &str) -> Layer {
    let held = state.settings.get(&format!("{REPOSITORY}{brick}"));
    held.and_then(|held| Layer::deserialize(&**held).ok())
        .unwrap_or_default()
}

/// The repository of the manifest in force.
pub(crate) fn spec(state: &State) -> Option<ConfigRepository> {
    state.manifest.as_ref()?.repository.clone()
}

/// Follows the repository until the drain is requested.
pub(crate) async fn follow(handle: Handle, drain: Drain) {
    loop {
        let repository = handle.repository();
        let ticket = repository.asked.load(Ordering::Relaxed);
        let spec = spec(&handle.state());
        tokio::select! {
            () = look(&handle, spec.as_ref()) => {}
            () = drain.requested() => return,
        }
        repository.done.send_replace(ticket);
        let pause = spec.map_or(IDLE, |spec| spec.poll.0);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = repository.wake.notified() => {}
            () = drain.requested() => return,
        }
    }
}

/// Looks once: fetches, reads, and makes of it what changed.
async fn look(handle: &Handle, spec: Option<&ConfigRepository>) {
    let repository = handle.repository();
    let state = handle.state();
    let pooled = state.manifest.iter().flat_map(|model| model.pooled());
    let bricks: Vec<String> = pooled.map(|(name, _)| name.to_string()).collect();
    forget(handle, &state, &bricks).await;
    let Some(spec) = spec else {
        let none = bricks.into_iter().map(|brick| (brick, Ok(Layer::default())));
        apply(
            handle,
            none.collect(),
            "the manifest names no configuration repository",
        )
        .await;
        if let Err(why) = flags::apply(
            handle,
            BTreeMap::new(),
            "the manifest names no configuration repository",
        )
        .await
        {
            tracing::warn!(why, "what is held of flags stays for now");
        }
        *repository.status.lock() = None;
        return;
    };
    let mut status = repository.status().unwrap_or_default();
    (status.url, status.label) = (spec.url.clone(), spec.label.clone());
    status.profiles.clone_from(&spec.profiles);
    match read(handle, spec, &bricks).await {
        Ok(found) => {
            status.refused = apply(handle, found.layers, &found.why).await;
            status.flags_problem = match found.flags {
                Ok(flags) => flags::apply(handle, flags, &found.why).await.err(),
                Err(why) => Some(why),
            };
            status.revision = Some(found.sha);
            status.subject = Some(found.why);
            status.left_out = found.odd;
            status.problem = None;
        }
        Err(error) => {
            let problem = error.to_string();
            if status.problem.as_ref() != Some(&problem) {
                tracing::warn!(
                    url = spec.url,
                    problem,
                    "the configuration repository cannot be read, the old values stay"
                );
            }
            status.problem = Some(problem);
        }
    }
    status.checked_at = Some(Timestamp::now().to_string());
    *repository.status.lock() = Some(status);
}

/// What a revision says.
struct Found {
    sha: String,
    why: String,
    layers: Vec<(String, Result<Layer, String>)>,
    odd: BTreeSet<String>,
    flags: Result<BTreeMap<String, Said>, String>,
}

async fn read(handle: &Handle, spec: &ConfigRepository, bricks: &[String]) -> Result<Found, git::Error> {
    let repository = handle.repository();
    let dir = repository.dir.clone().ok_or(git::Error::Missing)?;
    let git = Git::new(dir, spec.timeout.0);
    git.fetch(&repository.address(spec)).await?;
    let sha = git.resolve(&spec.label).await?;
    let wanted: BTreeSet<String> = bricks
        .iter()
        .flat_map(|brick| layer::candidates(brick, &spec.profiles))
        .collect();
    let read = contents(&git, &sha, &spec.folder, &wanted).await?;
    let short: String = sha.chars().take(7).collect();
    let why = format!("{short} {}", git.subject(&sha).await?);
    let (mut layers, mut odd, state) = (Vec::new(), BTreeSet::new(), handle.state());
    let mut revisions = BTreeMap::new();
    for brick in bricks {
        let layer = match layer::sources(&read, brick, &spec.profiles) {
            Ok(sources) => {
                let (layer, left_out) = Layer::of(&sources);
                odd.extend(left_out);
                let held = of(&state, brick);
                for path in layer.changed(&held) {
                    if let Entry::Vacant(revision) = revisions.entry(path) {
                        let whole = match spec.folder.as_str() {
                            "" => revision.key().clone(),
                            folder => format!("{folder}/{}", revision.key()),
                        };
                        revision.insert(git.changed(&sha, &whole).await?);
                    }
                }
                Ok(layer.dated(&held, &revisions))
            }
            Err(why) => Err(why),
        };
        layers.push((brick.clone(), layer));
    }
    let held = of_repository(&state);
    let flags = flags::read(&git, &sha, &spec.folder, &spec.profiles, &held).await?;
    while odd.len() > ODD_MAX {
        odd.pop_last();
    }
    Ok(Found {
        sha,
        why,
        layers,
        odd,
        flags,
    })
}

/// The files of a revision that are wanted and there, as documents.
pub(crate) async fn contents(
    git: &Git,
    sha: &str,
    folder: &str,
    wanted: &BTreeSet<String>,
) -> Result<Read, git::Error> {
    let files = git.files(sha, folder).await?;
    let files: Vec<&File> = files.iter().filter(|file| wanted.contains(&file.path)).collect();
    let (fitting, large): (Vec<&File>, Vec<&File>) = files
        .into_iter()
        .partition(|file| file.bytes <= git::FILE_BYTES_MAX);
    let contents = git.read(&fitting).await?;
    let mut read: Read = fitting
        .iter()
        .zip(contents)
        .map(|(file, content)| (file.path.clone(), files::documents(&file.path, &content)))
        .collect();
    for file in large {
        let why = format!("expected at most {} KiB", git::FILE_BYTES_MAX >> 10);
        read.insert(file.path.clone(), Err(why));
    }
    Ok(read)
}

/// Makes the layers changes; the bricks whose old values stay, with the reason.
async fn apply(
    handle: &Handle,
    layers: Vec<(String, Result<Layer, String>)>,
    why: &str,
) -> BTreeMap<String, String> {
    let each = layers.into_iter().map(|(brick, layer)| async move {
        let refused = match layer {
            Ok(layer) => make(handle, &brick, layer, why).await.err(),
            Err(why) => Some(why),
        };
        Some((brick, refused?))
    });
    let all = futures_util::stream::iter(each).buffer_unordered(BRICKS_MAX);
    all.filter_map(std::future::ready).collect().await
}

async fn make(handle: &Handle, brick: &str, layer: Layer, why: &str) -> Result<(), String> {
    if of(&handle.state(), brick) == layer {
        return Ok(());
    }
    let by = By {
        who: "repository".to_owned(),
        why: Some(why.to_owned()),
        trace_id: None,
    };
    let wish = Wish {
        brick: brick.to_owned(),
        by,
        what: What::Repository(Arc::new(layer)),
    };
    let made = change::run(handle, wish).await;
    made.map(drop).map_err(|problem| problem.detail)
}

/// Takes away what is held of bricks that the manifest does not have any more.
async fn forget(handle: &Handle, state: &State, bricks: &[String]) {
    let gone = state
        .settings_below(REPOSITORY)
        .filter(|(brick, _)| !bricks.iter().any(|known| known == brick));
    let gone: Vec<_> = gone
        .map(|(brick, _)| (format!("{REPOSITORY}{brick}"), None))
        .collect();
    if !gone.is_empty()
        && let Err(error) = handle.wish(Action::SetAll(gone)).await
    {
        tracing::warn!(
            error = brick_core::chain(&error),
            "what is held of bricks that are gone stays for now"
        );
    }
}
