//! A system of its own in a scratch folder, run by the real agent on free ports: for what must not disturb the real one.
//!
//! The folder holds a manifest that was made from the real one, and a link to the real folder, so that bricks are built
//! and started where they belong. Everything that the system keeps is in the scratch folder and goes with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use brick_model::Model;
use tempfile::TempDir;
use tokio::process::Command;

use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone};

/// Name in the scratch folder under which the real one is found: folders of a manifest are relative to it.
pub(super) const REAL: &str = "system";

/// A scratch folder, with a system that runs in it or not.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    target_dir: PathBuf,
    /// The real folder.
    pub(super) real: PathBuf,
}

impl Scratch {
    /// Makes a folder for a system like the one in `dir`.
    pub(super) fn new(prefix: &str, dir: &Path) -> Outcome<Self> {
        let real = dir
            .canonicalize()
            .map_err(|error| failed("find the system", &error))?;
        let folder = tempfile::Builder::new().prefix(prefix).tempdir();
        let folder = folder.map_err(|error| failed("make a scratch folder", &error))?;
        std::os::unix::fs::symlink(&real, folder.path().join(REAL))
            .map_err(|error| failed("link the system", &error))?;
        Ok(Self {
            folder,
            target_dir: crate::command::up::target_dir(&real),
            real,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its agent, whether it runs or not.
    pub(super) fn agent(&self) -> Agent {
        Agent::of(self.path())
    }

    /// Writes its manifest.
    pub(super) fn write(&self, model: &Model) -> Outcome {
        let text = toml::to_string(model).map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(self.path().join("brick.toml"), text)
            .map_err(|error| failed("write the scratch manifest", &error))
    }

    /// Links what else lies in the real folder, so that every path of the manifest leads somewhere.
    pub(super) fn mirror(&self) -> Outcome {
        let entries =
            std::fs::read_dir(&self.real).map_err(|error| failed("read the system's folder", &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let own = ["brick.toml", ".brickwork", REAL].iter().any(|own| name == *own);
            if !own {
                std::os::unix::fs::symlink(entry.path(), self.path().join(name))
                    .map_err(|error| failed("link the system", &error))?;
            }
        }
        Ok(())
    }

    /// Starts it, or a new agent for what runs, and returns when all is ready; whether it became so.
    pub(super) async fn up(&self, no_build: bool) -> Outcome<bool> {
        let program = std::env::current_exe().map_err(|error| Failure::failed(error.to_string()))?;
        let status = Command::new(program)
            .arg("up")
            .arg(self.path())
            .args(["--detach", "--quiet", "--edge", "127.0.0.1:0", "--console", "0"])
            .args(no_build.then_some("--no-build"))
            .env("CARGO_TARGET_DIR", &self.target_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await;
        Ok(status
            .map_err(|error| Failure::failed(error.to_string()))?
            .success())
    }

    /// Stops it and deletes the folder, unless it is to be kept.
    pub(super) async fn end(self, keep: bool, output: Output) {
        if keep {
            let folder = self.folder.keep();
            output.progress(&format!(
                "kept; look at it and stop it with `brick -C {} …`",
                folder.display()
            ));
            return;
        }
        let quiet = Output {
            quiet: true,
            ..output
        };
        if let Err(failure) = crate::command::down::run(&self.agent(), false, quiet).await
            && failure.code != brick_core::ExitCode::Unreachable
        {
            let folder = self.folder.keep();
            let warning = output.err(Tone::Warn, "warning:");
            output.note(&format!("{warning} {failure}; see {}", folder.display()));
        }
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot {what}: {error}"))
}
