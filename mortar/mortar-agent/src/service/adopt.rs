//! Taking over what an earlier agent started: processes by pid, start time and boot, listeners from the gateway that
//! holds them. What cannot be taken over is ended, so that nothing runs that nobody supervises.

use std::collections::{BTreeMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use brick_core::env;
use brick_wire::handover;

use super::Shared;
use crate::board::{Role, Slot};
use crate::folder::Folder;
use crate::launch::Listeners;
use crate::linux::process::Process;
use crate::linux::session::{Mark, sweep};
use crate::plan::Plan;
use crate::state::{Record, State};
use crate::supervise::Running;

const HANDOVER_LIMIT: Duration = Duration::from_secs(1);
const GATEWAY: &str = "gateway/1";

/// Gets the public listeners back from a gateway that still runs. One that does not answer, or listens elsewhere than
/// it should now, is ended; then there are none.
pub(super) async fn listeners(
    folder: &Folder,
    state: &mut State,
    edge: SocketAddr,
    admin: SocketAddr,
) -> Option<Listeners> {
    let record = state.processes.get(GATEWAY)?.clone();
    let process = Process::adopt(record.process)?;
    let fetched = handover::fetch(&folder.handover(), HANDOVER_LIMIT)
        .await
        .unwrap_or_default();
    let mut named: BTreeMap<String, TcpListener> = fetched
        .into_iter()
        .map(|n| (n.name, TcpListener::from(n.fd)))
        .collect();
    let both = named.remove("edge").zip(named.remove("admin"));
    let fits = |listener: &TcpListener, asked: SocketAddr| {
        let same =
            |addr: SocketAddr| addr.ip() == asked.ip() && (asked.port() == 0 || addr.port() == asked.port());
        listener.local_addr().is_ok_and(same)
    };
    if let Some((held_edge, held_admin)) = both
        && fits(&held_edge, edge)
        && fits(&held_admin, admin)
    {
        return Some(Listeners {
            edge: held_edge,
            admin: held_admin,
        });
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
    /// The processes of the plan that still run as the plan wants them. All others of this system are ended.
    pub(super) async fn adopt(&self, plan: &Plan) -> BTreeMap<Slot, Running> {
        let records = self.context.store.read(|state| state.processes.clone());
        let mut adopted = BTreeMap::new();
        let mut spared = HashSet::new();
        let mut ending = tokio::task::JoinSet::new();
        for (name, record) in records {
            let Some(process) = Process::adopt(record.process) else {
                self.context.store.update(|state| state.processes.remove(&name));
                continue;
            };
            let spec = plan.specs.iter().find(|spec| spec.slot.to_string() == name);
            match spec.filter(|spec| spec.fingerprint == record.fingerprint && spec.port == record.port) {
                Some(spec) => {
                    spared.insert(record.process.pid);
                    self.context.tracked.lock().insert(record.process.pid);
                    adopted.insert(spec.slot.clone(), Running::adopted(process, record.incarnation));
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
        self.end_strays(spared).await;
        adopted
    }

    /// Ends what carries the mark of this system and belongs to no adopted process: started in the moment in which
    /// the earlier agent died, or left behind by something that died since.
    async fn end_strays(&self, spared: HashSet<u32>) {
        sweep(self.mark(), spared).await;
    }
}
