//! Types a page's commands as a reader would, in a folder of its own that holds copies of `systems`.
//!
//! The rules by which a command is run are those of CONTRIBUTING.md, "Commands in documents"; a command that none of
//! them covers is a failure.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::pages::Typed;
use crate::process::Process;
use crate::{copy, workspace};

/// How long a command may take, and how long one that looks at the system may be tried again.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(15);

/// First words that may be typed besides `cargo`, `brick` and `cd`.
const TOOLS: [&str; 10] = [
    "curl", "cat", "mkdir", "cp", "rm", "sed", "printf", "python3", "node", "git",
];
/// Commands that look at the system: what they look for may come a moment later.
const LOOKS: [&str; 8] = [
    "ps", "logs", "status", "trace", "map", "metrics", "doctor", "demo",
];

/// The same of `brick config`.
const CONFIG_LOOKS: [&str; 4] = ["get", "repository", "history", "diff"];

/// What a page's reader has in front of them.
#[derive(Debug)]
pub struct Session {
    root: TempDir,
    /// Where the next command is typed.
    here: PathBuf,
    system: Option<Running>,
}

/// The system that the page runs.
#[derive(Debug)]
struct Running {
    dir: PathBuf,
    edge: String,
    console: String,
    /// The process of `up`, unless it was detached.
    up: Option<Process>,
}

/// How a command ended and what it printed.
#[derive(Debug, Default)]
struct Done {
    code: Option<i32>,
    printed: String,
}

impl Session {
    /// A folder with a copy of `systems` and the built `brick` on the path.
    pub fn begin() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let systems = root.path().join("systems");
        std::fs::create_dir(&systems).expect("a folder can be made");
        copy(&workspace().join("systems"), &systems);
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder can be made");
        std::os::unix::fs::symlink(crate::target_dir().join("release/brick"), bin.join("brick"))
            .expect("a link can be made");
        Self {
            here: root.path().to_path_buf(),
            root,
            system: None,
        }
    }

    /// Types one command; an error says what went otherwise than the page says.
    pub async fn run(&mut self, typed: &Typed) -> Result<(), String> {
        let pieces: Vec<&str> = match typed.text.contains("<<") {
            true => vec![&typed.text],
            false => typed.text.split(" && ").collect(),
        };
        let mut done = Done::default();
        for piece in pieces {
            let text = piece.trim().replacen("cargo run --release -- ", "brick ", 1);
            done = self.piece(&text, typed).await?;
            if done.code != Some(0) {
                break;
            }
        }
        check(typed, &done)
    }

    /// Ends the system that still runs.
    pub async fn end(self) -> Result<(), String> {
        if self.system.is_some() {
            let done = self.shell("brick down").await?;
            if done.code != Some(0) {
                return Err(format!("`brick down` at the end failed: {}", done.printed));
            }
        }
        Ok(())
    }

    async fn piece(&mut self, text: &str, typed: &Typed) -> Result<Done, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let folder = words.iter().position(|word| *word == "-C");
        let verb: Vec<&str> = match folder {
            Some(at) if words[0] == "brick" => {
                let rest = words.iter().enumerate();
                rest.filter(|(place, _)| !(at..at + 2).contains(place))
                    .map(|(_, word)| *word)
                    .collect()
            }
            _ => words.clone(),
        };
        match verb[..] {
            ["cd", folder] => self.enter(folder),
            ["cargo", "test", ..] => well_formed_test(&words),
            ["cargo", "xtask", ..] => self.shell(&format!("{text} --help")).await,
            ["brick", "up", ..] => self.up(&words).await,
            ["brick", "down", ..] => {
                let done = self.shell(text).await?;
                self.system = None;
                Ok(done)
            }
            ["brick", "load", ..] => {
                self.needs_system().await?;
                self.all_ready().await?;
                self.shell(&shortened(&words)).await
            }
            [
                "brick",
                "new" | "check" | "schema" | "version" | "help" | "completions" | "prove",
                ..,
            ] => self.shell(text).await,
            ["brick", what, ..] => {
                self.needs_system().await?;
                let follows = words.contains(&"-f") || words.contains(&"--follow");
                let text = &*match what {
                    "roll" if self.runs_a_copy() => Cow::Owned(format!("{text} --no-build")),
                    _ => Cow::Borrowed(text),
                };
                if follows || (what == "top" && !words.contains(&"--once")) {
                    self.first_words_of(text).await
                } else if LOOKS.contains(&what)
                    || matches!(verb[..], ["brick", "config", which, ..] if CONFIG_LOOKS.contains(&which))
                {
                    self.look(text, typed).await
                } else {
                    self.shell(text).await
                }
            }
            ["curl", ..] => {
                self.needs_system().await?;
                self.look(text, typed).await
            }
            [word, ..] if TOOLS.contains(&word) => self.shell(text).await,
            _ => Err(
                "no rule says how to run this; see \"Commands in documents\" in CONTRIBUTING.md".to_owned(),
            ),
        }
    }

    /// Load makes users first, for which the platform must be there: a reader comes to it later than this does.
    async fn all_ready(&self) -> Result<(), String> {
        let ready = Typed {
            line: 0,
            text: "brick status --format json".to_owned(),
            shows: vec!["\"ready\": true".to_owned()],
            exit: 0,
        };
        let done = self.look(&ready.text, &ready).await?;
        check(&ready, &done)
    }

    fn enter(&mut self, folder: &str) -> Result<Done, String> {
        let there = self.here.join(folder);
        let there = there
            .canonicalize()
            .map_err(|error| format!("cannot enter {folder}: {error}"))?;
        self.here = there;
        Ok(Done {
            code: Some(0),
            ..Done::default()
        })
    }

    /// Whether what runs is a copy of one of our systems: cargo builds those in the workspace alone.
    fn runs_a_copy(&self) -> bool {
        let copies = self.root.path().join("systems");
        self.system
            .as_ref()
            .is_some_and(|running| running.dir.starts_with(copies))
    }

    /// The shop, where a page looks at a system without having started one.
    async fn needs_system(&mut self) -> Result<(), String> {
        if self.system.is_some() {
            return Ok(());
        }
        let done = self.up(&["brick", "up", "systems/shop", "--detach"]).await?;
        match done.code {
            Some(0) => Ok(()),
            _ => Err(format!("the shop does not start: {}", done.printed)),
        }
    }

    /// `up`, on free ports. A copy of one of our systems is built where it belongs, in the workspace.
    async fn up(&mut self, words: &[&str]) -> Result<Done, String> {
        let valued = ["--only", "--edge", "--console"];
        let named = (2..words.len())
            .find(|at| !words[*at].starts_with('-') && !valued.contains(&words[at - 1]))
            .map(|at| words[at]);
        let place = named.map_or(self.here.clone(), |folder| self.here.join(folder));
        let dir = place
            .canonicalize()
            .map_err(|error| format!("cannot enter {}: {error}", place.display()))?;
        let attaches = self.system.as_ref().is_some_and(|running| running.dir == dir);
        let mut text = words.join(" ");
        if !attaches {
            text.push_str(" --edge 127.0.0.1:0 --console 0");
        }
        if let Ok(inside) = dir.strip_prefix(self.root.path().join("systems")) {
            build(&dir, &workspace().join("systems").join(inside))?;
            text.push_str(" --no-build");
        }
        // `exec`: a signal has to reach the command, not the shell.
        let mut up = Process::spawn(self.command(&format!("exec {text}")));
        let deadline = Instant::now() + LIMIT;
        let detach = words.contains(&"--detach");
        let (edge, console) = loop {
            let ended = up.ended();
            if ended.is_some() {
                up.all().await;
            }
            if let Some(addresses) = addresses(&up.stdout()) {
                break addresses;
            }
            if ended.is_some() || Instant::now() > deadline {
                return Ok(Done {
                    code: ended.and_then(|status| status.code()),
                    printed: up.told(),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        if attaches && !detach {
            up.signal(Signal::INT);
        }
        let (code, printed) = match detach || attaches {
            true => (up.end().await.code(), up.all().await),
            false => (Some(0), up.told()),
        };
        if !attaches {
            self.visit(&edge).await;
            let console = console.split("/login").next().unwrap_or_default().to_owned();
            let up = (!detach).then_some(up);
            self.system = Some(Running {
                dir,
                edge,
                console,
                up,
            });
        }
        Ok(Done { code, printed })
    }

    /// What a reader does first: opens the edge's address.
    async fn visit(&self, edge: &str) {
        // A system may have no page there; the visit counts all the same.
        let _ = brick_wire::Client::new().get(format!("{edge}/")).send().await;
    }

    /// A command in the shell, with the addresses that this session has.
    fn command(&self, text: &str) -> Command {
        let mut text = text.to_owned();
        if let Some(running) = &self.system {
            for (written, real) in [
                ("http://127.0.0.1:8080", &running.edge),
                ("http://localhost:8080", &running.edge),
                ("http://127.0.0.1:7700", &running.console),
                ("http://localhost:7700", &running.console),
            ] {
                text = text.replace(written, real.trim_end_matches('/'));
            }
            let elsewhere = !self.here.join("brick.toml").exists() && !text.contains(" -C ");
            let alone = ["brick new", "brick check", "brick up"];
            let plain = text.strip_prefix("exec ").unwrap_or(&text);
            if elsewhere && !alone.iter().any(|start| plain.starts_with(start)) {
                text = text.replacen("brick ", &format!("brick -C {} ", running.dir.display()), 1);
            }
        }
        let mut command = Command::new("sh");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.root.path().join("bin")).chain(std::env::split_paths(&inherited));
        command
            .args(["-ec", &text])
            .current_dir(if text.starts_with("cargo ") {
                workspace()
            } else {
                self.here.clone()
            })
            .env(
                "PATH",
                std::env::join_paths(folders).expect("paths can be joined"),
            )
            .env("CARGO_TARGET_DIR", crate::target_dir())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG");
        command
    }

    async fn shell(&self, text: &str) -> Result<Done, String> {
        let mut process = Process::spawn(self.command(text));
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = process.ended() {
                return Ok(Done {
                    code: status.code(),
                    printed: process.all().await,
                });
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "it still runs after {} s: {}",
                    LIMIT.as_secs(),
                    process.told()
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Types it again until it shows what the page says.
    async fn look(&self, text: &str, typed: &Typed) -> Result<Done, String> {
        let deadline = Instant::now() + LOOK;
        loop {
            let done = self.shell(text).await?;
            if check(typed, &done).is_ok() || Instant::now() > deadline {
                return Ok(done);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Starts what does not end by itself, waits for its first line and interrupts it.
    async fn first_words_of(&self, text: &str) -> Result<Done, String> {
        // `exec`: the signal has to reach the command, not the shell.
        let mut process = Process::spawn(self.command(&format!("exec {text}")));
        let deadline = Instant::now() + LIMIT;
        while !process.stdout().contains('\n') && process.ended().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process.signal(Signal::INT);
        let code = process.end().await.code();
        Ok(Done {
            code,
            printed: process.all().await,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut running) = self.system.take() else {
            return;
        };
        let _ = crate::brick(&running.dir, &["down"]).output();
        if let Some(up) = &mut running.up {
            up.wait();
        }
    }
}

fn check(typed: &Typed, done: &Done) -> Result<(), String> {
    let Done { code, printed } = done;
    if *code != Some(typed.exit) {
        let ended = code.map_or("by a signal".to_owned(), |code| format!("with {code}"));
        return Err(format!(
            "it ended {ended}, expected {}; it said:\n{printed}",
            typed.exit
        ));
    }
    match typed.shows.iter().find(|shows| !printed.contains(*shows)) {
        Some(shows) => Err(format!("it does not show \"{shows}\" but:\n{printed}")),
        None => Ok(()),
    }
}

/// The addresses of edge and console, once `up` has told both.
fn addresses(told: &str) -> Option<(String, String)> {
    let (whole, _) = told.rsplit_once('\n')?;
    let of = |name: &str| {
        let mut lines = whole.lines().map(str::split_whitespace);
        lines.find_map(|mut words| {
            (words.next() == Some(name)).then(|| words.next().map(ToOwned::to_owned))?
        })
    };
    Some((of("edge")?, of("console")?))
}

/// `brick load` for two seconds, however long the page lets it run.
fn shortened(words: &[&str]) -> String {
    let mut words: Vec<&str> = words.to_vec();
    match words.iter().position(|word| *word == "--for") {
        Some(at) if at + 1 < words.len() => words[at + 1] = "2s",
        _ => words.extend(["--for", "2s"]),
    }
    words.join(" ")
}

/// `cargo test --release -p CRATE [FILTER]`: there is such a crate, and a test or module that the filter names.
fn well_formed_test(words: &[&str]) -> Result<Done, String> {
    let mut package = None;
    let mut filter = None;
    let mut rest = words[2..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "--release" => {}
            "-p" => package = rest.next(),
            word if !word.starts_with('-') && filter.is_none() => filter = Some(word),
            other => return Err(format!("`{other}` is not one of: --release, -p CRATE, a filter")),
        }
    }
    let package = package.ok_or("say which crate: `cargo test --release -p CRATE`")?;
    let folder = crate_folder(&workspace(), package)
        .ok_or_else(|| format!("there is no crate {package} in the workspace"))?;
    let fine = match filter {
        None => true,
        Some(filter) => names_a_test(&folder, filter.rsplit("::").next().unwrap_or(filter)),
    };
    match fine {
        true => Ok(Done {
            code: Some(0),
            ..Done::default()
        }),
        false => Err(format!(
            "no test of {package} has \"{}\" in its name",
            filter.unwrap_or_default()
        )),
    }
}

fn crate_folder(root: &Path, package: &str) -> Option<PathBuf> {
    let line = format!("name = \"{package}\"");
    let shelves = ["brick", "mortar", "systems", "tests"].map(|shelf| root.join(shelf));
    let folders = shelves.iter().filter_map(|shelf| std::fs::read_dir(shelf).ok());
    let mut folders = folders
        .flat_map(|shelf| shelf.flatten().map(|entry| entry.path()))
        .chain([root.join("xtask")]);
    folders.find(|folder| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|own| own == line)
    })
}

/// Whether a test function, or a file with tests, below the folder has this in its name.
fn names_a_test(folder: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return names_a_test(&path, name);
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            return false;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let tested = text.contains("test]") || text.contains("::test(");
        let function = |line: &str| {
            line.split_once("fn ")
                .is_some_and(|(_, rest)| rest.contains(name))
        };
        tested && (stem.contains(name) || text.lines().any(function))
    })
}

/// Runs the builds that the copy of one of our systems asks for in that system's own folder; equal ones once.
fn build(copy: &Path, system: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(copy.join("brick.toml")).unwrap_or_default();
    let mut commands: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("build = \"")?.split('"').next())
        .collect();
    commands.sort_unstable();
    commands.dedup();
    for command in commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(system)
            .output()
            .map_err(|error| format!("cannot run sh: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "`{command}` failed in {}: {}",
                system.display(),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    Ok(())
}
