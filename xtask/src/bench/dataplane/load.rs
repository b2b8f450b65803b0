//! Load by programs of others: wrk for HTTP/1.1, h2load for HTTP/2 and for a fixed rate.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The core that origin and load share.
pub(super) const OTHER_CORE: &str = "1";

/// How a proxy is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    pub(super) connections: usize,
    pub(super) path: &'a str,
    /// Who asks, where the route wants to know.
    pub(super) token: Option<&'a str>,
    pub(super) tls: bool,
    /// A connection for each request.
    pub(super) close: bool,
    /// Without TLS, by prior knowledge; 32 streams on each connection.
    pub(super) http2: bool,
}

impl Wire<'_> {
    /// HTTP/1.1 on connections that stay, answers of 1 KiB.
    pub(super) const fn keep_alive(connections: usize) -> Self {
        Self {
            connections,
            path: "/1k",
            token: None,
            tls: false,
            close: false,
            http2: false,
        }
    }
}

/// A load under way.
pub(super) struct Load {
    child: Child,
    http2: bool,
}

/// What a load came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ran {
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Requests a second.
    pub(super) rate: f64,
    /// Of a paced load alone; 0 otherwise.
    pub(super) p99_ms: f64,
}

impl Load {
    /// Starts it against a base URL.
    pub(super) fn start(wire: &Wire<'_>, base: &str, length: Duration) -> Result<Self> {
        let url = format!("{base}{}", wire.path);
        let (connections, seconds) = (wire.connections.to_string(), length.as_secs().max(1).to_string());
        let mut command = pinned(if wire.http2 { "h2load" } else { "wrk" });
        if wire.http2 {
            command.args(["-c", &connections, "-m", "32", "-t", "1", "-D", &seconds]);
        } else {
            command.args(["-c", &connections, "-t", "1", "-d", &seconds]);
            if wire.close {
                command.args(["-H", "Connection: close"]);
            }
        }
        if let Some(token) = wire.token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let child = command
            .arg(&url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run the load; Debian: apt-get install wrk nghttp2-client util-linux")?;
        Ok(Self {
            child,
            http2: wire.http2,
        })
    }

    /// Waits for its end.
    pub(super) fn finish(self) -> Result<Ran> {
        let output = self.child.wait_with_output().context("the load is gone")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let ran = match self.http2 {
            true => read_h2load(&said),
            false => read_wrk(&said),
        };
        match ran.filter(|ran| ran.requests > 0) {
            Some(ran) => Ok(ran),
            None => bail!(
                "the load did no requests; it said:\n{said}{}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

/// Requests at a fixed rate, whatever the answers take.
pub(super) fn paced(base: &str, connections: usize, rate: f64, length: Duration) -> Result<Ran> {
    let log = std::env::temp_dir().join(format!("brick-bench-paced-{}.log", std::process::id()));
    let _ = fs::remove_file(&log);
    let each = (rate / connections as f64).max(1.0).round().to_string();
    let requests = (rate * length.as_secs_f64()).round().to_string();
    let output = pinned("h2load")
        .args([
            "--h1",
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-n",
            &requests,
            "--rps",
            &each,
        ])
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("{base}/1k"))
        .output()
        .context("cannot run h2load; Debian: apt-get install nghttp2-client")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let told = fs::read_to_string(&log).context("h2load wrote no log")?;
    let _ = fs::remove_file(&log);
    let mut ran = read_h2load(&said).with_context(|| format!("h2load said:\n{said}"))?;
    ran.p99_ms = p99_ms(&told).context("h2load's log holds no requests")?;
    Ok(ran)
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", OTHER_CORE, program]).stdin(Stdio::null());
    command
}

fn read_wrk(said: &str) -> Option<Ran> {
    let line = |key: &str| {
        said.lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix(key))
    };
    let requests = said.lines().find(|line| line.contains(" requests in "))?;
    let failed = line("Non-2xx or 3xx responses:").map_or(Some(0), |rest| rest.trim().parse().ok())?;
    let sockets: u64 = line("Socket errors:").map_or(0, |rest| {
        // "connect 0, read 3, write 0, timeout 0"
        rest.split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse::<u64>().ok())
            .sum()
    });
    Some(Ran {
        requests: requests.split_whitespace().next()?.parse().ok()?,
        failed: failed + sockets,
        rate: line("Requests/sec:")?.trim().parse().ok()?,
        p99_ms: 0.0,
    })
}

fn read_h2load(said: &str) -> Option<Ran> {
    let finished = said.lines().find(|line| line.starts_with("finished in "))?;
    let counted = said.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |word: &str| {
        let part = counted.split(", ").find(|part| part.trim_end().ends_with(word))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    let rate = finished
        .split(", ")
        .find_map(|part| part.strip_suffix(" req/s"))?;
    Some(Ran {
        requests: count(" succeeded")?,
        failed: count(" failed")?,
        rate: rate.parse().ok()?,
        p99_ms: 0.0,
    })
}

/// Third column of each line: microseconds until the answer was there.
fn p99_ms(log: &str) -> Option<f64> {
    let mut times: Vec<u64> = log
        .lines()
        .filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok())
        .collect();
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).checked_sub(1)?;
    times.get(at).map(|us| *us as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read_with_all_that_failed() {
        let said = "Running 4s test @ http://127.0.0.1:1/1k\n  1 threads and 16 connections\n  \
            133741 requests in 4.00s, 160.42MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  \
            Non-2xx or 3xx responses: 7\nRequests/sec:  33400.12\nTransfer/sec:     40.06MB\n";
        let expect = Ran {
            requests: 133_741,
            failed: 10,
            rate: 33_400.12,
            p99_ms: 0.0,
        };
        assert_eq!(read_wrk(said), Some(expect));
        assert_eq!(
            read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n"),
            None
        );
    }

    #[test]
    fn what_h2load_says_is_read() {
        let said = "finished in 2.00s, 57022.50 req/s, 57.93MB/s\n\
            requests: 114045 total, 114301 started, 114045 done, 114040 succeeded, 5 failed, 0 errored, 0 timeout\n";
        let expect = Ran {
            requests: 114_040,
            failed: 5,
            rate: 57_022.5,
            p99_ms: 0.0,
        };
        assert_eq!(read_h2load(said), Some(expect));
    }

    #[test]
    fn the_slowest_of_a_hundred_is_the_ninety_ninth() {
        let log: String = (1..=100)
            .map(|n| format!("1700000000\t200\t{}\n", n * 1000))
            .collect();
        assert_eq!(p99_ms(&log), Some(99.0));
        assert_eq!(p99_ms(""), None);
    }
}
