//! CPU and memory of processes in any language, from `/proc` (proc_pid_stat(5), proc_pid_status(5)).

use std::collections::HashMap;
use std::time::Instant;

/// Ticks of CPU time in a second: `USER_HZ`, 100 on every architecture that Linux runs on today.
const TICKS_PER_S: f64 = 100.0;

/// Two samples of each process, and what lies between them.
#[derive(Debug, Default)]
pub(super) struct Usage {
    last: HashMap<u64, (Instant, u64)>,
    cpu: HashMap<u64, f64>,
    memory: HashMap<u64, u64>,
}

impl Usage {
    /// Looks at these processes; others are forgotten.
    pub(super) fn sample(&mut self, pids: &[u64]) {
        let mut last = HashMap::new();
        self.cpu.clear();
        self.memory.clear();
        for pid in pids {
            let now = Instant::now();
            let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
            let Some(ticks) = read("stat").ok().as_deref().and_then(ticks) else {
                continue;
            };
            if let Some((then, before)) = self.last.get(pid) {
                let seconds = now.duration_since(*then).as_secs_f64();
                let used = ticks.saturating_sub(*before) as f64 / TICKS_PER_S;
                self.cpu.insert(*pid, used / seconds.max(1e-3) * 100.0);
            }
            last.insert(*pid, (now, ticks));
            if let Some(bytes) = read("status").ok().as_deref().and_then(resident) {
                self.memory.insert(*pid, bytes);
            }
        }
        self.last = last;
    }

    /// Share of one core between the last two samples, in percent.
    pub(super) fn cpu_percent(&self, pid: u64) -> Option<f64> {
        self.cpu.get(&pid).copied()
    }

    /// Resident memory at the last sample.
    pub(super) fn memory_bytes(&self, pid: u64) -> Option<u64> {
        self.memory.get(&pid).copied()
    }
}

/// User and system time of `/proc/PID/stat`; the name before them may hold anything, so they count from its end.
fn ticks(stat: &str) -> Option<u64> {
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// `VmRSS` of `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_any_name_is_read() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("nonsense"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2048 * 1024));
    }

    #[test]
    fn this_process_uses_memory() {
        let mut usage = Usage::default();
        let pid = u64::from(std::process::id());
        usage.sample(&[pid]);
        assert_eq!(usage.cpu_percent(pid), None);
        usage.sample(&[pid]);
        assert!(usage.cpu_percent(pid).is_some());
        assert!(usage.memory_bytes(pid).is_some_and(|bytes| bytes > 0));
    }
}
