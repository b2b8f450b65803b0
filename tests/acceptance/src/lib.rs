//! Shared harness of the acceptance tests: a real system of real processes in a folder of its own.
//!
//! Every test gets its own copy of a system, its own ports and its own `.brickwork`; dropping a [`System`] takes all
//! its processes down.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brick_wire::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take before it counts as broken.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// Cargo's target folder of this build.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The `brick` command in a folder, with the environment that tests want.
pub fn brick(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(target_dir().join("release/brick"));
    command.arg("-C").arg(dir).args(arguments);
    command
        .env("CARGO_TARGET_DIR", target_dir())
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG");
    command.stdin(Stdio::null());
    command
}

/// Polls until `probe` gives something, or fails the test after [`LIMIT`] with what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain for: {what}",
            LIMIT.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder with a system, nothing running in it.
#[derive(Debug)]
pub struct Folder {
    dir: TempDir,
}

/// A system that runs.
#[derive(Debug)]
pub struct System {
    folder: Folder,
    agent: Child,
    /// What the agent wrote to stderr so far.
    pub told: Arc<Mutex<String>>,
    /// Address of the edge.
    pub edge: String,
    /// Address of the console with its one-time code.
    pub console: String,
}

impl Folder {
    /// A copy of a system of this repository.
    pub fn copy_of(system: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        copy(&workspace().join("systems").join(system), dir.path());
        Self { dir }
    }

    /// A folder with just this manifest.
    pub fn with_manifest(manifest: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("brick.toml"), manifest).expect("the manifest is written");
        Self { dir }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `brick` here to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        brick(self.path(), arguments)
            .output()
            .expect("brick can be run; is it built?")
    }

    /// Runs `brick … --format json` here and reads what it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            let told = String::from_utf8_lossy(&output.stderr);
            panic!(
                "`brick {}` printed no JSON ({error}): {text}{told}",
                arguments.join(" ")
            )
        })
    }

    /// Starts the system on free ports without building, and waits until it says that it is ready.
    pub fn up(self) -> System {
        let (agent, told, stdout) = spawn_up(self.path());
        let mut system = System {
            folder: self,
            agent,
            told,
            edge: String::new(),
            console: String::new(),
        };
        system.read_addresses(stdout);
        system
    }
}

fn spawn_up(dir: &Path) -> (Child, Arc<Mutex<String>>, BufReader<std::process::ChildStdout>) {
    let mut command = brick(
        dir,
        &["up", "--no-build", "--edge", "127.0.0.1:0", "--console", "0"],
    );
    let mut agent = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("brick can be run");
    let told = Arc::new(Mutex::new(String::new()));
    let stdout = BufReader::new(agent.stdout.take().expect("stdout is piped"));
    let mut stderr = agent.stderr.take().expect("stderr is piped");
    let sink = Arc::clone(&told);
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            sink.lock()
                .expect("nobody panics here")
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    (agent, told, stdout)
}

impl System {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Process id of the agent.
    pub fn agent_pid(&self) -> u32 {
        self.agent.id()
    }

    fn read_addresses(&mut self, stdout: BufReader<std::process::ChildStdout>) {
        let mut lines = stdout.lines();
        while self.edge.is_empty() || self.console.is_empty() {
            let Some(Ok(line)) = lines.next() else {
                panic!(
                    "`brick up` ended before it was ready:\n{}",
                    self.told.lock().expect("nobody panics here")
                );
            };
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["edge", address] => self.edge = address.to_owned(),
                ["console", address] => self.console = address.to_owned(),
                _ => {}
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// `brick ps`.
    pub fn ps(&self) -> Vec<Value> {
        self.folder.json(&["ps"]).as_array().cloned().unwrap_or_default()
    }

    /// The row of one instance.
    pub fn instance(&self, name: &str) -> Value {
        self.ps()
            .into_iter()
            .find(|row| row["instance"] == name)
            .unwrap_or_default()
    }

    /// Kills the agent alone, as a crash would, and starts a new one in the same folder.
    pub fn crash_and_restart_agent(&mut self) {
        self.agent.kill().expect("the agent can be killed");
        self.agent.wait().expect("the agent is reaped");
        let (agent, told, stdout) = spawn_up(self.folder.path());
        (self.agent, self.told) = (agent, told);
        (self.edge, self.console) = (String::new(), String::new());
        self.read_addresses(stdout);
    }

    /// Sends SIGTERM to the agent and waits until it has stopped everything.
    pub fn stop(&mut self) {
        signal(self.agent.id(), rustix::process::Signal::TERM);
        let _ = self.agent.wait();
    }

    /// Signs a new customer up through the edge; answers their token.
    pub async fn sign_up(&self, name: &str) -> String {
        let form = json!({ "email": format!("{name}@example.org"), "name": name, "address": "1 Kiln Lane",
            "password": "a good password" });
        let url = format!("{}/api/customers", self.edge);
        let answer: Value = Client::new()
            .post(url)
            .json_body(&form)
            .json()
            .await
            .expect("the sign-up works");
        answer["token"]
            .as_str()
            .expect("the answer has a token")
            .to_owned()
    }

    /// The first product of the catalogue.
    pub async fn product(&self) -> Value {
        let url = format!("{}/api/products?limit=1", self.edge);
        let page: Value = Client::new()
            .get(url)
            .json()
            .await
            .expect("the catalogue answers");
        page["items"][0].clone()
    }

    /// Orders one piece of a product.
    pub async fn order(&self, token: &str, product: &str) -> Result<Value, brick_wire::Error> {
        let wish = json!({ "lines": [{ "product_id": product, "quantity": 1 }] });
        let client = Client::new();
        client
            .post(format!("{}/api/orders", self.edge))
            .bearer(token)
            .json_body(&wish)
            .json()
            .await
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if matches!(self.agent.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether a process is there (and no zombie).
pub fn alive(pid: u64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from)
        .expect("the system's folder can be read")
        .flatten()
    {
        let name = entry.file_name();
        if name == ".brickwork" || name == "target" || name == "__pycache__" {
            continue;
        }
        let target = to.join(&name);
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).expect("a folder can be made");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
