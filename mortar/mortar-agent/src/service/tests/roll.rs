//! Rolls, and what follows from a port that moved.

use super::*;
use crate::api::{OneOff, Roll, Rolled};

const LEGACY: &str = "[brick.product]\nrun = \"./part\"\n\
    [brick.order]\nrun = \"./part\"\nneeds = [\"product\"]\n\
    [brick.legacy]\nrun = \"./part\"\nneeds = [\"product\"]\n";

fn roll(of: &str) -> Roll {
    Roll {
        brick: of.parse().unwrap(),
        no_build: false,
    }
}

/// A variable of the process that runs in a slot.
fn variable(handle: &Handle, instance: &str, name: &str) -> Option<String> {
    let pid = row(handle, instance).pid?;
    let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
    let found = environ
        .split('\0')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_replaces_one_instance_after_the_other_and_somebody_serves_at_any_moment() {
    let system = System::new("[brick.order]\nrun = \"./part\"\nreplicas = 2\n");
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let before = [row(&handle, "order/1"), row(&handle, "order/2")];
    let mut events = handle.events();
    let rolled = handle.roll(roll("order")).await.unwrap();
    assert_eq!(rolled.replaced, ["order/1", "order/2"]);
    let mut told = Vec::new();
    while told.last() != Some(&EventKind::RollDone) {
        let event = events.next().await.unwrap();
        let none_left = event.kind == EventKind::Unready || event.kind == EventKind::Exited;
        assert!(!none_left, "{event:?}");
        // That the system is up may be told after the roll began.
        if event.kind != EventKind::AllReady {
            told.push(event.kind);
        }
    }
    let begun = told
        .iter()
        .position(|kind| *kind == EventKind::RollStarted)
        .unwrap();
    let each = [EventKind::Starting, EventKind::Stopped, EventKind::Replaced];
    assert_eq!(told[begun + 1..told.len() - 1], [each, each].concat());
    for old in &before {
        let new = row(&handle, &old.instance);
        assert_eq!((new.state, new.restarts), (InstanceState::Ready, 0));
        assert!(new.pid != old.pid && new.port != old.port && new.incarnation != old.incarnation);
        assert_eq!(handle.status().ports[&old.instance], new.port);
    }
    // The agent's view is that of the new processes: nothing is to be changed, and a death is healed in place.
    assert_eq!(handle.apply(Apply::default()).await.unwrap().changes.len(), 0);
    let rolled = row(&handle, "order/1");
    let kill = Kill {
        instance: "order/1".to_owned(),
        signal: None,
    };
    handle.kill(kill).await.unwrap();
    until("order/1 is back", async || {
        let now = row(&handle, "order/1");
        now.state == InstanceState::Ready && now.pid != rolled.pid
    })
    .await;
    assert_eq!(row(&handle, "order/1").port, rolled.port);
    handle.down();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_fails_ends_the_roll_and_the_old_ones_stay() {
    let system = System::new("[brick.order]\nrun = \"sh flaky\"\nreplicas = 2\n");
    let broken = system.dir.path().join("broken");
    let flaky = "[ -e broken ] && { echo no ledger there; exit 3; }\nexec ./part\n";
    std::fs::write(system.dir.path().join("flaky"), flaky).unwrap();
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let pids = || [row(&handle, "order/1").pid, row(&handle, "order/2").pid];
    let before = pids();
    std::fs::write(&broken, "").unwrap();
    let agent = brick_wire::Client::unix(system.dir.path().join(".brickwork/agent.sock"));
    let call = |body: &'static str| {
        let call = agent.post("http://agent/v1/roll").timeout(LIMIT);
        call.body("application/json", body).send()
    };
    let refused = call(r#"{"brick":"order"}"#).await.unwrap().success().unwrap_err();
    let text = refused.to_string();
    assert_eq!(
        refused.status().map(|status| status.as_u16()),
        Some(409),
        "{text}"
    );
    for part in ["order/1", "exit code 3", "no ledger there", "stay as they were"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let past = handle.past_events();
    let failed = past
        .iter()
        .find(|event| event.kind == EventKind::RollFailed)
        .unwrap();
    assert_eq!(failed.lines, ["no ledger there"]);
    assert_eq!(pids(), before);
    assert!(handle.status().ready);
    for (body, status) in [
        (r#"{"brick":"control"}"#, 404),
        (r#"{"brick":"order@v9"}"#, 404),
        (r#"{"brick":"order@"}"#, 400),
    ] {
        let error = call(body).await.unwrap().success().unwrap_err();
        assert_eq!(
            error.status().map(|s| s.as_u16()),
            Some(status),
            "{body}: {error}"
        );
    }
    std::fs::remove_file(&broken).unwrap();
    let rolled: Rolled = call(r#"{"brick":"order"}"#).await.unwrap().json().unwrap();
    assert_eq!(rolled.replaced, ["order/1", "order/2"]);
    assert!(pids().iter().all(|pid| !before.contains(pid)));
    handle.down();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_a_brick_by_its_url_alone_is_replaced_when_that_moves() {
    let system = System::new(LEGACY);
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let before = [row(&handle, "order/1").pid, row(&handle, "legacy/1").pid];
    handle.roll(roll("product")).await.unwrap();
    let url = format!("http://127.0.0.1:{}", row(&handle, "product/1").port);
    until("legacy has the new address", async || {
        variable(&handle, "legacy/1", "PRODUCT_URL").as_ref() == Some(&url)
    })
    .await;
    assert_ne!(row(&handle, "legacy/1").pid, before[1]);
    assert_eq!(row(&handle, "order/1").pid, before[0]);
    let told = handle.past_events().into_iter();
    assert_eq!(told.filter(|event| event.msg.contains("PRODUCT_URL")).count(), 1);
    handle.down();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_process_gets_what_an_instance_has_and_is_none() {
    let system = System::new(
        "[brick.product]\nrun = \"./part\"\n[brick.order]\nrun = \"./part\"\nneeds = [\"product\"]\nstate = \"order\"\n\
         [config.order]\nmax_lines = 7\n",
    );
    let (service, handle) = system.open().await;
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let agent = brick_wire::Client::unix(system.dir.path().join(".brickwork/agent.sock"));
    let one: OneOff = agent.get("http://agent/v1/env?brick=order").json().await.unwrap();
    let of = |name: &str| one.env.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(Path::new(&one.dir), system.dir.path());
    assert_eq!(
        (of("BRICK_INSTANCE"), of("BRICK_NAME"), of("MAX_LINES")),
        ("order/run", "order", "7")
    );
    assert!(of("DATABASE_URL").ends_with("/state/order.db"));
    assert!(of("OTEL_RESOURCE_ATTRIBUTES").contains("brick.slot=order/run"));
    let port: u16 = of("PORT").parse().unwrap();
    assert!(handle.ps().iter().all(|ps| ps.port != port));
    let token = std::fs::read_to_string(of("BRICK_TOKEN_FILE")).unwrap();
    assert!(token.contains("bus call:product"), "{token}");
    assert!(handle.ps().iter().all(|ps| ps.instance != "order/run"));
    let again: OneOff = agent.get("http://agent/v1/env?brick=order").json().await.unwrap();
    assert_ne!(again.env["BRICK_INCARNATION"], one.env["BRICK_INCARNATION"]);
    for (brick, status) in [("ordr", 404), ("order@v9", 404), ("Order", 400)] {
        let call = agent.get(format!("http://agent/v1/env?brick={brick}"));
        let error = call.send().await.unwrap().success().unwrap_err();
        assert_eq!(
            error.status().map(|s| s.as_u16()),
            Some(status),
            "{brick}: {error}"
        );
    }
    handle.down();
    run.await.unwrap().unwrap();
}
