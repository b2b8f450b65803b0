//! Shared harness of the acceptance tests: a real system of real processes in a folder of its own.
//!
//! Every test gets its own copy of a system, its own ports and its own `.brickwork`; dropping a [`System`] takes all
//! its processes down.

pub mod pages;
pub mod process;
pub mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use brick_wire::{Client, Response};
use http::Method;
use process::Process;
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
    // Before the folder: what runs in it is stopped before it goes.
    agent: Process,
    folder: Folder,
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

    /// Writes the manifest anew.
    pub fn rewrite(&self, manifest: &str) {
        std::fs::write(self.path().join("brick.toml"), manifest).expect("the manifest is written");
    }

    /// `brick up` on free ports, without building.
    pub fn up_command(&self) -> Command {
        brick(
            self.path(),
            &["up", "--no-build", "--edge", "127.0.0.1:0", "--console", "0"],
        )
    }

    /// Starts the system on free ports without building, and waits until it says that it is ready.
    pub fn up(self) -> System {
        let command = self.up_command();
        self.up_by(command)
    }

    /// Starts the system by this command, and waits until it says that it is ready.
    pub fn up_by(self, command: Command) -> System {
        let mut system = System {
            agent: Process::spawn(command),
            folder: self,
            edge: String::new(),
            console: String::new(),
        };
        system.read_addresses();
        system
    }
}

impl Drop for Folder {
    /// Nothing outlives its folder, also where a test failed with a detached system.
    fn drop(&mut self) {
        if self.path().join(".brickwork/agent.sock").exists() {
            let _ = brick(self.path(), &["down"]).output();
        }
    }
}

impl System {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The agent, as the process that `brick up` is.
    pub fn agent(&mut self) -> &mut Process {
        &mut self.agent
    }

    fn read_addresses(&mut self) {
        let deadline = Instant::now() + LIMIT;
        while self.edge.is_empty() || self.console.is_empty() {
            let ended = self.agent.ended().is_some();
            let told = self.agent.stdout();
            let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines() {
                match line.split_whitespace().collect::<Vec<_>>()[..] {
                    ["edge", address] => self.edge = address.to_owned(),
                    ["console", address] => self.console = address.to_owned(),
                    _ => {}
                }
            }
            let late = Instant::now() > deadline;
            assert!(
                !(late || ended) || !self.console.is_empty(),
                "`brick up` was not ready in time:\n{}",
                self.agent.told()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A GET of JSON from a path of the admin listener, as the operator.
    pub async fn admin(&self, path: &str) -> Value {
        let answer = self.operator(Method::GET, path, None).await;
        let answer = answer.success().and_then(|answer| answer.json());
        answer.unwrap_or_else(|error| panic!("{path} does not answer: {error}"))
    }

    /// A request of the operator to a path of the admin listener.
    pub async fn operator(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let issued = self.agent_call("/v1/token", &json!({})).await;
        let of = |key: &str| issued[key].as_str().unwrap_or_default().to_owned();
        let client = Client::new();
        let call = client.call(method, format!("{}{path}", of("admin_url")));
        let call = call.bearer(&of("token")).bytes_max(64 * 1024 * 1024);
        let call = match body {
            Some(body) => call.json_body(body),
            None => call,
        };
        let sent = call.send().await;
        sent.unwrap_or_else(|error| panic!("{path} does not answer: {error}"))
    }

    /// A POST to the agent's socket.
    pub async fn agent_call(&self, path: &str, body: &Value) -> Value {
        let agent = Client::unix(self.folder.path().join(".brickwork/agent.sock"));
        let call = agent.post(format!("http://agent{path}")).json_body(body);
        let answer = call.timeout(LIMIT).json().await;
        answer.unwrap_or_else(|error| panic!("the agent does not answer {path}: {error}"))
    }

    /// `brick ps`.
    pub fn ps(&self) -> Vec<Value> {
        self.folder.json(&["ps"]).as_array().cloned().unwrap_or_default()
    }

    /// The process of each instance.
    pub fn pids(&self) -> BTreeMap<String, u64> {
        let rows = self.ps().into_iter();
        rows.filter_map(|row| Some((row["instance"].as_str()?.to_owned(), row["pid"].as_u64()?)))
            .collect()
    }

    /// The row of one instance.
    pub fn instance(&self, name: &str) -> Value {
        self.ps()
            .into_iter()
            .find(|row| row["instance"] == name)
            .unwrap_or_default()
    }

    /// Kills the agent alone, as a crash would.
    pub fn crash_agent(&mut self) {
        self.agent.signal(rustix::process::Signal::KILL);
        self.agent.wait();
    }

    /// Starts a new agent in the same folder, after the end of the one before.
    pub fn restart_agent(&mut self) {
        self.agent = Process::spawn(self.folder.up_command());
        (self.edge, self.console) = (String::new(), String::new());
        self.read_addresses();
    }

    /// Sends SIGTERM to the agent and waits until it has stopped everything.
    pub fn stop(&mut self) {
        self.agent.signal(rustix::process::Signal::TERM);
        self.agent.wait();
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

/// Copies a folder without what runs and builds left in it.
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
