//! Why the agent could not do what it was asked to.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use brick_core::{BrickName, BrickRef};

use crate::linux::ports::Owner;

/// Errors of the agent. Every message says what was expected, what was found, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another agent holds the folder.
    #[error(
        "an agent (pid {pid}) already runs the system in {dir}; `brick up` there attaches to it, `brick down` stops it"
    )]
    AlreadyRunning {
        /// The agent that holds the lock, 0 where it did not say.
        pid: u32,
        /// The system's folder.
        dir: PathBuf,
    },
    /// A file or folder of `.brickwork` cannot be used.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The state was written by a later Brickwork.
    #[error(
        "{path} was written by a newer Brickwork (schema {found}, this one knows {known}); use that version, or stop the system with it and remove the folder"
    )]
    NewerState {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The schema this agent writes.
        known: u64,
    },
    /// The state cannot be read.
    #[error(
        "{path} is damaged ({reason}); move it away and start again: processes of the system that still run are then stopped and started anew"
    )]
    CorruptState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A port that must be the one asked for is in use.
    #[error("cannot listen on {addr} for the {what}: {}; stop that process or choose another address with `{option}`", holder(.owner))]
    PortTaken {
        /// What the port is for, `edge` or `console`.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// Who has it, where that can be told.
        owner: Option<Owner>,
        /// The option that changes it.
        option: &'static str,
    },
    /// An address cannot be listened on for another reason.
    #[error("cannot listen on {addr} for the {what}; choose another address with `{option}`")]
    Listen {
        /// What the address is for.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// The option that changes it.
        option: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// No port is left in the range that the agent assigns from.
    #[error("no free port left for {what} between {from} and {to}; stop what listens there")]
    NoPort {
        /// Who needs one.
        what: String,
        /// First port of the range.
        from: u16,
        /// Last port of the range.
        to: u16,
    },
    /// A build failed.
    #[error("the build of {} failed with {exit}: `{command}` in {dir}\n{tail}", list(.bricks))]
    Build {
        /// Bricks that the build is for.
        bricks: Vec<BrickName>,
        /// The command.
        command: String,
        /// Where it ran.
        dir: PathBuf,
        /// How it ended.
        exit: String,
        /// Its last lines.
        tail: String,
    },
    /// A program does not exist.
    #[error("brick {brick} needs the program `{program}`, which is not there: {hint}")]
    MissingProgram {
        /// The brick, or the version of one.
        brick: BrickRef,
        /// The program.
        program: String,
        /// What to do.
        hint: String,
    },
    /// A command of the manifest cannot be split into words, or its folder does not exist.
    #[error("brick {brick} cannot be started: {reason}")]
    Command {
        /// The brick, or the version of one.
        brick: BrickRef,
        /// What is wrong.
        reason: String,
    },
    /// The traffic of bricks cannot be captured on this machine, or by this user.
    #[error(
        "{} has `capture = true`, and its traffic cannot be captured here: {reason}. `brick doctor` tries it again; with `proxy = true` instead it needs nothing of the kernel", list(.bricks)
    )]
    Capture {
        /// Bricks that ask for it.
        bricks: Vec<BrickName>,
        /// What is missing.
        reason: String,
    },
    /// A roll stopped at an instance whose new process did not become ready.
    #[error("{reason}{tail}")]
    Roll {
        /// Which one, why, and what was replaced before.
        reason: String,
        /// The last lines since the new process started, each on a line of its own.
        tail: String,
    },
    /// The manifest that `apply` read is not valid; the text shows every error in it.
    #[error("{rendered}")]
    Manifest {
        /// The errors as they are shown to people.
        rendered: String,
    },
    /// The name stands for nothing in this system.
    #[error("there is no {what} `{name}`; {known}")]
    Unknown {
        /// Kind of thing.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// A value is out of its range.
    #[error("{what} must be {expected}, found {found}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is allowed.
        expected: String,
        /// What came.
        found: String,
    },
    /// Control does not do what the agent asked.
    #[error("control does not answer as expected")]
    Control(#[from] brick_wire::Error),
    /// The system is being stopped.
    #[error("the system is being stopped")]
    Stopping,
    /// The kernel refused something that supervision stands on.
    #[error("cannot {action}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A stable, machine-readable name, as in problem documents.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRunning { .. } => "already_running",
            Self::File { .. } => "file",
            Self::NewerState { .. } => "newer_state",
            Self::CorruptState { .. } => "corrupt_state",
            Self::PortTaken { .. } => "port_taken",
            Self::Listen { .. } => "listen",
            Self::NoPort { .. } => "no_port",
            Self::Build { .. } => "build_failed",
            Self::MissingProgram { .. } => "missing_program",
            Self::Command { .. } => "command",
            Self::Capture { .. } => "capture",
            Self::Roll { .. } => "roll_failed",
            Self::Manifest { .. } => "invalid_manifest",
            Self::Unknown { .. } => "unknown",
            Self::Invalid { .. } => "invalid",
            Self::Control(_) => "control",
            Self::Stopping => "stopping",
            Self::Kernel { .. } => "kernel",
        }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

fn holder(owner: &Option<Owner>) -> String {
    match owner {
        Some(owner) => format!("pid {} ({}) has it", owner.pid, owner.command),
        None => "another process has it (it belongs to another user, so its name cannot be told)".to_owned(),
    }
}

fn list(bricks: &[BrickName]) -> String {
    let names: Vec<&str> = bricks.iter().map(BrickName::as_str).collect();
    names.join(", ")
}
