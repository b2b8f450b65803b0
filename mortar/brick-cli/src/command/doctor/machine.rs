//! What a system needs of the machine: tools, ports, room, descriptors, a clock.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use brick_model::Model;
use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use super::Finding;
use crate::output::count;

/// Less room than this for data and logs is wrong.
const DISK_BYTES_MIN: u64 = 200 << 20;
/// Less is worth a note: a build needs it.
const DISK_BYTES_LOW: u64 = 3 << 30;
/// Descriptors that a gateway under load needs.
const FILES_MIN: u64 = 1_024;
/// Less memory than this and the platform itself is in danger.
const MEMORY_KIB_MIN: u64 = 256 << 10;

/// Reads the manifest; what is wrong with it is a finding like any other.
pub(super) fn manifest(dir: &Path) -> (Option<Model>, Vec<Finding>) {
    const CHECK: &str = "manifest";
    let path = dir.join("brick.toml");
    if !path.exists() {
        let found = format!("there is no brick.toml in {}", dir.display());
        let fix = "name a system's folder with -C DIR, or make one: brick new hello";
        return (None, vec![Finding::note(CHECK, found, fix)]);
    }
    match Model::load(&path) {
        Ok(loaded) => {
            let (name, bricks) = (&loaded.model.system.name, loaded.model.bricks.len());
            let found = format!("{name} with {} is valid", count(bricks, "brick"));
            (Some(loaded.model), vec![Finding::ok(CHECK, found)])
        }
        Err(invalid) => {
            let found = format!("brick.toml has {}", count(invalid.errors().len(), "error"));
            let fix = "brick check shows each with its place and the nearest valid name";
            (None, vec![Finding::wrong(CHECK, found, fix)])
        }
    }
}

/// All that is looked at on the machine. `running` is the agent's status where one answers.
pub(super) fn look(dir: &Path, model: Option<&Model>, running: Option<&Value>) -> Vec<Finding> {
    let mut findings = tools(dir, model);
    findings.extend(model.and_then(capture));
    findings.extend(ports(model, running));
    findings.extend([disk(dir), files(), memory(), clock()].into_iter().flatten());
    findings
}

/// Programs that the manifest's commands begin with, and what comes with them.
fn tools(dir: &Path, model: Option<&Model>) -> Vec<Finding> {
    const CHECK: &str = "tools";
    let mut wanted: BTreeSet<(String, bool, PathBuf)> = BTreeSet::new();
    for (_, brick) in model.into_iter().flat_map(Model::running) {
        let commands = [&brick.build, &brick.run];
        for line in commands
            .into_iter()
            .flatten()
            .filter(|line| !line.contains("{target}"))
        {
            if let Some(word) = brick_model::command::split(line)
                .ok()
                .and_then(|w| w.into_iter().next())
            {
                wanted.insert((word, brick.optional, brick.dir(dir)));
            }
        }
    }
    if model.is_none() {
        for name in ["cargo", "python3", "node"] {
            wanted.insert((name.to_owned(), true, dir.to_path_buf()));
        }
    }
    let uses_cargo = wanted.iter().any(|(name, ..)| name == "cargo");
    if uses_cargo {
        wanted.insert(("cc".to_owned(), model.is_none(), dir.to_path_buf()));
    }
    let mut seen = BTreeSet::new();
    let first = wanted
        .into_iter()
        .filter(|(name, optional, _)| seen.insert((name.clone(), *optional)));
    first
        .map(|(name, optional, at)| match find(&name, &at) {
            Some(path) => Finding::ok(CHECK, version(&name, &path)),
            None if optional => Finding::note(CHECK, format!("{name} is not here"), install(&name)),
            None => Finding::wrong(
                CHECK,
                format!("{name} is not here, and a brick needs it"),
                install(&name),
            ),
        })
        .collect()
}

/// Whether the kernel leads the traffic of bricks to the host proxy, where one asks for it. It is tried.
fn capture(model: &Model) -> Option<Finding> {
    const CHECK: &str = "capture";
    let (name, _) = model.running().find(|(_, brick)| brick.capture)?;
    let tried = std::env::current_exe().map_err(|error| error.to_string());
    Some(
        match tried.and_then(|brick| mortar_agent::capture_works(&brick)) {
            Ok(()) => Finding::ok(
                CHECK,
                format!("the kernel leads the traffic of {name} to the host proxy"),
            ),
            Err(reason) => Finding::wrong(
                CHECK,
                format!("the traffic of {name} cannot be captured: {reason}"),
                "mend that and run as root, or write proxy = true instead of capture = true",
            ),
        },
    )
}

fn find(name: &str, dir: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(dir.join(name)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The first line of `--version` of tools that have it quickly; the path of others.
fn version(name: &str, path: &Path) -> String {
    let known = ["cargo", "python3", "python", "node", "cc"];
    let told = known.contains(&name).then(|| {
        let mut command = Command::new(path);
        command.arg("--version").stdin(Stdio::null());
        command.output().ok()
    });
    let text = told
        .flatten()
        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    match text
        .as_deref()
        .and_then(|text| text.lines().next())
        .filter(|line| !line.is_empty())
    {
        Some(line) if line.starts_with(name) => line.to_owned(),
        Some(line) => format!("{name}: {line}"),
        None => format!("{name}: {}", path.display()),
    }
}

fn install(name: &str) -> String {
    match name {
        "cargo" => "install Rust from https://rustup.rs".to_owned(),
        "cc" => "install a C compiler: apt install build-essential, or your system's own".to_owned(),
        "python3" | "python" => {
            "install Python 3: apt install python3, or from https://python.org".to_owned()
        }
        "node" => "install Node.js: apt install nodejs, or from https://nodejs.org".to_owned(),
        other => format!("install {other}, or put its folder into PATH"),
    }
}

/// The public ports: free, or held by the running system itself.
fn ports(model: Option<&Model>, running: Option<&Value>) -> Vec<Finding> {
    const CHECK: &str = "ports";
    if let Some(status) = running {
        let url = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let found = format!("edge at {}, console at {}", url("edge_url"), url("admin_url"));
        return vec![Finding::ok(CHECK, found)];
    }
    let Some(model) = model else {
        return Vec::new();
    };
    let console = SocketAddr::from(([127, 0, 0, 1], model.system.console));
    [
        ("edge", model.edge.listen, "--edge 127.0.0.1:0"),
        ("console", console, "--console 0"),
    ]
    .into_iter()
    .map(|(what, addr, option)| match TcpListener::bind(addr) {
        Ok(_) => Finding::ok(CHECK, format!("{what}: {addr} is free")),
        Err(error) => {
            let owner = mortar_agent::linux::ports::owner(addr);
            let who = owner.map_or_else(
                || error.to_string(),
                |owner| format!("pid {} has it ({})", owner.pid, owner.command),
            );
            let fix = format!("stop that process, or start with brick up {option}");
            Finding::wrong(CHECK, format!("{what}: {addr} cannot be taken: {who}"), fix)
        }
    })
    .collect()
}

fn disk(dir: &Path) -> Option<Finding> {
    const CHECK: &str = "disk";
    let room = rustix::fs::statvfs(dir).ok()?;
    let bytes = room.f_bavail.saturating_mul(room.f_frsize);
    let found = format!("{:.1} GB free in {}", bytes as f64 / 1e9, dir.display());
    Some(if bytes < DISK_BYTES_MIN {
        Finding::wrong(
            CHECK,
            found,
            "make room: databases and logs stop when the disk is full",
        )
    } else if bytes < DISK_BYTES_LOW {
        Finding::note(
            CHECK,
            found,
            "a first build of Rust bricks takes about 2 GB: make room, or set CARGO_TARGET_DIR",
        )
    } else {
        Finding::ok(CHECK, found)
    })
}

fn files() -> Option<Finding> {
    const CHECK: &str = "open files";
    let limit = getrlimit(Resource::Nofile).current;
    let found = limit.map_or_else(
        || "no limit".to_owned(),
        |limit| format!("at most {limit} for a process"),
    );
    Some(match limit {
        Some(limit) if limit < FILES_MIN => Finding::wrong(CHECK, found, "ulimit -n 4096, before brick up"),
        _ => Finding::ok(CHECK, found),
    })
}

fn memory() -> Option<Finding> {
    const CHECK: &str = "memory";
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let found = format!("{:.1} GB available", kib as f64 * 1024.0 / 1e9);
    Some(if kib < MEMORY_KIB_MIN {
        Finding::wrong(
            CHECK,
            found,
            "end what is not needed; the kernel kills processes when memory runs out",
        )
    } else {
        Finding::ok(CHECK, found)
    })
}

/// A clock that is behind this very program cannot be right, and tokens live by the clock.
fn clock() -> Option<Finding> {
    const CHECK: &str = "clock";
    let built = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let now = SystemTime::now();
    let stamp = jiff::Timestamp::try_from(now).ok()?.to_string();
    let found = format!("{} UTC", stamp.get(..19).unwrap_or(&stamp).replace('T', " "));
    Some(if now + Duration::from_secs(60) < built {
        let fix = "set it: timedatectl set-ntp true; tokens are refused by a clock that is wrong";
        Finding::wrong(CHECK, format!("{found} is before this program was made"), fix)
    } else {
        Finding::ok(CHECK, found)
    })
}
