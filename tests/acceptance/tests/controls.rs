//! Two processes of control share a real PostgreSQL. Either dies, and nobody but the operator notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use acceptance_tests::{Folder, System, eventually, signal, workspace};
use brick_wire::Client;
use rustix::process::Signal;
use serde_json::Value;

const BOTH: [&str; 2] = ["control/1", "control/2"];

/// The shop with two controls.
fn shop() -> System {
    let folder = Folder::copy_of("shop");
    let manifest = std::fs::read_to_string(workspace().join("systems/shop/brick.toml")).unwrap();
    let secret = format!(":{}@", private_postgres::PASSWORD);
    let store = private_postgres::database().replace(&secret, "@");
    let control = format!("[mortar]\ncontrol = {{ store = \"{store}\", replicas = 2 }}\n");
    let doubled = manifest.replacen("[mortar]\n", &control, 1);
    assert_ne!(manifest, doubled);
    folder.rewrite(&doubled);
    let mut command = folder.up_command();
    command.env("CONTROL_STORE_PASSWORD", private_postgres::PASSWORD);
    folder.up_by(command)
}

async fn figure(system: &System, instance: &str, name: &str) -> Option<f64> {
    let port = system.instance(instance)["port"].as_u64()?;
    let client = Client::new();
    let answer = client.get(format!("http://127.0.0.1:{port}/metrics")).send();
    let body = answer.await.ok()?.body;
    let text = String::from_utf8_lossy(&body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Who leads, and who stands by, once both do.
async fn roles(system: &System) -> (&'static str, &'static str) {
    eventually("one control to lead and one to stand by", || async {
        let first = figure(system, BOTH[0], "brick_control_leads").await?;
        let second = figure(system, BOTH[1], "brick_control_leads").await?;
        match (first > 0.0, second > 0.0) {
            (true, false) => Some((BOTH[0], BOTH[1])),
            (false, true) => Some((BOTH[1], BOTH[0])),
            _ => None,
        }
    })
    .await
}

fn kill(system: &System, instance: &str) {
    let pid = system.instance(instance)["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), Signal::KILL);
}

/// A change that both instances of order apply, as soon as there is a control that makes it.
async fn change(system: &System, max_lines: u32) {
    let (value, max_lines) = (format!("order.max_lines={max_lines}"), max_lines.to_string());
    let said = |arguments: &[&str]| {
        let output = system.folder().run(arguments);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("a change to be applied by both", || async {
        let told = said(&["config", "set", &value]);
        // What was applied before its answer was lost is no change any more.
        let made = || said(&["config", "get", "order.max_lines"]).contains(&max_lines);
        (told.contains("applied by 2/2") || made()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn either_of_two_controls_is_killed_and_orders_and_changes_go_on() {
    let system = shop();
    let token = system.sign_up("ann").await;
    let product = system.product().await["id"].as_str().unwrap().to_owned();
    let (over, orders) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let system = Arc::new(system);
    let buying = {
        let (system, over, orders) = (Arc::clone(&system), Arc::clone(&over), Arc::clone(&orders));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let placed = system.order(&token, &product).await;
                placed.unwrap_or_else(|error| panic!("an order fails: {error:?}"));
                orders.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    change(&system, 11).await;
    for (round, max_lines) in [12, 13, 14].into_iter().enumerate() {
        let (leader, standby) = roles(&system).await;
        let victim = if round == 1 { standby } else { leader };
        let incarnation = system.instance(victim)["incarnation"].clone();
        kill(&system, victim);
        change(&system, max_lines).await;
        eventually("the killed one to be back", || async {
            let row = system.instance(victim);
            (row["state"] == "ready" && row["incarnation"] != incarnation).then_some(())
        })
        .await;
    }
    // Whichever of the two answers, it is the same trail of changes.
    for _ in 0..4 {
        let trail = system.admin("/api/audit/v1?action=config&limit=100").await;
        let told = trail["items"].as_array().unwrap();
        let values: Vec<&Value> = told.iter().map(|one| &one["after"]["max_lines"]).collect();
        assert_eq!(values, [14, 13, 12, 11], "{trail}");
    }
    over.store(true, Ordering::Relaxed);
    buying.await.unwrap();
    assert!(orders.load(Ordering::Relaxed) > 10);
}
