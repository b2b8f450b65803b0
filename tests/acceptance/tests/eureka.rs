//! An application that knows Eureka and nothing of Brickwork, in a real system: found, called, shown, and let go.

use acceptance_tests::process::Process;
use acceptance_tests::{Folder, System, eventually, target_dir, workspace};
use brick_wire::Client;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

const MANIFEST: &str = r#"
brickwork = 1

[system]
name = "post"

[brick.desk]
run = "python3 desk.py"
health = { path = "/health" }
needs = ["depot"]
proxy = true

[brick.depot]
registers = true

[route.desk]
match = "/**"
to = "desk"
auth = "public"
"#;

/// What `desk` gets where it asks for `http://depot.brick/hello`.
async fn ask(system: &System) -> (u16, String) {
    let url = format!("{}/at/depot.brick/hello", system.edge);
    let answer = Client::new().get(url).send().await.unwrap();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status.as_u16(), body)
}

/// Starts the application, which registers at the console's address with a client's name and secret.
async fn depot(system: &System) -> Process {
    let wish = json!({ "id": "depot", "scopes": ["register:depot"] });
    let client = system
        .operator(Method::POST, "/api/identity/v1/clients", Some(&wish))
        .await;
    let client: Value = client.json().unwrap();
    let issued = system.agent_call("/v1/token", &json!({})).await;
    let admin = issued["admin_url"]
        .as_str()
        .unwrap()
        .trim_start_matches("http://");
    let secret = client["client_secret"].as_str().unwrap();
    let mut command = std::process::Command::new("python3");
    command
        .args([
            "eureka_depot.py",
            &format!("http://depot:{secret}@{admin}/eureka"),
        ])
        .current_dir(workspace().join("tests/clients"))
        .env("PYTHONPATH", target_dir().join("tools/python"));
    Process::spawn(command)
}

#[tokio::test]
async fn an_application_that_registers_with_eureka_is_called_by_its_name_until_it_leaves() {
    let folder = Folder::with_manifest(MANIFEST);
    std::fs::write(folder.path().join("desk.py"), include_str!("proxy/desk.py")).unwrap();
    let system = folder.up();
    assert_eq!(ask(&system).await.0, 503);
    let mut depot = depot(&system).await;
    eventually("the application to be called", || async {
        let told = ask(&system).await;
        (told == (200, "depot /hello 2".to_owned())).then_some(())
    })
    .await;
    let row = system.instance("depot/1");
    assert_eq!(
        (&row["state"], &row["joined"], &row["pid"]),
        (&json!("ready"), &json!("eureka"), &Value::Null)
    );
    assert!(
        row["lease_ends"].is_string() && row["outsider"].is_string(),
        "{row}"
    );
    let table = system.folder().run(&["ps"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("outsider") && table.contains("depot/1"), "{table}");
    depot.signal(Signal::TERM);
    depot.end().await;
    eventually("nobody to be called", || async {
        let (status, body) = ask(&system).await;
        (status == 503 && body.contains("no_instance")).then_some(())
    })
    .await;
    assert_eq!(system.instance("depot/1"), Value::Null);
}
