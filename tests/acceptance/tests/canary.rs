//! Canaries of real processes under load: what is worse takes itself back before many notice, what is good is promoted,
//! nobody changes version twice, and a killed instance is left alone.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use acceptance_tests::{Folder, System, eventually, signal};
use brick_bus::pool::bucket;
use brick_wire::Client;
use http::{HeaderName, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const USERS: usize = 1_000;
/// Users in the first percent of the keys; they ask more often than others, so that less load is enough.
const FIRST: usize = 9;
const CALLERS: usize = 16;
const FIELD: HeaderName = HeaderName::from_static("x-user");

/// One user: the versions that they were answered by, without repetition, and how often they saw an error.
#[derive(Debug, Default)]
struct User {
    name: String,
    versions: Vec<String>,
    errors: usize,
}

/// Users who ask all the time.
struct Users {
    stopping: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<User>>>,
}

impl Users {
    /// Each caller asks for users of its own, so that the answers of one user come in order.
    fn start(edge: &str) -> Self {
        let names = (0..).map(|number| format!("user-{number}"));
        let (mut first, mut rest): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for name in names {
            let early = bucket("kiln", &name) < 100;
            match early {
                true if first.len() < FIRST => first.push(name),
                false if rest.len() < USERS - FIRST => rest.push(name),
                _ => {}
            }
            if first.len() + rest.len() == USERS {
                break;
            }
        }
        let (stopping, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = (0..CALLERS).map(|caller| {
            let own = |names: &[String]| -> Vec<User> {
                let own = names.iter().skip(caller).step_by(CALLERS);
                own.map(|name| User {
                    name: name.clone(),
                    ..User::default()
                })
                .collect()
            };
            let (first, rest) = (own(&first), own(&rest));
            let url = format!("{edge}/x");
            tokio::spawn(ask(url, first, rest, Arc::clone(&stopping), Arc::clone(&asked)))
        });
        Self {
            callers: callers.collect(),
            stopping,
            asked,
        }
    }

    async fn asked(&self, more: usize) {
        let from = self.asked.load(Ordering::Relaxed);
        eventually("the users", || async {
            (self.asked.load(Ordering::Relaxed) >= from + more).then_some(())
        })
        .await;
    }

    async fn stop(self) -> Vec<User> {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for caller in self.callers {
            all.extend(caller.await.unwrap());
        }
        all
    }
}

fn pick(users: &mut [User], turn: usize) -> &mut User {
    let place = turn % users.len();
    &mut users[place]
}

async fn ask(
    url: String,
    mut first: Vec<User>,
    mut rest: Vec<User>,
    stopping: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) -> Vec<User> {
    let client = Client::new();
    for turn in 0_usize.. {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        let user = match turn.is_multiple_of(8) && !first.is_empty() {
            true => pick(&mut first, turn / 8),
            false => pick(&mut rest, turn),
        };
        let sent = client.get(url.as_str()).header(FIELD, &user.name).send().await;
        match sent {
            Ok(answer) if answer.status.as_u16() == 200 => {
                let version = String::from_utf8_lossy(&answer.body).into_owned();
                if user.versions.last() != Some(&version) {
                    user.versions.push(version);
                }
            }
            _ => user.errors += 1,
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    first.into_iter().chain(rest).collect()
}

/// A kiln with a second version that fails once in so many times (0 is never) and takes so long.
async fn kilns(fail_every: u32, base_ms: u32, other_ms: u32) -> System {
    let program = env!("CARGO_BIN_EXE_acceptance-brick");
    let manifest = format!(
        "brickwork = 1\n[system]\nname = \"small\"\n[route.all]\nmatch = \"/**\"\nto = \"kiln\"\nauth = \"public\"\n\
         [brick.kiln]\nrun = \"{program} measured 0 {base_ms}\"\nhealth = {{ path = \"/health\" }}\n\
         [brick.kiln.version]\nbase = \"v1\"\n\
         [brick.kiln.version.v2]\nrun = \"{program} measured {fail_every} {other_ms}\"\nreplicas = 1\n"
    );
    let system = Folder::with_manifest(&manifest).up();
    eventually("both versions", || async {
        (system.instance("kiln@v2/1")["state"] == "ready").then_some(())
    })
    .await;
    let nothing = json!({ "rules": [], "weights": { "v2": 0 }, "sticky": "header:x-user" });
    let answer = system
        .operator(Method::PUT, "/api/pools/v1/kiln", Some(&nothing))
        .await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    system
}

async fn begin(system: &System, steps: Value) {
    let wanted = json!({ "version": "v2", "steps": steps, "hold_ms": 1_000 });
    let answer = system
        .operator(Method::POST, "/api/canaries/v1/kiln", Some(&wanted))
        .await;
    assert!(
        answer.status.is_success(),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}

/// Waits until the canary is as wanted; control may be just coming back.
async fn canary(system: &System, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually("the canary to come so far", || async {
        let output = system.folder().run(&["canary", "--format", "json"]);
        let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Some(all[0].clone()).filter(&wanted)
    })
    .await
}

fn over(canary: &Value) -> bool {
    canary["phase"].as_str().is_some_and(|phase| phase != "running")
}

/// Of a version that is worse: it took itself back in its first step, and this is whom it met.
async fn takes_itself_back(system: &System) -> Vec<User> {
    let users = Users::start(&system.edge);
    users.asked(100).await;
    begin(system, json!([1, 50, 100])).await;
    let over = canary(system, over).await;
    assert_eq!(
        (&over["phase"], &over["step"]),
        (&json!("aborted"), &json!(0)),
        "{over}"
    );
    users.asked(200).await;
    let users = users.stop().await;
    let met = users
        .iter()
        .filter(|user| user.versions.iter().any(|version| version == "v2"));
    let met = met.count();
    assert!(met > 0 && met * 100 < USERS, "{met} of {USERS} users met it");
    for user in &users {
        let path: Vec<&str> = user.versions.iter().map(String::as_str).collect();
        let fits = matches!(
            path[..],
            [] | ["v1"] | ["v2"] | ["v1", "v2"] | ["v1", "v2", "v1"] | ["v2", "v1"]
        );
        assert!(fits, "{user:?}");
        assert!(path.contains(&"v2") || user.errors == 0, "{user:?}");
    }
    users
}

#[tokio::test]
async fn a_version_of_which_one_call_in_twenty_fails_is_met_by_less_than_a_percent_of_the_users() {
    let users = takes_itself_back(&kilns(20, 0, 0).await).await;
    assert!(users.iter().any(|user| user.errors > 0), "it did fail");
}

#[tokio::test]
async fn a_version_three_times_slower_is_met_by_less_than_a_percent_of_the_users() {
    takes_itself_back(&kilns(0, 40, 120).await).await;
}

#[tokio::test]
async fn a_good_version_is_promoted_over_a_death_of_control_and_nobody_goes_back() {
    let system = kilns(0, 0, 0).await;
    let users = Users::start(&system.edge);
    users.asked(100).await;
    begin(&system, json!([1, 50, 100])).await;
    canary(&system, |canary| canary["step"] == 1).await;
    let pid = system.instance("control/1")["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), Signal::KILL);
    let over = canary(&system, over).await;
    assert_eq!(over["phase"], "promoted", "{over}");
    users.asked(2 * USERS).await;
    for user in users.stop().await {
        let path: Vec<&str> = user.versions.iter().map(String::as_str).collect();
        assert!(
            matches!(path[..], ["v2"] | ["v1", "v2"]) && user.errors == 0,
            "{user:?}"
        );
    }
}

#[tokio::test]
async fn a_killed_instance_gets_no_new_request_a_second_later() {
    let program = env!("CARGO_BIN_EXE_acceptance-brick");
    let folder = tempfile::tempdir().unwrap();
    let once = folder.path().join("once");
    let manifest = format!(
        "brickwork = 1\n[system]\nname = \"small\"\n[route.all]\nmatch = \"/**\"\nto = \"kiln\"\nauth = \"public\"\n\
         [brick.kiln]\nrun = \"{program} measured 0 0\"\nhealth = {{ path = \"/health\" }}\n\
         [brick.kiln.version]\nbase = \"v1\"\n\
         [brick.kiln.version.v2]\nrun = \"{program} measured 0 0 {}\"\nreplicas = 1\n",
        once.display()
    );
    let system = Folder::with_manifest(&manifest).up();
    let row = eventually("both", || async {
        Some(system.instance("kiln@v2/1")).filter(|row| row["state"] == "ready")
    })
    .await;
    let users = Users::start(&system.edge);
    users.asked(500).await;
    eventually("requests at the one that is killed", || async {
        (crate::versions::counted(&row).await > 0).then_some(())
    })
    .await;
    signal(u32::try_from(row["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
    let killed = Instant::now();
    let port = u16::try_from(row["port"].as_u64().unwrap()).unwrap();
    // What the agent starts in its place ends before it serves, so the port is free for one who listens.
    let listener = eventually("the port", || async {
        TcpListener::bind(("127.0.0.1", port)).ok()
    })
    .await;
    listener.set_nonblocking(true).unwrap();
    eventually("a second", || async {
        (killed.elapsed() >= Duration::from_secs(1)).then_some(())
    })
    .await;
    // Requests of the first moments may have reached this listener, which answers nothing, before the edge was told.
    let mut trapped = 0;
    while listener.accept().is_ok() {
        trapped += 1;
    }
    users.asked(2_000).await;
    assert!(listener.accept().is_err(), "somebody still calls it");
    let (mut met, mut errors) = (0, 0);
    for user in users.stop().await {
        met += usize::from(user.versions.iter().any(|version| version == "v2"));
        errors += user.errors;
    }
    assert!(met > 0, "it had requests before");
    assert!(
        errors <= trapped,
        "what was under way in it was asked of the other, but {errors} failed, and this test took {trapped} connections"
    );
}
