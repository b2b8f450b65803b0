//! Signs of life of an instance whose lease ran out, and whether so many give none that it is control that is blind.
//!
//! An instance that has a stream of the bus open lives, whoever renews its lease. Where none is open, one that the agent
//! started is connected to; one that registered itself is asked for its health, where it said how: who knows what took
//! its port since.

use std::collections::BTreeSet;
use std::time::Duration;

use brick_core::Incarnation;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::SETTLED_MAX;
use crate::service::Handle;
use crate::state::{Registered, State};

/// How long an instance may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Fewer than this say nothing about how many are lost.
const LOST_MIN: usize = 3;

/// Whether so many are more than half of all, and more than a coincidence.
pub(super) fn is_most(lost: usize, of: usize) -> bool {
    lost >= LOST_MIN && lost * 2 > of
}

/// Who of these gives a sign of life, and who does not.
pub(super) async fn look_for(
    handle: &Handle,
    state: &State,
    whom: Vec<Incarnation>,
) -> (Vec<Incarnation>, Vec<Incarnation>) {
    let mut connected = handle.bus().connected();
    connected.extend(handle.peers().connected(handle).await);
    let mut probes = JoinSet::new();
    for incarnation in whom {
        if let Some(one) = state.instances.get(&incarnation) {
            let (handle, one) = (handle.clone(), one.clone());
            let connected = connected.contains(&incarnation);
            probes.spawn(async move { (incarnation, connected || answers(&handle, &one).await) });
        }
    }
    let probed = probes.join_all().await;
    let (alive, lost): (Vec<_>, Vec<_>) = probed.into_iter().partition(|(_, alive)| *alive);
    let only = |all: Vec<(Incarnation, bool)>| all.into_iter().map(|(incarnation, _)| incarnation).collect();
    (only(alive), only(lost))
}

async fn answers(handle: &Handle, one: &Registered) -> bool {
    let addr = one.instance.addr;
    match (&one.details.outsider, &one.details.health) {
        (_, Some(path)) => {
            let call = handle.http().get(format!("http://{addr}{path}"));
            let answer = call.timeout(PATIENCE).bytes_max(64 << 10).send().await;
            answer.is_ok_and(|answer| answer.status.is_success())
        }
        (Some(_), None) => false,
        (None, None) => {
            let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(addr)).await;
            matches!(connected, Ok(Ok(_)))
        }
    }
}

/// Whether control lost sight of most instances: those whose lease just ran out, those that are kept already, and those
/// of which nothing was heard for so long that theirs will run out next.
pub(super) async fn is_lost(handle: &Handle, state: &State, lost: &[Incarnation]) -> bool {
    let leases = handle.leases();
    if lost.is_empty() {
        return false;
    }
    let all = leases.len();
    let mut blind: BTreeSet<Incarnation> = lost.iter().copied().collect();
    blind.extend(leases.kept.lock().instances.iter());
    if !is_most(blind.len(), all) {
        let late = leases.late().into_iter().filter(|one| !blind.contains(one));
        // Of very many a sample will do.
        let late: Vec<Incarnation> = late.take(SETTLED_MAX.max(all / 2 + 1)).collect();
        if !is_most(blind.len() + late.len(), all) {
            return false;
        }
        let (_, silent) = look_for(handle, state, late).await;
        blind.extend(silent);
    }
    let most = is_most(blind.len(), all);
    if most {
        leases.preserve(blind.len(), all);
    }
    most
}
