//! A Spring Boot application that knows nothing of Brickwork, in a real system: it reads its configuration, registers,
//! is called, calls, and goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use acceptance_tests::process::Process;
use acceptance_tests::{Folder, System, eventually, target_dir};
use brick_wire::Client;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

const MANIFEST: &str = r#"
brickwork = 1

[system]
name = "post"

[config_repository]
url = "config-repo"

[brick.desk]
run = "python3 desk.py"
health = { path = "/health" }
needs = ["depot"]
proxy = true

[brick.stamp]
run = "python3 stamp.py"
health = { path = "/" }
replicas = 2

[brick.depot]
registers = true

[config.depot]
shelf = { label = "of the manifest", rows = 3 }

[route.desk]
match = "/**"
to = "desk"
auth = "public"
"#;
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The folder with its bricks and an empty configuration repository.
fn folder() -> Folder {
    let folder = Folder::with_manifest(MANIFEST);
    for (name, text) in [
        ("desk.py", include_str!("proxy/desk.py")),
        ("stamp.py", include_str!("proxy/stamp.py")),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let repository = folder.path().join("config-repo");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q", "-b", "main"]);
    commit(&folder, "shelf.label: empty\n");
    folder
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=ann", "-c", "user.email=ann@post.test"]);
    let done = git
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .status();
    assert!(done.unwrap().success(), "git {arguments:?}");
}

/// Commits what the repository says of the application.
fn commit(folder: &Folder, depot: &str) {
    let repository = folder.path().join("config-repo");
    std::fs::write(repository.join("depot.yml"), depot).unwrap();
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "what the depot is told"]);
}

/// Runs a command that works; what it said.
fn run(system: &System, arguments: &[&str]) -> String {
    let output = system.folder().run(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How the application is started: with the console's address, and a registered client's name and secret.
async fn spring(system: &System) -> impl Fn(&str) -> Process {
    let wish = json!({ "id": "depot", "scopes": ["register:depot", "config:app:depot"] });
    let client = system
        .operator(Method::POST, "/api/identity/v1/clients", Some(&wish))
        .await;
    let client: Value = client.json().unwrap();
    let secret = client["client_secret"].as_str().unwrap().to_owned();
    let issued = system.agent_call("/v1/token", &json!({})).await;
    let admin = issued["admin_url"].as_str().unwrap();
    let admin = admin.trim_start_matches("http://").to_owned();
    move |name| {
        let mut command = Command::new("java");
        command
            .args([
                "-Xmx192m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Xshare:auto",
            ])
            .arg("-jar")
            .arg(jar())
            .env("DEPOT", name)
            .env("BRICKWORK", &admin)
            .env("BRICKWORK_CLIENT", "depot")
            .env("BRICKWORK_SECRET", &secret);
        Process::spawn(command)
    }
}

/// The instance of the application with this name, as `brick ps` shows it.
fn row(system: &System, name: &str) -> Option<Value> {
    system.ps().into_iter().find(|row| row["outsider"] == name)
}

/// Waits until the application takes requests; its address.
async fn joined(system: &System, process: &mut Process, name: &str) -> String {
    // One after the other: each has its own time.
    process.says("Fetching config from server at").await;
    process.says("Tomcat initialized").await;
    process.says("Started Depot").await;
    let row = eventually("the application to be registered", || async {
        row(system, name).filter(|row| row["state"] == "ready")
    })
    .await;
    assert_eq!(
        (&row["brick"], &row["joined"], &row["pid"]),
        (&json!("depot"), &json!("eureka"), &Value::Null)
    );
    format!("http://{}", row["addr"].as_str().unwrap())
}

async fn get(url: &str) -> Value {
    let answer = Client::new().get(url).send().await.unwrap();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// What `desk` gets where it asks for `http://depot.brick/hello`: the ports of those that answer.
async fn answering(system: &System) -> Option<BTreeSet<String>> {
    let mut ports = BTreeSet::new();
    for _ in 0..8 {
        let url = format!("{}/at/depot.brick/hello", system.edge);
        let answer = Client::new().get(url).send().await.unwrap();
        if answer.status != 200 {
            return None;
        }
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        ports.insert(told.strip_prefix("depot ")?.to_owned());
    }
    Some(ports)
}

/// Has the application read its configuration again; the keys that it found changed.
async fn refresh(depot: &str) -> BTreeSet<String> {
    let url = format!("{depot}/actuator/refresh");
    let keys: Vec<String> = Client::new()
        .post(url)
        .json_body(&json!({}))
        .json()
        .await
        .unwrap();
    keys.into_iter().filter(|key| key.starts_with("shelf")).collect()
}

/// The repository's values, a secret among them, then a change of the repository, then a live change.
async fn takes_its_configuration(system: &System, depot: &str) {
    let expected =
        json!({ "label": "of the repository", "rows": 3, "goods": ["parcels", "letters"], "pin": "0042" });
    assert_eq!(get(&format!("{depot}/shelf")).await, expected);
    commit(system.folder(), "shelf.label: newer\n");
    run(system, &["config", "repository", "--refresh"]);
    let changed = refresh(depot).await;
    assert!(
        changed.contains("shelf.label") && changed.contains("shelf.pin"),
        "{changed:?}"
    );
    let shelf = get(&format!("{depot}/shelf")).await;
    assert_eq!((&shelf["label"], &shelf["rows"]), (&json!("newer"), &json!(3)));
    run(
        system,
        &["config", "set", "depot.shelf.rows=7", "--why", "a test"],
    );
    assert_eq!(refresh(depot).await, BTreeSet::from(["shelf.rows".to_owned()]));
    assert_eq!(get(&format!("{depot}/shelf")).await["rows"], 7);
}

/// Its client knows both instances of a brick of ours, and its balancer calls both.
async fn calls_a_brick(system: &System, depot: &str) {
    let known = eventually("the application to know both instances", || async {
        let known = get(&format!("{depot}/instances/stamp")).await;
        (known.as_array()?.len() == 2).then_some(known)
    })
    .await;
    let ids: BTreeSet<&str> = known
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids, BTreeSet::from(["stamp-1", "stamp-2"]));
    let slot = known[0]["metadata"]["brick.slot"].as_str().unwrap();
    assert!(slot.starts_with("stamp/"), "{known}");
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        let answer = get(&format!("{depot}/ask/stamp")).await;
        seen.insert(answer["instance"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    run(system, &["quarantine", "stamp/1", "--why", "a test"]);
    eventually(
        "the application to leave the instance in quarantine alone",
        || async {
            for _ in 0..4 {
                let answer = get(&format!("{depot}/ask/stamp")).await;
                if answer["instance"] != "stamp/2" {
                    return None;
                }
            }
            Some(())
        },
    )
    .await;
}

/// Whether the application is there to be started; in CI it has to be.
fn is_built() -> bool {
    let built = jar().is_file() && Command::new("java").arg("-version").output().is_ok();
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    let why = "the Spring Boot application is not built; run `cargo xtask setup`";
    assert!(built || !in_ci, "in CI a skipped test is a failure: {why}");
    if !built {
        eprintln!("SKIPPED: {why}");
    }
    built
}

fn jar() -> PathBuf {
    target_dir().join("tools/spring/depot.jar")
}

#[tokio::test]
async fn a_spring_boot_application_is_configured_joins_is_called_calls_and_leaves() {
    if !is_built() {
        return;
    }
    let folder = folder();
    let mut up = folder.up_command();
    up.env("ENCRYPT_KEY", KEY);
    let system = folder.up_by(up);
    let pin = run(&system, &["config", "encrypt", "depot.shelf.pin=0042"]);
    commit(
        system.folder(),
        &format!("shelf:\n  label: of the repository\n  goods: [parcels, letters]\n  pin: '{pin}'\n"),
    );
    run(&system, &["config", "repository", "--refresh"]);
    assert_eq!(answering(&system).await, None, "nobody is there yet");

    let start = spring(&system).await;
    let (mut first, mut second) = (start("depot-a"), start("depot-b"));
    let depot = joined(&system, &mut first, "depot-a").await;
    let other = joined(&system, &mut second, "depot-b").await;
    let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
    let both = BTreeSet::from([port(&depot), port(&other)]);
    eventually("both to be called by their name", || async {
        (answering(&system).await? == both).then_some(())
    })
    .await;
    takes_its_configuration(&system, &depot).await;
    calls_a_brick(&system, &depot).await;

    second.signal(Signal::KILL);
    eventually("the one that was killed to be gone", || async {
        row(&system, "depot-b").is_none().then_some(())
    })
    .await;
    eventually("the one that is left to be called alone", || async {
        (answering(&system).await? == BTreeSet::from([port(&depot)])).then_some(())
    })
    .await;
    first.signal(Signal::TERM);
    first.end().await;
    assert_eq!(
        row(&system, "depot-a"),
        None,
        "it said that it left before it ended"
    );
    eventually("nobody to be called", || async {
        answering(&system).await.is_none().then_some(())
    })
    .await;
}
