//! Starting one process: what runs, with which environment, descriptors and output.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use brick_core::{BrickName, Incarnation, Version, env};
use command_fds::CommandFdExt as _;
use process_wrap::std::{CommandWrap, ProcessSession};

use crate::board::{Role, Slot};
use crate::linux::capture::Enclosure;
use crate::linux::process::Process;
use crate::listeners::Listeners;
use crate::logs;
use crate::plan::database;
use crate::ports::loopback;

/// All that decides how the process of a slot runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) slot: Slot,
    pub(crate) version: Version,
    pub(crate) zone: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) dir: PathBuf,
    /// What leads its connections to the host proxy, where the kernel does.
    pub(crate) enclosure: Option<Enclosure>,
    /// The contract's variables that stay the same over starts.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) port: u16,
    /// Where callers find it, where that is not its own port.
    pub(crate) public_port: Option<u16>,
    pub(crate) health_path: String,
    /// It speaks no HTTP: ready is what takes a connection.
    pub(crate) health_by_connecting: bool,
    pub(crate) health_every: Duration,
    pub(crate) health_grace: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) needs: Vec<BrickName>,
    pub(crate) scopes: Vec<String>,
    pub(crate) log: PathBuf,
    pub(crate) token: PathBuf,
    /// Changes when a restart is needed for the process to be as the manifest says.
    pub(crate) fingerprint: String,
}

impl Spec {
    /// The same on another port.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        let mut spec = self.clone();
        spec.port = port;
        for (name, value) in &mut spec.env {
            if name == env::PORT {
                *value = port.to_string();
            }
        }
        spec
    }

    /// Its program with its arguments, enclosed where it is to be.
    fn command(&self) -> Command {
        let Some((first, words)) = self.enclosure.as_ref().and_then(|e| e.words().split_first()) else {
            let mut command = Command::new(&self.program);
            command.args(&self.args);
            return command;
        };
        let mut command = Command::new(first);
        command.args(words).arg(&self.program).args(&self.args);
        command
    }

    /// Where callers find it.
    pub(crate) fn addr(&self) -> SocketAddr {
        loopback(self.public_port.unwrap_or(self.port))
    }

    /// Where it says whether it is ready.
    pub(crate) fn health_url(&self) -> String {
        match self.health_by_connecting {
            true => format!("tcp://127.0.0.1:{}", self.port),
            false => format!("http://127.0.0.1:{}{}", self.port, self.health_path),
        }
    }

    /// What makes it ready, in words.
    pub(crate) fn health_wanted(&self) -> String {
        match self.health_by_connecting {
            true => format!("that it takes connections on {}", self.health_url()),
            false => format!("a 2xx answer of {}", self.health_url()),
        }
    }
}

/// A process that was started, with the offset of its log file at which it begins.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) process: Process,
    pub(crate) log_offset: u64,
}

/// The environment that children inherit: the operator's, without what an outer cargo or an outer Brickwork set.
pub(crate) fn inherited(operator: &[(String, String)]) -> Vec<(String, String)> {
    let kept = |name: &str| match name {
        "CARGO_HOME" | "RUST_LOG" | "RUST_BACKTRACE" => true,
        env::PORT | "LD_LIBRARY_PATH" => false,
        name if database::is_password(name) => false,
        _ => !["BRICK_", "LISTEN_", "CARGO", "RUST"]
            .iter()
            .any(|prefix| name.starts_with(prefix)),
    };
    let mut env: Vec<(String, String)> = operator.iter().filter(|(name, _)| kept(name)).cloned().collect();
    // Output goes to a file, which Python would write in blocks: lines would come late, or never after a kill.
    if !env.iter().any(|(name, _)| name == "PYTHONUNBUFFERED") {
        env.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
    }
    env
}

/// Names of what control opens encrypted values and its store with.
const OF_CONTROL: [&str; 4] = [
    "ENCRYPT_KEY",
    "ENCRYPT_KEY_FILE",
    "CONTROL_STORE_PASSWORD",
    "CONTROL_STORE_PASSWORD_FILE",
];

/// Starts the process: its own session, no input, output appended to the slot's file.
pub(crate) fn launch(
    spec: &Spec,
    inherited: &[(String, String)],
    incarnation: Incarnation,
    listeners: Option<&Listeners>,
    begin: impl FnOnce(u64),
) -> std::io::Result<Launched> {
    let (log, log_offset) = logs::open_for_append(&spec.log)?;
    begin(log_offset);
    let pairs = inherited.iter().chain(&spec.env);
    let mut command = spec.command();
    command
        .current_dir(&spec.dir)
        .env_clear()
        .envs(small_pages(spec.slot.role))
        .envs(pairs.map(|(name, value)| (name, value)))
        .env(env::BRICK_INCARNATION, incarnation.to_string())
        .env(
            env::OTEL_RESOURCE_ATTRIBUTES,
            attributes(spec, &spec.slot.to_string(), incarnation),
        )
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log);
    // The master key of encrypted values and the password of its store are control's alone.
    if spec.slot.role != Role::Control {
        for name in OF_CONTROL {
            command.env_remove(name);
        }
    }
    if let Some(listeners) = listeners {
        let (count, names) = listeners.names();
        command
            .env(env::LISTEN_FDS, count)
            .env(env::LISTEN_FDNAMES, names)
            .fd_mappings(listeners.mappings()?)
            .map_err(std::io::Error::other)?;
    }
    let child = CommandWrap::from(command).wrap(ProcessSession).spawn()?;
    Ok(Launched {
        process: Process::of_child(child.id())?,
        log_offset,
    })
}

/// The allocator of the platform's processes asks for huge pages otherwise, which cost each of them some ten megabytes
/// at rest; what they save a busy edge is in `docs/benchmarks.md`. What the operator sets wins.
fn small_pages(role: Role) -> Option<(&'static str, &'static str)> {
    (role != Role::Brick).then_some(("MIMALLOC_ALLOW_THP", "0"))
}

/// `OTEL_RESOURCE_ATTRIBUTES` of one start; `instance` is the slot, or what stands for one.
pub(crate) fn attributes(spec: &Spec, instance: &str, incarnation: Incarnation) -> String {
    let of = |name: &str| {
        spec.env
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    };
    let pairs = [
        ("service.namespace", of(env::BRICK_SYSTEM).to_owned()),
        ("service.version", spec.version.to_string()),
        ("service.instance.id", incarnation.to_string()),
        ("brick.slot", instance.to_owned()),
        ("brick.zone", spec.zone.clone()),
        ("brick.revision", of(env::BRICK_REVISION).to_owned()),
    ];
    let known = pairs.iter().filter(|(_, value)| !value.is_empty());
    let texts: Vec<String> = known.map(|(key, value)| format!("{key}={value}")).collect();
    texts.join(",")
}

/// The executable that a command's first word stands for: a path (relative to its folder) or a name on `PATH`.
pub(crate) fn find_program(program: &str, dir: &Path, env: &[(String, String)]) -> Option<PathBuf> {
    if program.contains('/') {
        let path = dir.join(program);
        return is_executable(&path).then_some(path);
    }
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value);
    let folders = std::env::split_paths(path.map_or("/usr/local/bin:/usr/bin:/bin", String::as_str));
    let mut candidates = folders.map(|folder| dir.join(folder).join(program));
    candidates.find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What to do about a program that is missing.
pub(crate) fn install_hint(program: &str) -> String {
    let name = Path::new(program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    match name.as_ref() {
        "cargo" | "rustc" => "install Rust from https://rustup.rs and open a new shell".to_owned(),
        "python3" | "python" => {
            "install Python 3 (Debian: apt-get install python3), or mark the brick `optional = true`"
                .to_owned()
        }
        "node" | "npm" | "npx" => {
            "install Node.js (Debian: apt-get install nodejs npm), or mark the brick `optional = true`"
                .to_owned()
        }
        "java" | "mvn" | "gradle" => {
            "install a JDK (Debian: apt-get install default-jdk), or mark the brick `optional = true`"
                .to_owned()
        }
        "go" => "install Go (Debian: apt-get install golang), or mark the brick `optional = true`".to_owned(),
        _ if program.contains('/') => {
            "give the brick a `build` that makes it, or leave out `--no-build`".to_owned()
        }
        _ => "install it, put it on PATH, or mark the brick `optional = true`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outer_process_set_for_itself_is_not_inherited() {
        let pairs = [
            ("PATH", true),
            ("MAX_LINES", true),
            ("RUST_LOG", true),
            ("PORT", false),
            ("BRICK_TOKEN_FILE", false),
            ("LISTEN_FDS", false),
            ("CARGO_MANIFEST_DIR", false),
            ("LD_LIBRARY_PATH", false),
        ];
        let operator: Vec<(String, String)> = pairs.map(|(n, _)| (n.to_owned(), "x".to_owned())).into();
        let env = inherited(&operator);
        for (name, expect) in pairs {
            assert_eq!(env.iter().any(|(n, _)| n == name), expect, "{name}");
        }
    }

    #[test]
    fn programs_are_found_on_the_path_or_in_their_folder() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("tool");
        std::fs::write(&own, "#!/bin/sh\n").unwrap();
        assert_eq!(find_program("./tool", dir.path(), &[]), None);
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(find_program("./tool", dir.path(), &[]).is_some());
        let env = [("PATH".to_owned(), dir.path().display().to_string())];
        assert_eq!(find_program("tool", Path::new("/"), &env), Some(own));
        assert_eq!(find_program("no-such-tool", Path::new("/"), &env), None);
    }
}
