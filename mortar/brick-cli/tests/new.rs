//! A newcomer's first minutes, with real processes: `brick new`, the tests that come along, `brick up`, a request, a
//! changed handler that is seen.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use brick_wire::Client;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything here may take before it counts as broken.
const LIMIT: Duration = Duration::from_secs(60);

/// A new system in a folder of its own; dropping it stops what runs.
struct New {
    folder: PathBuf,
    /// Takes the folder away in the end.
    _temporary: Option<TempDir>,
    /// Where cargo builds; in the system's own folder unless said.
    target: Option<PathBuf>,
}

impl New {
    fn make(lang: &str, template: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let new = Self {
            folder: temporary.path().to_owned(),
            _temporary: Some(temporary),
            target: None,
        };
        new.made(lang, template)
    }

    /// In Rust, built where this test was built: what the SDK stands on is compiled there already. The folder is always
    /// the same, so that what cargo keeps of the system does not grow.
    fn make_in_rust() -> Self {
        let target = Path::new(env!("CARGO_BIN_EXE_brick"))
            .ancestors()
            .nth(2)
            .expect("the target folder")
            .to_owned();
        let folder = target.join("newcomer");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let new = Self {
            folder,
            _temporary: None,
            target: Some(target),
        };
        new.made("rust", "blank")
    }

    fn made(self, lang: &str, template: &str) -> Self {
        let at = self.folder.to_string_lossy();
        let made = brick(
            &["-C", &at, "new", "hello", "--lang", lang, "--template", template],
            None,
        );
        assert!(made.status.success(), "{}", told(&made));
        self
    }

    fn dir(&self) -> PathBuf {
        self.folder.join("hello")
    }

    fn brick(&self, arguments: &[&str]) -> Output {
        let dir = self.dir();
        let at = dir.to_string_lossy();
        let arguments = [&["-C", &at], arguments].concat();
        brick(&arguments, self.target.as_deref())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.brick(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", told(&output)))
    }

    /// Starts the system on free ports; answers its edge.
    fn up(&self) -> String {
        let up = self.brick(&["up", "--detach", "--edge", "127.0.0.1:0", "--console", "0"]);
        assert!(up.status.success(), "{}", told(&up));
        self.json(&["status"])["edge_url"]
            .as_str()
            .expect("an edge")
            .to_owned()
    }
}

impl Drop for New {
    fn drop(&mut self) {
        self.brick(&["down"]);
    }
}

fn brick(arguments: &[&str], target: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brick"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("CARGO_TARGET_DIR")
        .envs(target.map(|target| ("CARGO_TARGET_DIR", target)))
        .stdin(Stdio::null());
    command.output().expect("brick runs")
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs the tests of the new system as its README says.
fn own_tests(dir: &Path, command: &[&str]) {
    let mut tests = Command::new(command[0]);
    tests.args(&command[1..]).current_dir(dir).stdin(Stdio::null());
    let output = tests
        .output()
        .unwrap_or_else(|error| panic!("{} is needed: {error}", command[0]));
    assert!(output.status.success(), "{}", told(&output));
}

/// Asks until the answer is what is expected, or the time is over.
async fn eventually(what: &str, url: &str, expected: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = Client::new().get(url).json::<Value>().await;
        match &answer {
            Ok(value) if expected(value) => return,
            _ => assert!(Instant::now() < deadline, "waited in vain for {what}: {answer:?}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn walk(lang: &str, tests: &[&str], handler: &str) {
    let new = New::make(lang, "blank");
    own_tests(&new.dir(), tests);
    change(&new, handler).await;
}

/// Starts it, changes the handler, and sees it in the answers.
async fn change(new: &New, handler: &str) {
    let edge = new.up();
    let url = format!("{edge}/hello?name=Ann");
    eventually("a greeting", &url, |value| value["message"] == "Hello, Ann!").await;

    let path = new.dir().join(handler);
    let text = std::fs::read_to_string(&path).expect("the handler");

    let changed = text.replacen("{name}!", "{name}, well met!", 1);
    assert_ne!(text, changed);
    std::fs::write(&path, changed).expect("the handler is written");
    let roll = new.brick(&["roll", "hello"]);
    assert!(roll.status.success(), "{}", told(&roll));
    eventually("the changed handler", &url, |value| {
        value["message"] == "Hello, Ann, well met!"
    })
    .await;
}

#[tokio::test]
async fn a_new_brick_in_python_runs_and_a_changed_handler_is_seen() {
    walk("python", &["python3", "-m", "unittest"], "hello.py").await;
}

#[tokio::test]
async fn a_new_brick_in_node_runs_and_a_changed_handler_is_seen() {
    walk("node", &["node", "--test"], "hello.js").await;
}

#[tokio::test]
async fn a_new_brick_in_rust_is_built_runs_and_a_changed_handler_is_seen() {
    change(&New::make_in_rust(), "src/main.rs").await;
}

#[tokio::test]
async fn a_new_shop_sells_and_new_events_arrive() {
    let shop = New::make("python", "shop");
    own_tests(&shop.dir(), &["python3", "-m", "unittest"]);
    shop.up();
    let load = shop.json(&["load", "order", "--rps", "20", "--for", "1s"]);
    assert_eq!(
        (&load["rounds"], &load["errors"]),
        (&20.into(), &0.into()),
        "{load}"
    );
    drop(shop);
    let events = New::make("node", "events");
    own_tests(&events.dir(), &["node", "--test"]);
    let edge = events.up();
    let order = serde_json::json!({ "item": "lamp", "email": "ann@example.org" });
    let client = Client::new();
    let placed = client
        .post(format!("{edge}/api/orders"))
        .json_body(&order)
        .send()
        .await
        .expect("an answer");
    assert_eq!(placed.status.as_u16(), 202);
    let url = format!("{edge}/api/mails");
    eventually("the mail", &url, |value| {
        value["items"][0]["email"] == "ann@example.org"
    })
    .await;
}
