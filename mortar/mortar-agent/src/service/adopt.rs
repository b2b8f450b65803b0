//! Taking over what an earlier agent started: processes by pid, start time and boot, listeners from the gateway that
//! holds them. What cannot be taken over is ended, so that nothing runs that nobody supervises.

use std::collections::{BTreeMap, HashSet};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use brick_core::env;
use brick_wire::handover;

use super::Shared;
use crate::board::{Role, Slot};
use crate::events::Events;
use crate::folder::Folder;
use crate::launch::Spec;
use crate::linux::capture::Capture;
use crate::linux::process::Process;
use crate::linux::session::{Mark, sweep};
use crate::listeners::{Listeners, Wanted};
use crate::plan::Plan;
use crate::state::{self, Record, State, Store};
use crate::supervise::Running;
use crate::{Error, linux};

const HANDOVER_LIMIT: Duration = Duration::from_secs(1);
const GATEWAY: &str = "gateway/1";

/// Gets the public listeners back from a gateway that still runs. One that does not answer, or listens elsewhere than
/// it should now, is ended; then there are none.
pub(super) async fn listeners(folder: &Folder, state: &mut State, wanted: &Wanted) -> Option<Listeners> {
    let record = state.processes.get(GATEWAY)?.clone();
    let process = Process::adopt(record.process)?;
    let fetched = handover::fetch(&folder.handover(), HANDOVER_LIMIT)
        .await
        .unwrap_or_default();
    let named = fetched.into_iter().map(|n| (n.name, TcpListener::from(n.fd)));
    if let Some(listeners) = Listeners::adopt(named.collect(), wanted) {
        return Some(listeners);
    }
    end(&process, &record).await;
    state.processes.remove(GATEWAY);
    None
}

/// Ends a process and what it started.
async fn end(process: &Process, record: &Record) {
    process.terminate();
    if tokio::time::timeout(Duration::from_secs(3), process.ended())
        .await
        .is_err()
    {
        // It may have ended just now.
        let _ = process.signal(rustix::process::Signal::KILL);
        process.ended().await;
    }
    let mark = Mark {
        leader: Some(record.process),
        environment: format!("{}={}", env::BRICK_INCARNATION, record.incarnation),
    };
    sweep(mark, HashSet::new()).await;
    process.reap();
}

impl Shared {
    /// The processes of the plan that still run, and the specs of those among them that should run otherwise by now.
    /// All others of this system are ended.
    pub(super) async fn adopt(&self, plan: &Plan) -> (BTreeMap<Slot, Running>, Vec<Spec>) {
        let records = self.context.store.read(|state| state.processes.clone());
        let mut adopted = BTreeMap::new();
        let mut changed = Vec::new();
        let mut spared = HashSet::new();
        let mut ending = tokio::task::JoinSet::new();
        for (name, record) in records {
            let Some(process) = Process::adopt(record.process) else {
                self.context.store.update(|state| state.processes.remove(&name));
                continue;
            };
            let spec = plan.specs.iter().find(|spec| spec.slot.to_string() == name);
            match spec.filter(|spec| spec.port == record.port) {
                Some(spec) => {
                    spared.insert(record.process.pid);
                    self.context.tracked.lock().insert(record.process.pid);
                    adopted.insert(spec.slot.clone(), Running::adopted(process, record.incarnation));
                    if spec.fingerprint != record.fingerprint {
                        changed.push(spec.clone());
                    }
                }
                None => {
                    self.context.store.update(|state| state.processes.remove(&name));
                    ending.spawn(async move { end(&process, &record).await });
                }
            }
        }
        while ending.join_next().await.is_some() {}
        let keep_gateway = adopted.keys().any(|slot| slot.role == Role::Gateway);
        if !keep_gateway {
            // Its socket would lead nowhere.
            let _ = std::fs::remove_file(self.ground.folder.handover());
        }
        // What carries the mark of this system and belongs to no adopted process was started in the moment in which
        // the earlier agent died, or left behind by something that died since.
        sweep(mark(&self.ground.folder), spared).await;
        (adopted, changed)
    }
}

/// Whether the process that was recorded for a slot still runs.
pub(super) fn still_runs(store: &Store, slot: &str) -> bool {
    let record = store.read(|state| state.processes.get(slot).map(|record| record.process));
    record.is_some_and(|process| Process::adopt(process).is_some())
}

/// Stops what an agent that was killed left running in `dir`, without bringing anything up: what `down` does when no
/// agent answers. How many processes it ended.
pub async fn stop_left_behind(dir: &Path) -> Result<usize, Error> {
    let folder = Folder::of(dir);
    if !folder.state_file().exists() {
        return Ok(0);
    }
    folder.create()?;
    let _lock = folder.lock()?;
    let mut state = state::load(&folder.state_file())?.unwrap_or_default();
    let this_boot = linux::boot_id().is_ok_and(|boot| boot == state.boot_id);
    let mut ended = 0;
    for (_, record) in std::mem::take(&mut state.processes) {
        if let Some(process) = Process::adopt(record.process).filter(|_| this_boot) {
            end(&process, &record).await;
            ended += 1;
        }
    }
    ended += sweep(mark(&folder), HashSet::new()).await;
    Capture::new(&folder, dir, Path::new("")).lift();
    let store = Store::new(folder.state_file(), state, Events::new());
    store.save().await;
    for path in [folder.socket(), folder.handover()] {
        // Most often one of them is not there.
        let _ = std::fs::remove_file(path);
    }
    Ok(ended)
}

/// The mark that every process of a system has in its environment.
pub(super) fn mark(folder: &Folder) -> Mark {
    Mark {
        leader: None,
        environment: format!("{}={}", env::BRICK_SNAPSHOT_DIR, folder.snapshots().display()),
    }
}
