//! Finding and ending everything that a process started: its session, and what left the session by the mark that the
//! agent put into its environment.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal, WaitOptions};

use super::process::{ProcessId, Stat, raw_pid, stat};

const ROUNDS_MAX: u32 = 100;

/// Which processes a sweep is for.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// The session's leader.
    pub(crate) leader: Option<ProcessId>,
    /// `NAME=value` that stands in the environment of all its descendants.
    pub(crate) environment: String,
}

/// Kills every process of the mark except its leader (whose exit code somebody wants) and those whose pid or session
/// is to be spared, until none is left; how many it killed. Run it before the leader is reaped: until then the number
/// of its session cannot be used again.
pub(crate) async fn sweep(mark: Mark, spare: HashSet<u32>) -> usize {
    let mut killed = HashSet::new();
    for round in 0..ROUNDS_MAX {
        let (wanted, spared) = (mark.clone(), spare.clone());
        let found = tokio::task::spawn_blocking(move || {
            let found = members(&wanted, &spared);
            for (pid, seen) in &found {
                kill(*pid, *seen);
            }
            found
        });
        let found = found.await.unwrap_or_default();
        if found.is_empty() {
            break;
        }
        killed.extend(found.into_iter().map(|(pid, _)| pid));
        tokio::time::sleep(Duration::from_millis(u64::from(round.min(10)) + 1)).await;
    }
    for pid in &killed {
        // Those whose parent died are ours by now; for the others somebody else waits.
        reap(*pid);
    }
    killed.len()
}

/// Living processes of the mark, leader and agent aside.
fn members(mark: &Mark, spare: &HashSet<u32>) -> Vec<(u32, Stat)> {
    let me = std::process::id();
    let mut found = Vec::new();
    for pid in pids() {
        let leader = mark.leader.is_some_and(|leader| leader.pid == pid);
        if pid == me || leader || spare.contains(&pid) {
            continue;
        }
        let Some(seen) = stat(pid) else { continue };
        if matches!(seen.state, 'Z' | 'X') || spare.contains(&seen.session) {
            continue;
        }
        let in_session = mark
            .leader
            .is_some_and(|leader| seen.session == leader.pid && seen.start_ticks >= leader.start_ticks);
        if in_session || has_environment(pid, &mark.environment) {
            found.push((pid, seen));
        }
    }
    found
}

/// Kills a process if it still is the one that was seen.
fn kill(pid: u32, seen: Stat) {
    let Some(raw) = raw_pid(pid) else { return };
    let Ok(pidfd) = rustix::process::pidfd_open(raw, PidfdFlags::empty()) else {
        return;
    };
    if stat(pid).is_some_and(|now| now.start_ticks == seen.start_ticks) {
        // It may have ended meanwhile, which is what is wanted.
        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

fn reap(pid: u32) {
    if let Some(pid) = raw_pid(pid) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process was started with exactly this variable.
pub(crate) fn has_environment(pid: u32, variable: &str) -> bool {
    let Ok(bytes) = std::fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    bytes
        .split(|byte| *byte == 0)
        .any(|entry| entry == variable.as_bytes())
}

/// Reaps orphans that came to this process as subreaper: zombies that nobody here waits for, once they were seen twice.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    seen: HashSet<u32>,
}

impl Reaper {
    /// One look; `tracked` are the children that others wait for.
    pub(crate) fn look(&mut self, tracked: &HashSet<u32>) {
        let me = std::process::id();
        let zombie = |pid: &u32| stat(*pid).is_some_and(|seen| seen.state == 'Z' && seen.parent == me);
        let now: HashSet<u32> = pids()
            .filter(|pid| !tracked.contains(pid))
            .filter(zombie)
            .collect();
        for pid in now.intersection(&self.seen) {
            reap(*pid);
        }
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use process_wrap::std::{CommandWrap, ProcessSession};

    use super::*;

    #[tokio::test]
    async fn a_sweep_ends_the_session_and_what_left_it() {
        let variable = format!("BRICK_INCARNATION=sweep-{}", std::process::id());
        let (name, value) = variable.split_once('=').unwrap();
        let mut command = Command::new("sh");
        // One child in the session, one in its own, and both tell their pids.
        command
            .args([
                "-c",
                "sleep 600 & echo $!; setsid sh -c 'echo $$; exec sleep 600' & wait",
            ])
            .env(name, value)
            .stdout(Stdio::piped());
        let mut leader = CommandWrap::from(command).wrap(ProcessSession).spawn().unwrap();
        let mut lines = BufReader::new(leader.stdout().take().unwrap()).lines();
        let mut pid = || lines.next().unwrap().unwrap().trim().parse::<u32>().unwrap();
        let grandchildren = [pid(), pid()];
        let id = ProcessId {
            pid: leader.id(),
            start_ticks: stat(leader.id()).unwrap().start_ticks,
        };
        let mark = Mark {
            leader: Some(id),
            environment: variable.clone(),
        };
        assert!(sweep(mark.clone(), HashSet::new()).await >= 2);
        for pid in grandchildren {
            assert!(stat(pid).is_none_or(|s| s.state == 'Z'), "{pid} still runs");
        }
        leader.start_kill().unwrap();
        leader.wait().unwrap();
        assert_eq!(sweep(mark, HashSet::new()).await, 0);
    }
}
