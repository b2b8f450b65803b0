//! What the operating system says about the process, by Prometheus' usual names. Read at scrape; what cannot be read
//! is left out.

use std::fs;

use super::{Encoder, Registry};

/// Clock ticks per second in `/proc` (`USER_HZ`), 100 on every architecture that Linux tells user space about.
const TICKS_PER_SECOND: f64 = 100.0;

impl Registry {
    /// Adds the metrics of this process, which started at `start_unix_s`.
    pub(crate) fn collect_process(&self, start_unix_s: f64) {
        self.collect(move |out| write(out, start_unix_s));
    }
}

fn write(out: &mut Encoder, start_unix_s: f64) {
    out.gauge(
        "process_start_time_seconds",
        "start of the process in seconds of Unix time",
        start_unix_s,
    );
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = status_value(&status, "VmRSS:") {
        out.gauge("process_resident_memory_bytes", "resident memory", kib * 1024.0);
    }
    if let Some(threads) = status_value(&status, "Threads:") {
        out.gauge("process_threads", "threads of the process", threads);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        out.counter(
            "process_cpu_seconds_total",
            "processor time, user and system",
            seconds,
        );
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        let open = u32::try_from(entries.count()).unwrap_or(u32::MAX);
        // The folder itself was open while it was counted.
        out.gauge(
            "process_open_fds",
            "open file descriptors",
            f64::from(open.saturating_sub(1)),
        );
    }
}

fn status_value(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of `/proc/self/stat`, counted behind the name, which may hold anything (proc(5)).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn the_kernel_tells_resident_memory() {
        assert_eq!(status_value("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12.0));
    }
}
