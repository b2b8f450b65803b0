//! Leading what a brick connects to into the host proxy, without its knowing.
//!
//! A cgroup (v2) for each slot tells its sockets, those of its children included, from everybody else's; a rule of
//! nftables redirects what they connect to; and a hosts file, which the process sees instead of `/etc/hosts` in a mount
//! namespace of its own, gives names of bricks addresses that lead nowhere else. User, port and environment of the brick
//! stay what they are, and nobody else on the machine notices anything.
//!
//! The rules of a system are one table, replaced in one transaction and taken away when the system stops; what an agent
//! that was killed left is found by its name, and becomes what the next agent wants.

mod check;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brick_core::BrickName;

use crate::folder::Folder;
use crate::launch::find_program;
use crate::ports::fnv;

pub use check::capture_works;
pub(crate) use rules::{NAMES, NAMES_PREFIX};

/// Folder of all our cgroups in the hierarchy.
const CGROUPS: &str = "brickwork";
const HOSTS: &str = "/etc/hosts";
/// Where programs of the system's administration are, besides those on the path.
const ADMIN_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";
/// Enters the cgroup, covers the hosts file, and becomes the program.
const ENTER: &str = r#"echo 0 >"$1/cgroup.procs" && "$2" --bind "$3" /etc/hosts && shift 3 && exec "$@""#;

/// How a process is started so that what it connects to is led to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enclosure {
    words: Vec<String>,
}

impl Enclosure {
    /// The words before those of the command.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }
}

/// The captured traffic of one system.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    /// Tells this system's table and cgroups from those of others.
    id: String,
    hosts: PathBuf,
    /// What is captured by now: ports by slot.
    record: PathBuf,
    /// The `brick` executable, which checks the way once.
    brick: PathBuf,
    /// Whether the way was seen to work since this agent began.
    proven: Arc<AtomicBool>,
}

/// The programs and the place that capturing needs.
#[derive(Debug)]
struct Means {
    nft: PathBuf,
    unshare: PathBuf,
    mount: PathBuf,
    /// Where cgroup v2 is mounted.
    cgroups: PathBuf,
}

impl Capture {
    pub(crate) fn new(folder: &Folder, dir: &Path, brick: &Path) -> Self {
        Self {
            id: format!("{:016x}", fnv(dir.as_os_str().as_encoded_bytes())),
            hosts: folder.hosts(),
            record: folder.captured(),
            brick: brick.to_owned(),
            proven: Arc::default(),
        }
    }

    /// Captures these slots, each to its port, and no others; those whose processes still end stay captured. Says what
    /// is missing where that cannot be.
    pub(crate) fn lay(
        &self,
        slots: &BTreeMap<String, u16>,
        names: &BTreeMap<BrickName, Ipv4Addr>,
    ) -> Result<(), String> {
        let mut slots = slots.clone();
        let before = self.recorded();
        if slots.is_empty() && before.is_empty() {
            return Ok(());
        }
        let means = Means::find()?;
        for (slot, port) in before {
            let cgroup = self.cgroup(&means, &slot);
            if !slots.contains_key(&slot) && !is_empty(&cgroup) {
                slots.insert(slot, port);
            }
        }
        if slots.is_empty() {
            self.lift();
            return Ok(());
        }
        if !self.proven.load(Ordering::Relaxed) {
            check::works(&means, &self.brick)?;
            self.proven.store(true, Ordering::Relaxed);
        }
        // First, so that whatever is made from here on is found again.
        self.note(&slots)?;
        self.write_hosts(names)?;
        for slot in slots.keys() {
            make(&self.cgroup(&means, slot))?;
        }
        let paths = slots.iter().map(|(slot, port)| (self.path(slot), *port));
        means.apply(&rules::text(&self.table(), &means.named(paths)?))?;
        self.tidy(&means, &slots);
        Ok(())
    }

    /// Captures nothing any more. What cannot be taken away now is found by the next start.
    pub(crate) fn lift(&self) {
        if self.recorded().is_empty() {
            return;
        }
        let lifted = Means::find().and_then(|means| {
            means.apply(&rules::none(&self.table()))?;
            self.tidy(&means, &BTreeMap::new());
            Ok(())
        });
        match lifted {
            // Most often it is there.
            Ok(()) => drop(fs::remove_file(&self.record)),
            Err(reason) => tracing::warn!(
                reason,
                "rules that lead traffic to the host proxy stay in the kernel"
            ),
        }
    }

    /// How the process of a slot is started.
    pub(crate) fn enclosure(&self, slot: &str) -> Option<Enclosure> {
        let means = Means::find().ok()?;
        let text = |path: &Path| path.display().to_string();
        let words = [
            text(&means.unshare),
            "--mount".to_owned(),
            "--propagation".to_owned(),
            "slave".to_owned(),
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            ENTER.to_owned(),
            "capture".to_owned(),
            text(&self.cgroup(&means, slot)),
            text(&means.mount),
            text(&self.hosts),
        ];
        Some(Enclosure { words: words.into() })
    }

    fn table(&self) -> String {
        format!("brickwork_{}", self.id)
    }

    /// The cgroup of a slot, from where the hierarchy is mounted.
    fn path(&self, slot: &str) -> PathBuf {
        Path::new(CGROUPS).join(&self.id).join(slot.replace('/', "."))
    }

    fn cgroup(&self, means: &Means, slot: &str) -> PathBuf {
        means.cgroups.join(self.path(slot))
    }

    fn recorded(&self) -> BTreeMap<String, u16> {
        let bytes = fs::read(&self.record).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn note(&self, slots: &BTreeMap<String, u16>) -> Result<(), String> {
        let said = |error: std::io::Error| format!("cannot write {}: {error}", self.record.display());
        let text = serde_json::to_vec(slots).map_err(|error| said(error.into()))?;
        crate::folder::write_private(&self.record, &text, false).map_err(said)
    }

    /// The machine's own names, then the bricks. The file is written in place: processes that run have this very file
    /// before them.
    fn write_hosts(&self, names: &BTreeMap<BrickName, Ipv4Addr>) -> Result<(), String> {
        let said = |error: std::io::Error| format!("cannot write {}: {error}", self.hosts.display());
        let own = fs::read_to_string(HOSTS).map_err(|error| format!("cannot read {HOSTS}: {error}"))?;
        let mut text = own.trim_end().to_owned();
        for (name, address) in names {
            text.push_str(&format!("\n{address} {name}.brick"));
        }
        text.push('\n');
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.hosts)
            .map_err(said)?;
        file.write_all(text.as_bytes()).map_err(said)?;
        file.set_len(text.len() as u64).map_err(said)?;
        // Whichever user the brick becomes has to read it.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&self.hosts, fs::Permissions::from_mode(0o644)).map_err(said)
    }

    /// Removes the cgroups that nobody needs any more; one with a process in it cannot be removed, and is not.
    fn tidy(&self, means: &Means, slots: &BTreeMap<String, u16>) {
        let own = means.cgroups.join(CGROUPS).join(&self.id);
        let kept: Vec<PathBuf> = slots.keys().map(|slot| self.cgroup(means, slot)).collect();
        for entry in fs::read_dir(&own).into_iter().flatten().flatten() {
            if entry.path().is_dir() && !kept.contains(&entry.path()) {
                let _ = fs::remove_dir(entry.path());
            }
        }
        if kept.is_empty() {
            let _ = fs::remove_dir(&own);
            let _ = fs::remove_dir(means.cgroups.join(CGROUPS));
        }
    }
}

impl Means {
    /// What there is of it, or what is missing.
    fn find() -> Result<Self, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = [("PATH".to_owned(), format!("{path}:{ADMIN_PATH}"))];
        let program = |name: &str, package: &str| {
            find_program(name, Path::new("/"), &path).ok_or_else(|| {
                format!("the program `{name}` is not there (Debian: apt-get install {package})")
            })
        };
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Ok(Self {
            nft: program("nft", "nftables")?,
            unshare: program("unshare", "util-linux")?,
            mount: program("mount", "mount")?,
            cgroups: rules::cgroup_mount(&mounts).ok_or_else(|| {
                "cgroup v2 is not mounted below /sys/fs/cgroup, by which a brick's connections are told from others'"
                    .to_owned()
            })?,
        })
    }

    /// The cgroups as nft names them, from `/sys/fs/cgroup`, with their depth in the hierarchy.
    fn named(&self, paths: impl Iterator<Item = (PathBuf, u16)>) -> Result<Vec<rules::Lead>, String> {
        let of = |(path, port): (PathBuf, u16)| {
            let named = self.cgroups.join(&path);
            let named = named
                .strip_prefix(rules::CGROUP_ROOT)
                .map_err(|error| error.to_string())?;
            Ok(rules::Lead {
                cgroup: named.display().to_string(),
                level: path.components().count(),
                port,
            })
        };
        paths.map(of).collect()
    }

    /// Gives nft a script, which it does whole or not at all.
    fn apply(&self, script: &str) -> Result<(), String> {
        let said = |error: std::io::Error| format!("cannot run {}: {error}", self.nft.display());
        let mut child = Command::new(&self.nft)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(said)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(script.as_bytes()).map_err(said)?;
        }
        let output = child.wait_with_output().map_err(said)?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let first = told.lines().next().unwrap_or("it did not say why");
        Err(format!(
            "the kernel did not take the rules of nftables: {first}; it takes root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel with nf_tables, nft_redir and nft_socket"
        ))
    }
}

/// Makes a cgroup.
fn make(cgroup: &Path) -> Result<(), String> {
    fs::create_dir_all(cgroup).map_err(|error| {
        format!(
            "cannot make the cgroup {}: {error}; it takes root",
            cgroup.display()
        )
    })
}

/// Whether no process is in a cgroup, or there is none.
fn is_empty(cgroup: &Path) -> bool {
    let events = fs::read_to_string(cgroup.join("cgroup.events")).unwrap_or_default();
    !events.lines().any(|line| line == "populated 1")
}
