//! Deaths: any process may be killed, and what does not need it goes on.

use std::time::{Duration, Instant};

use acceptance_tests::{Folder, System, eventually, signal};
use brick_wire::Client;
use rustix::process::Signal;

/// Kills an instance and answers how long it took until another incarnation was ready.
async fn kill_and_wait(system: &System, instance: &str) -> Duration {
    let before = system.instance(instance);
    let begin = Instant::now();
    signal(
        u32::try_from(before["pid"].as_u64().unwrap()).unwrap(),
        Signal::KILL,
    );
    eventually("the instance to come back", || async {
        let now = system.instance(instance);
        (now["state"] == "ready" && now["pid"] != before["pid"]).then_some(())
    })
    .await;
    begin.elapsed()
}

#[tokio::test]
async fn a_killed_brick_is_back_within_two_seconds() {
    let system = Folder::copy_of("shop").up();
    for instance in ["product/1", "order/1", "recommendation/1"] {
        let took = kill_and_wait(&system, instance).await;
        assert!(took < Duration::from_secs(2), "{instance} took {took:?}");
    }
}

#[tokio::test]
async fn the_edge_serves_while_control_and_telemetry_are_dead() {
    let system = Folder::copy_of("shop").up();
    let url = format!("{}/api/products?limit=1", system.edge);
    for instance in ["control/1", "telemetry/1"] {
        let before = system.instance(instance);
        signal(
            u32::try_from(before["pid"].as_u64().unwrap()).unwrap(),
            Signal::KILL,
        );
        let begin = Instant::now();
        let mut served = 0;
        eventually("the instance to come back", || async {
            let answer = Client::new().get(url.as_str()).send().await.unwrap();
            assert_eq!(answer.status, 200, "the edge failed while {instance} was dead");
            let now = system.instance(instance);
            (now["state"] == "ready" && now["pid"] != before["pid"]).then_some(())
        })
        .await;
        served += 1;
        assert!(
            served > 0 && begin.elapsed() < Duration::from_secs(2),
            "{instance} took {:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn a_new_agent_adopts_what_still_runs() {
    let mut system = Folder::copy_of("shop").up();
    let before = system.pids();
    system.crash_agent();
    system.restart_agent();
    assert_eq!(system.pids(), before);
    let answer = Client::new()
        .get(format!("{}/api/products?limit=1", system.edge))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_killed_storefront_signs_nobody_out() {
    let system = Folder::copy_of("shop").up();
    let form = "email=customer1%40example.org&password=correct%20horse";
    let client = Client::new();
    let sign_in = client
        .post(format!("{}/signin", system.edge))
        .body("application/x-www-form-urlencoded", form);
    let answer = sign_in.send().await.unwrap();
    let cookie = answer.headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for instance in ["storefront/1", "storefront/2"] {
        kill_and_wait(&system, instance).await;
    }
    eventually("the signed-in page after both instances died", || async {
        let orders = client
            .get(format!("{}/orders", system.edge))
            .header(http::header::COOKIE, &cookie);
        let answer = orders.send().await.ok()?;
        assert_ne!(answer.status, 303, "the visitor was signed out");
        (answer.status == 200).then_some(())
    })
    .await;
}
