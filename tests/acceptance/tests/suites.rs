//! Suites: against a running system, against one brick with mocks around it, and what is told when they fail.

use acceptance_tests::Folder;
use serde_json::Value;

const STAGE: &str = "stages/06-telemetry-and-tests";

/// The stage with more suites in its manifest.
fn folder(more: &str) -> Folder {
    let folder = Folder::copy_of(STAGE);
    let manifest = folder.path().join("brick.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}\n{more}")).unwrap();
    folder
}

#[tokio::test]
async fn suites_pass_against_the_running_system_and_their_traffic_is_marked() {
    let more = "[test.command]\nrun = \"sh -c 'test -n \\\"$BRICK_SYNTHETIC_TOKEN\\\" && curl -sf $BRICK_EDGE_URL/'\"\n";
    let system = folder(more).up();
    let report = system.folder().path().join("report.xml");
    let ran = system
        .folder()
        .json(&["test", "--report", report.to_str().unwrap()]);
    let passed: Vec<(&str, bool)> = ran
        .as_array()
        .unwrap()
        .iter()
        .map(|ran| (ran["suite"].as_str().unwrap(), ran["passed"] == true))
        .collect();
    assert_eq!(passed, [("command", true), ("write", true)], "{ran}");
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(
        xml.contains("<testcase classname=\"write\" name=\"2 POST /notes\""),
        "{xml}"
    );
    acceptance_tests::eventually("a synthetic trace", || async {
        let traces = system.folder().json(&["trace", "ls"]);
        let id = traces.as_array()?.first()?["trace_id"].as_str()?.to_owned();
        let trace = system.folder().json(&["trace", "show", &id]);
        let mark = &trace["spans"][0]["attributes"]["brick.synthetic"];
        (mark == "write").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_shows_request_answer_and_trace_and_ends_with_1() {
    let more = "[test.wrong]\nsteps = [{ get = \"/\", expect = { status = 201, contains = \"no such note\" } }, { get = \"/\" }]\n";
    let system = folder(more).up();
    let output = system.folder().run(&["test", "wrong"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for expect in [
        "FAIL",
        "expected status 201, found 200",
        "expected a body that holds \"no such note\"",
        "request  GET http://",
        "answer   200 OK",
        "An empty wall.",
        "`brick trace show ",
        "1 of 1 suite failed",
    ] {
        assert!(told.contains(expect), "{expect:?} is missing in\n{told}");
    }
    assert!(!told.contains("eyJ"), "a token is shown: {told}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("failed") && table.contains("0/2"), "{table}");
}

#[tokio::test]
async fn a_brick_is_tested_alone_and_leaves_nothing_behind() {
    let folder = Folder::copy_of(STAGE);
    let ran = folder.json(&["test", "wall"]);
    assert_eq!(
        (&ran[0]["passed"], &ran[0]["brick"]),
        (&Value::Bool(true), &Value::from("wall")),
        "{ran}"
    );
    assert!(
        !folder.path().join(".brickwork").exists(),
        "the system's own folder is not touched"
    );
}

#[tokio::test]
async fn what_cannot_be_reached_or_is_not_let_in_has_its_own_exit_code() {
    let more = "[env.gone]\nedge = \"http://127.0.0.1:1\"\nproduction = false\n[env.live]\nedge = \"http://127.0.0.1:1\"\n";
    let folder = folder(more);
    for (arguments, code, expect) in [
        (&["test"][..], 6, "no system is running"),
        (
            &["test", "--env", "gone"],
            6,
            "the environment gone cannot be reached",
        ),
        (
            &["test", "--env", "live"],
            4,
            "live is production, and write may not run there",
        ),
        (&["test", "--env", "lve"], 2, "the manifest has no [env.lve]"),
        (
            &["test", "nothing"],
            2,
            "\"nothing\" is neither a suite nor a brick",
        ),
        (&["test", "filter"], 2, "no suite is about filter"),
    ] {
        let output = folder.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(expect), "{expect:?} is missing in {told}");
    }
}
