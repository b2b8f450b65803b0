//! A process by pid, start time and pidfd: told apart from a later one with the same pid, watched without being its
//! parent.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

/// A process of this boot: pid and start time in clock ticks since boot (proc(5), `stat` field 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

/// What `/proc/<pid>/stat` says that supervision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) start_ticks: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somebody else's child: nobody can tell.
    Unknown,
}

/// A process that is watched.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    pidfd: AsyncFd<OwnedFd>,
    child: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} (SIG{name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("an unknown exit code (it was adopted)"),
        }
    }
}

impl Process {
    /// Watches a child that was just started; its pid cannot be reused before it is waited for.
    pub(crate) fn of_child(pid: u32) -> io::Result<Self> {
        let start_ticks = stat(pid).map_or(0, |stat| stat.start_ticks);
        Ok(Self {
            id: ProcessId { pid, start_ticks },
            pidfd: open(pid)?,
            child: true,
        })
    }

    /// Watches a process that an earlier agent started, if it still runs.
    pub(crate) fn adopt(id: ProcessId) -> Option<Self> {
        let pidfd = open(id.pid).ok()?;
        // The pidfd is open, so the pid cannot change hands between this look and the use.
        let seen = stat(id.pid)?;
        let same = seen.start_ticks == id.start_ticks && !matches!(seen.state, 'Z' | 'X');
        // A child it can be where both agents were one process, as in tests.
        let child = seen.parent == std::process::id();
        same.then_some(Self { id, pidfd, child })
    }

    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    /// Resolves when the process has ended. It stays a zombie until [`Process::reap`], so its pid stays its own.
    pub(crate) async fn ended(&self) {
        // An error here means that the reactor is gone: the runtime is being shut down.
        let _ = self.pidfd.readable().await;
    }

    /// Takes the exit code of an ended process.
    pub(crate) fn reap(&self) -> Exit {
        let pid = raw_pid(self.id.pid);
        if !self.child || pid.is_none() {
            return Exit::Unknown;
        }
        match rustix::process::waitpid(pid, WaitOptions::NOHANG) {
            Ok(Some((_, status))) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            _ => Exit::Unknown,
        }
    }

    /// Sends a signal to this process alone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        rustix::process::pidfd_send_signal(self.pidfd.get_ref(), signal).map_err(io::Error::from)
    }

    /// Asks the whole process group to end; a leader that has moved its group away is asked alone.
    pub(crate) fn terminate(&self) {
        let group = raw_pid(self.id.pid);
        let asked =
            group.is_some_and(|group| rustix::process::kill_process_group(group, Signal::TERM).is_ok());
        if !asked {
            // It may have ended meanwhile; then there is nothing to ask.
            let _ = self.signal(Signal::TERM);
        }
    }
}

pub(super) fn raw_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[expect(
    deprecated,
    reason = "its successor is an unsafe function; the danger is a type whose descriptor changes, and OwnedFd's does not"
)]
fn open(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = raw_pid(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE)
}

/// Reads `/proc/<pid>/stat`; none where there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may hold anything, so fields are counted from the last `)` (proc(5)).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

const SIGNALS: [(&str, Signal); 10] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ABRT", Signal::ABORT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
];

/// The signal of a name, with or without `SIG`, or of a number.
pub(crate) fn signal_of(text: &str) -> Option<Signal> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.iter().find(|(known, _)| *known == name);
    let by_number = || SIGNALS.iter().find(|(_, s)| name.parse() == Ok(s.as_raw()));
    by_name.or_else(by_number).map(|(_, signal)| *signal)
}

/// Names of the signals that [`signal_of`] knows.
pub(crate) fn signal_names() -> String {
    SIGNALS.map(|(name, _)| name).join(", ")
}

/// Name of a signal without `SIG`.
pub(crate) fn signal_name(number: i32) -> Option<&'static str> {
    let named = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    named.map(|(name, _)| *name).or(match number {
        4 => Some("ILL"),
        7 => Some("BUS"),
        8 => Some("FPE"),
        11 => Some("SEGV"),
        13 => Some("PIPE"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "42 (a) S 1 (b c)) S 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let expect = Stat {
            state: 'S',
            parent: 7,
            session: 43,
            start_ticks: 987_654,
        };
        assert_eq!(parse_stat(text), Some(expect));
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[tokio::test]
    async fn this_process_is_found_and_a_later_one_with_its_pid_would_not_be() {
        let pid = std::process::id();
        let start_ticks = stat(pid).unwrap().start_ticks;
        assert!(Process::adopt(ProcessId { pid, start_ticks }).is_some());
        let other = ProcessId {
            pid,
            start_ticks: start_ticks + 1,
        };
        assert!(Process::adopt(other).is_none());
    }

    #[test]
    fn signals_go_by_name_or_number() {
        for (text, expect) in [
            ("KILL", Some(Signal::KILL)),
            ("sigterm", Some(Signal::TERM)),
            ("9", Some(Signal::KILL)),
            ("WINCH", None),
            ("", None),
            ("-9", None),
        ] {
            assert_eq!(signal_of(text), expect, "{text:?}");
        }
        assert_eq!(Exit::Signal(9).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(Exit::Code(3).to_string(), "exit code 3");
    }

    proptest! {
        #[test]
        fn any_stat_line_is_read_or_refused(text in ".*") {
            let _ = parse_stat(&text);
        }
    }
}
