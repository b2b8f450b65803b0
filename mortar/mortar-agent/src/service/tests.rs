//! The agent end to end, with real processes. The platform and the bricks are this test binary itself: a script starts
//! it with the name of [`a_helper_plays_the_part_that_its_environment_names`], which then serves what its environment
//! says.

mod helper;
mod roll;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_core::drain;
use brick_model::Model;

use super::*;
use crate::api::{Apply, Kill, Ps, Scale};

const LIMIT: Duration = Duration::from_secs(60);

/// A folder with a manifest and a script that plays every part.
struct System {
    dir: tempfile::TempDir,
    script: PathBuf,
}

impl System {
    fn new(bricks: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("part");
        let exe = std::env::current_exe().unwrap();
        let test = "service::tests::a_helper_plays_the_part_that_its_environment_names";
        let text = format!(
            "#!/bin/sh\nexec '{}' --exact {test} --nocapture --quiet\n",
            exe.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let system = Self { dir, script };
        system.manifest(bricks);
        system
    }

    fn manifest(&self, bricks: &str) {
        let text = format!("brickwork = 1\n[system]\nname = \"test\"\n{bricks}");
        std::fs::write(self.dir.path().join("brick.toml"), text).unwrap();
    }

    fn options(&self) -> Options {
        let env = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())];
        let dir = self.dir.path().to_owned();
        let mut options = Options::new(dir.clone(), dir, self.script.clone(), env);
        options.edge = Some("127.0.0.1:0".parse().unwrap());
        options.console = Some(0);
        options
    }

    fn model(&self) -> Model {
        let loaded = Model::load(&self.dir.path().join("brick.toml"));
        loaded.map_err(|invalid| invalid.render(false)).unwrap().model
    }

    async fn open(&self) -> (Service, Handle) {
        Service::open(self.options(), self.model()).await.unwrap()
    }

    /// Processes that carry the mark of this system.
    fn processes(&self) -> usize {
        let mark = format!(
            "BRICK_SNAPSHOT_DIR={}/.brickwork/snapshots",
            self.dir.path().display()
        );
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let marked = all.filter(|entry| {
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environ
                .split(|b| *b == 0)
                .any(|variable| variable == mark.as_bytes())
        });
        marked.count()
    }

    fn shipped(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(".brickwork/state/shipped.txt")).unwrap_or_default()
    }
}

async fn until(what: &str, met: impl AsyncFn() -> bool) {
    let checked = async {
        while !met().await {
            let tick = tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>());
            tick.await.unwrap_err();
        }
    };
    tokio::time::timeout(LIMIT, checked).await.expect(what);
}

async fn ready(handle: &Handle) {
    let waited = tokio::time::timeout(LIMIT, handle.ready()).await;
    assert!(waited.is_ok(), "{:#?}\n{:#?}", handle.ps(), handle.past_events());
}

fn row(handle: &Handle, instance: &str) -> Ps {
    let found = handle.ps().into_iter().find(|ps| ps.instance == instance);
    found.unwrap_or_else(|| panic!("no {instance}"))
}

fn scale(of: &str, replicas: u32) -> Scale {
    Scale {
        brick: of.parse().unwrap(),
        version: None,
        replicas: Some(replicas),
    }
}

const TWO: &str =
    "[brick.product]\nrun = \"./part\"\n[brick.order]\nrun = \"./part\"\nneeds = [\"product\"]\n";

#[test]
fn a_helper_plays_the_part_that_its_environment_names() {
    helper::play();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_comes_up_heals_scales_and_goes_down_without_a_trace() {
    let system = System::new(TWO);
    let (service, handle) = system.open().await;
    let (trigger, drain) = drain::channel();
    let run = tokio::spawn(service.run(drain));
    ready(&handle).await;
    let told = async {
        let mut told = handle.events();
        let mut ready = 0;
        loop {
            match told.next().await.unwrap().kind {
                EventKind::Ready => ready += 1,
                EventKind::AllReady => return ready,
                _ => {}
            }
        }
    };
    // Only when every instance has been told to be ready, so is the system.
    assert_eq!(told.await, 5);
    let names: Vec<String> = handle.ps().into_iter().map(|ps| ps.instance).collect();
    assert_eq!(
        names,
        ["control/1", "gateway/1", "telemetry/1", "order/1", "product/1"]
    );
    let token = std::fs::read_to_string(system.dir.path().join(".brickwork/tokens/order.1.jwt")).unwrap();
    assert!(token.contains("bus call:product"), "{token}");

    // A kill: back at the same port, as another incarnation.
    let before = row(&handle, "order/1");
    let killed = handle
        .kill(Kill {
            instance: "order/1".to_owned(),
            signal: None,
        })
        .await
        .unwrap();
    assert_eq!(Some(killed.pid), before.pid);
    until("order/1 is back", async || {
        let now = row(&handle, "order/1");
        now.state == InstanceState::Ready && now.incarnation != before.incarnation
    })
    .await;
    let after = row(&handle, "order/1");
    assert_eq!((after.port, after.restarts), (before.port, 1));

    // Control dies: it gets the manifest again, and every instance stays known.
    handle
        .kill(Kill {
            instance: "control/1".to_owned(),
            signal: None,
        })
        .await
        .unwrap();
    until("control/1 is back", async || {
        row(&handle, "control/1").state == InstanceState::Ready && row(&handle, "control/1").restarts == 1
    })
    .await;
    until("its new life knows the instances", async || {
        let lines = handle.logs(Some("control"));
        let manifests = lines.iter().filter(|line| line.msg == "manifest").count();
        let last = lines.iter().rposition(|line| line.msg == "manifest").unwrap_or(0);
        let after: Vec<&str> = lines[last..].iter().map(|line| line.msg.as_str()).collect();
        manifests == 2 && after.contains(&"registered order/1") && after.contains(&"registered product/1")
    })
    .await;

    handle.scale(scale("order", 3)).await.unwrap();
    ready(&handle).await;
    let ports: std::collections::BTreeSet<u16> = handle.ps().iter().map(|ps| ps.port).collect();
    assert_eq!(ports.len(), 7);
    handle.scale(scale("order", 1)).await.unwrap();
    assert_eq!(handle.ps().len(), 5);
    let error = handle.scale(scale("ordr", 1)).await.unwrap_err();
    assert!(error.to_string().contains("did you mean \"order\"?"), "{error}");

    trigger.drain();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
    assert!(!system.dir.path().join(".brickwork/agent.sock").exists());
    let kinds: Vec<EventKind> = handle.past_events().iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::AllReady));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_version_has_slots_of_its_own_beside_the_base() {
    let system = System::new(
        "[brick.pay]\nrun = \"./part\"\n[brick.pay.version.v2]\nrun = \"./part\"\nenv = { LINES = \"1\" }\n\
         [brick.pay.version.v3]\nrun = \"./no-such-part\"\n",
    );
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let of_pay = || -> Vec<(String, String, InstanceState)> {
        let rows = handle.ps().into_iter().filter(|ps| ps.brick.as_str() == "pay");
        rows.map(|ps| (ps.instance, ps.version.to_string(), ps.state))
            .collect()
    };
    let row_of = |slot: &str, version: &str| (slot.to_owned(), version.to_owned(), InstanceState::Ready);
    assert_eq!(of_pay(), [row_of("pay/1", "v1")]);
    let changes = handle.scale(scale("pay@v2", 2)).await.unwrap().changes;
    assert_eq!(changes, ["pay@v2/1 is added", "pay@v2/2 is added"]);
    ready(&handle).await;
    assert_eq!(
        of_pay(),
        [
            row_of("pay/1", "v1"),
            row_of("pay@v2/1", "v2"),
            row_of("pay@v2/2", "v2")
        ]
    );
    let ports: std::collections::BTreeSet<u16> = handle.ps().iter().map(|ps| ps.port).collect();
    assert_eq!(ports.len(), 6);
    until("control knows it by its version", async || {
        let lines = handle.logs(Some("control"));
        lines.iter().any(|line| line.msg == "registered pay@v2/1")
    })
    .await;
    until("its lines are found by its name", async || {
        let lines = handle.logs(Some("pay@v2"));
        !lines.is_empty() && lines.iter().all(|line| line.instance.starts_with("pay@v2/"))
    })
    .await;
    let kill = Kill {
        instance: "pay@v2/1".to_owned(),
        signal: None,
    };
    handle.kill(kill).await.unwrap();
    until("it is back", async || row(&handle, "pay@v2/1").restarts == 1).await;
    ready(&handle).await;
    // The base by its label, and a version beside its brick, as control passes them on.
    assert_eq!(handle.scale(scale("pay@v1", 1)).await.unwrap().changes.len(), 0);
    let mut none = scale("pay", 0);
    none.version = Some("v2".parse().unwrap());
    handle.scale(none).await.unwrap();
    assert_eq!(of_pay(), [row_of("pay/1", "v1")]);
    let error = handle.scale(scale("pay@v9", 1)).await.unwrap_err().to_string();
    assert!(error.contains("pay has v1, v2, v3"), "{error}");
    let error = handle.scale(scale("pay@v3", 1)).await.unwrap_err().to_string();
    assert!(
        error.contains("brick pay@v3 needs the program `./no-such-part`"),
        "{error}"
    );
    handle.down();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
}

#[test]
fn a_killed_agent_leaves_everything_running_for_the_next_one() {
    let system = System::new(TWO);
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    // Dropping a runtime ends its tasks where they stand, as a kill does.
    let first = runtime();
    let (before, edge) = first.block_on(async {
        let (service, handle) = system.open().await;
        tokio::spawn(service.run(Drain::never()));
        ready(&handle).await;
        (handle.ps(), handle.edge_url())
    });
    first.shutdown_background();
    let second = runtime();
    second.block_on(async {
        until("the first agent let go of the folder", async || {
            Folder::of(system.dir.path()).lock().is_ok()
        })
        .await;
        let (service, handle) = system.open().await;
        assert_eq!(handle.edge_url(), edge);
        let (trigger, drain) = drain::channel();
        let run = tokio::spawn(service.run(drain));
        ready(&handle).await;
        let of = |rows: Vec<Ps>| -> Vec<_> {
            rows.into_iter()
                .map(|ps| (ps.instance, ps.pid, ps.port, ps.incarnation))
                .collect()
        };
        assert!(handle.ps().iter().all(|ps| ps.adopted), "{:#?}", handle.ps());
        assert_eq!(of(handle.ps()), of(before));
        // An adopted process is watched like a child.
        handle
            .kill(Kill {
                instance: "order/1".to_owned(),
                signal: None,
            })
            .await
            .unwrap();
        until("order/1 is back", async || {
            let now = row(&handle, "order/1");
            now.state == InstanceState::Ready && !now.adopted
        })
        .await;
        trigger.drain();
        run.await.unwrap().unwrap();
    });
    assert_eq!(system.processes(), 0);
}

#[test]
fn what_a_killed_agent_left_can_be_stopped_without_bringing_anything_up() {
    let system = System::new(TWO);
    let first = tokio::runtime::Runtime::new().unwrap();
    first.block_on(async {
        let (service, handle) = system.open().await;
        tokio::spawn(service.run(Drain::never()));
        ready(&handle).await;
        assert!(matches!(
            stop_left_behind(system.dir.path()).await,
            Err(Error::AlreadyRunning { .. })
        ));
    });
    first.shutdown_background();
    let second = tokio::runtime::Runtime::new().unwrap();
    second.block_on(async {
        until("everything is stopped", async || {
            stop_left_behind(system.dir.path())
                .await
                .is_ok_and(|ended| ended >= 5)
        })
        .await;
        assert_eq!(stop_left_behind(system.dir.path()).await.unwrap(), 0);
    });
    assert_eq!(system.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_reaches_telemetry_and_logs() {
    let system = System::new("[brick.order]\nrun = \"./part\"\nenv = { LINES = \"500\" }\n");
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    until("telemetry has the lines", async || {
        system.shipped().contains("order line 499")
    })
    .await;
    let shipped = system.shipped();
    let missing = (0..500)
        .filter(|n| !shipped.lines().any(|line| line == format!("order line {n}")))
        .count();
    assert_eq!(missing, 0);
    assert!(
        handle
            .logs(Some("order/1"))
            .iter()
            .any(|line| line.msg == "order line 499")
    );
    handle.down();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brick_that_is_never_ready_or_crashes_is_named_with_its_lines() {
    let system = System::new(
        "[brick.deaf]\nrun = \"sh -c 'echo I am deaf; exec sleep 600'\"\nhealth = { grace = \"300ms\" }\n\
         [brick.mad]\nrun = \"sh -c 'echo I am mad; exit 3'\"\n\
         [brick.order]\nrun = \"./part\"\nneeds = [\"deaf\", \"mad\"]\n",
    );
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    let event = async |kind, brick: &str| {
        let mut events = handle.events();
        let found = async {
            loop {
                let event = events.next().await.unwrap();
                if event.kind == kind && event.brick.as_ref().is_some_and(|b| b.as_str() == brick) {
                    return event;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.expect("the event")
    };
    let deaf = event(EventKind::NeverReady, "deaf").await;
    assert_eq!(deaf.lines, ["I am deaf"]);
    assert!(
        deaf.msg.contains("health.grace") && deaf.msg.contains("/health/ready"),
        "{}",
        deaf.msg
    );
    let mad = event(EventKind::CrashLoop, "mad").await;
    assert!(mad.lines.iter().all(|line| line == "I am mad") && !mad.lines.is_empty());
    assert!(mad.msg.contains("exit code 3"), "{}", mad.msg);
    // What needs them starts all the same.
    event(EventKind::Ready, "order").await;
    assert!(!handle.status().ready);
    handle.hurry();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_manifest_is_applied_and_a_broken_one_is_refused() {
    let system = System::new(TWO);
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let before = row(&handle, "product/1");
    let kept = row(&handle, "order/1");
    assert_eq!(handle.apply(Apply::default()).await.unwrap().changes.len(), 0);
    system.manifest("[brick.product]\nrun = \"./part\"\nenv = { COLOUR = \"red\" }\n[brick.order]\nrun = \"./part\"\nneeds = [\"product\"]\n[brick.cart]\nrun = \"./part\"\n");
    let changes = handle.apply(Apply::default()).await.unwrap().changes;
    assert_eq!(changes.len(), 2, "{changes:?}");
    until("the difference is there", async || {
        let new = handle
            .ps()
            .iter()
            .any(|ps| ps.instance == "cart/1" && ps.state == InstanceState::Ready);
        let product = row(&handle, "product/1");
        new && product.state == InstanceState::Ready && product.pid != before.pid
    })
    .await;
    assert_eq!(row(&handle, "order/1").pid, kept.pid);
    system.manifest("[brick.order]\nrunn = \"./part\"\n");
    let error = handle.apply(Apply::default()).await.unwrap_err();
    assert!(error.to_string().contains("runn"), "{error}");
    assert_eq!(handle.ps().len(), 6);
    handle.down();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_programs_fail_the_start_unless_the_brick_is_optional() {
    let optional = "[brick.tea]\nrun = \"no-such-program\"\noptional = true\n";
    let system = System::new(&format!("{TWO}{optional}"));
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    assert_eq!(row(&handle, "tea/1").state, InstanceState::Skipped);
    let loud = handle
        .past_events()
        .into_iter()
        .find(|event| event.kind == EventKind::Skipped)
        .unwrap();
    assert!(
        loud.msg.contains("tea") && loud.msg.contains("`no-such-program`"),
        "{}",
        loud.msg
    );
    handle.down();
    run.await.unwrap().unwrap();
    let system = System::new("[brick.tea]\nrun = \"no-such-program\"\n");
    let (service, _handle) = system.open().await;
    let error = service.run(Drain::never()).await.unwrap_err();
    assert!(matches!(error, Error::MissingProgram { .. }), "{error}");
    assert_eq!(system.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_build_stops_the_start() {
    let system =
        System::new("[brick.order]\nrun = \"./part\"\nbuild = \"sh -c 'echo no such crate; exit 101'\"\n");
    let (service, handle) = system.open().await;
    let error = service.run(Drain::never()).await.unwrap_err();
    assert!(error.to_string().contains("no such crate"), "{error}");
    assert!(
        handle
            .past_events()
            .iter()
            .any(|event| event.kind == EventKind::BuildFailed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_answers_as_the_contract_says() {
    let system = System::new(TWO);
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let agent = brick_wire::Client::unix(system.dir.path().join(".brickwork/agent.sock"));
    let rows: Vec<Ps> = agent.get("http://agent/v1/ps").json().await.unwrap();
    assert_eq!(rows, handle.ps());
    let status: crate::api::Status = agent.get("http://agent/v1/status").json().await.unwrap();
    assert!(status.ready && status.bricks == 2 && status.ports.contains_key("otlp"));
    let link: crate::api::ConsoleLink = agent.post("http://agent/v1/console-link").json().await.unwrap();
    assert!(link.url.starts_with(&handle.admin_url()) && link.url.contains("/login?code="));
    let token: crate::api::OperatorToken = agent.post("http://agent/v1/token").json().await.unwrap();
    assert!(token.token.contains("operator"));
    until("a line is read", async || !handle.logs(Some("order")).is_empty()).await;
    let logs = agent
        .get("http://agent/v1/logs?brick=order&limit=1&since=5m")
        .send()
        .await
        .unwrap();
    let line: crate::api::LogLine = logs.json().unwrap();
    assert_eq!(line.instance, "order/1");
    for (path, body, status) in [
        ("kill", r#"{"instance":"ordr/1"}"#, 404),
        ("kill", r#"{"instance":"order/1","signal":"BOO"}"#, 422),
        ("scale", r#"{"brick":"order","replicas":101}"#, 422),
        ("scale", "{", 400),
        ("nonsense", "", 404),
    ] {
        let call = agent
            .post(format!("http://agent/v1/{path}"))
            .body("application/json", body);
        let error = call.send().await.unwrap().success().unwrap_err();
        assert_eq!(
            error.status().map(|s| s.as_u16()),
            Some(status),
            "{path} {body}: {error}"
        );
    }
    let mut events = agent
        .get("http://agent/v1/events?follow=true")
        .stream()
        .await
        .unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    serde_json::from_slice::<Event>(first.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        agent
            .post("http://agent/v1/down")
            .send()
            .await
            .unwrap()
            .status
            .as_u16(),
        202
    );
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_once_and_everything_goes_on() {
    let system = System::new("[brick.order]\nrun = \"./part\"\n");
    let logs = system.dir.path().join(".brickwork/logs");
    std::fs::create_dir_all(&logs).unwrap();
    let mount = |args: &[&str]| {
        let done = std::process::Command::new("mount").args(args).arg(&logs).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"]) {
        // Not root: the write error path is covered by the state's own test.
        return;
    }
    let unmount = Unmount(logs.clone());
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let pid = row(&handle, "order/1").pid;
    fill(&logs);
    until("the warning", async || {
        handle
            .past_events()
            .iter()
            .any(|event| event.msg.contains("is full"))
    })
    .await;
    std::fs::remove_file(logs.join("ballast")).unwrap();
    until("the all-clear", async || {
        handle
            .past_events()
            .iter()
            .any(|event| event.msg.contains("room again"))
    })
    .await;
    assert_eq!(row(&handle, "order/1").pid, pid);
    handle.down();
    run.await.unwrap().unwrap();
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// Writes until nothing more fits.
fn fill(dir: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(dir.join("ballast")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}
