//! Whether traffic can be captured on this machine: it is tried, with a cgroup and a table that live for the moment.
//! Rules that never match would be taken without a word.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{CGROUPS, ENTER, HOSTS, Means, make, rules};

/// Says why traffic cannot be captured here; `brick` is the platform's executable.
pub fn capture_works(brick: &Path) -> Result<(), String> {
    works(&Means::find()?, brick)
}

/// What was made for the check, taken away with this value.
struct Trial<'m> {
    means: &'m Means,
    table: String,
    cgroup: PathBuf,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // Neither matters to anybody where it stays.
        let _ = self.means.apply(&rules::none(&self.table));
        let _ = fs::remove_dir(&self.cgroup);
        let _ = fs::remove_dir(self.means.cgroups.join(CGROUPS));
    }
}

pub(super) fn works(means: &Means, brick: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("cannot try it: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
    listener.set_nonblocking(true).map_err(said)?;
    let port = listener.local_addr().map_err(said)?.port();
    let name = format!("trial-{}", std::process::id());
    let path = Path::new(CGROUPS).join(&name);
    let trial = Trial {
        table: format!("brickwork_trial_{}", std::process::id()),
        cgroup: means.cgroups.join(&path),
        means,
    };
    make(&trial.cgroup)?;
    let leads = means.named([(path, port)].into_iter())?;
    means.apply(&rules::text(&trial.table, &leads))?;
    let tried = Command::new(&means.unshare)
        .args([
            "--mount",
            "--propagation",
            "slave",
            "/bin/sh",
            "-c",
            ENTER,
            "capture",
        ])
        .arg(&trial.cgroup)
        .arg(&means.mount)
        .arg(HOSTS)
        .arg(brick)
        .args(["serve", "trial"])
        .arg(format!(
            "{}:9",
            Ipv4Addr::from(u32::from(Ipv4Addr::from(rules::NAMES)) + 1)
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(said)?;
    match listener.accept() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let told = String::from_utf8_lossy(&tried.stderr);
            let told = told.lines().next().unwrap_or("it said nothing");
            Err(format!(
                "the rules were taken, and a connection from the cgroup {} was not led to the proxy by them ({told})",
                trial.cgroup.display()
            ))
        }
        Err(error) => Err(said(error)),
    }
}
