//! A second `up`, and starts that do not come to an end.

use acceptance_tests::process::Process;
use acceptance_tests::{Folder, eventually};
use brick_wire::Client;
use rustix::process::Signal;

use crate::small;

#[tokio::test]
async fn a_second_up_attaches_applies_the_difference_and_tells_it() {
    let manifest = small::counting(1000);
    let system = Folder::with_manifest(&manifest).up();
    let before = system.instance("counter/1");
    let changed = format!("{manifest}replicas = 2\n{}", small::another("second"));
    system.folder().rewrite(&changed);

    let mut second = Process::spawn(system.folder().up_command());
    second.says("already running in").await;
    second.says("2 changes applied").await;
    second.says("counter/2 is added").await;
    second.says("second/1 is added").await;
    second.says(&format!("edge    {}", system.edge)).await;
    second.says("console http://").await;
    second.says("counter/2").await;
    eventually("the new instances", || async {
        ["counter/2", "second/1"]
            .iter()
            .all(|name| system.instance(name)["state"] == "ready")
            .then_some(())
    })
    .await;
    assert_eq!(
        system.instance("counter/1")["pid"],
        before["pid"],
        "what did not change runs on"
    );

    second.signal(Signal::INT);
    let status = second.end().await;
    let told = second.all().await;
    assert!(
        status.success() && told.contains("the system goes on"),
        "{status}: {told}"
    );
    let answer = Client::new().get(system.edge.as_str()).send().await.unwrap();
    assert_eq!(answer.status, 200, "the system went on without the second `up`");

    system.folder().rewrite(&manifest);
    let mut third = Process::spawn(system.folder().up_command());
    third.says("counter/2 is removed").await;
    third.says("second/1 is removed").await;
    third.signal(Signal::INT);
    third.end().await;
}

#[tokio::test]
async fn a_second_up_with_a_broken_manifest_changes_nothing() {
    let manifest = small::counting(1000);
    let system = Folder::with_manifest(&manifest).up();
    let before = system.ps();
    system.folder().rewrite(&manifest.replace("run =", "rum ="));
    let output = system.folder().up_command().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("rum"), "{told}");
    assert_eq!(system.ps(), before);
}

#[tokio::test]
async fn a_brick_that_never_becomes_ready_is_named_with_its_last_lines() {
    let folder = Folder::with_manifest(&small::never_ready());
    let mut up = Process::spawn(folder.up_command());
    for part in [
        "kiln/1 is not ready after 0.4 s",
        "health.grace",
        "the kiln is cold",
    ] {
        up.says(part).await;
    }
    let status = folder.run(&["status"]);
    assert_eq!(status.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&status.stdout).contains("kiln/1 is not ready"));
    up.signal(Signal::TERM);
    up.end().await;
}

#[tokio::test]
async fn up_detached_fails_as_unhealthy_when_a_brick_never_becomes_ready() {
    let folder = Folder::with_manifest(&small::never_ready());
    let mut command = folder.up_command();
    command.arg("--detach");
    let mut up = Process::spawn(command);
    let status = up.end().await;
    let told = up.all().await;
    assert_eq!(status.code(), Some(6), "{told}");
    for part in [
        "kiln/1 is not ready",
        "the kiln is cold",
        "brick logs kiln",
        "brick down",
    ] {
        assert!(told.contains(part), "no \"{part}\" in: {told}");
    }
    assert!(
        folder.run(&["ps"]).status.success(),
        "the system goes on, to be looked at"
    );
    assert!(folder.run(&["down"]).status.success());
}

#[tokio::test]
async fn up_detached_returns_when_all_is_ready() {
    let folder = Folder::with_manifest(&small::counting(1000));
    let mut command = folder.up_command();
    command.arg("--detach");
    let mut up = Process::spawn(command);
    let status = up.end().await;
    let told = up.all().await;
    assert!(status.success(), "{told}");
    assert!(up.stdout().contains("edge    http://"), "{told}");
    let rows = folder.json(&["ps"]);
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["state"] == "ready"),
        "{rows}"
    );
    assert!(folder.run(&["down"]).status.success());
    assert_eq!(folder.run(&["ps"]).status.code(), Some(5));
}

#[tokio::test]
async fn up_detached_tells_why_a_build_failed_once_and_with_its_exit_code() {
    let build = "build = \"ls /no/such/clay\"\n";
    let manifest = small::counting(1000).replace("health =", &format!("{build}health ="));
    let folder = Folder::with_manifest(&manifest);
    let ports = ["--edge", "127.0.0.1:0", "--console", "0"];
    for how in [&["up", "--detach"][..], &["up"]] {
        let output = folder.run(&[how, &ports].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("error: the build of counter failed with exit code 2"),
            "{told}"
        );
        assert_eq!(told.matches("cannot access").count(), 1, "{how:?}: {told}");
        assert!(!told.contains("no system is running"), "{told}");
        assert!(told.contains("`brick up` again"), "{told}");
    }
}

#[tokio::test]
async fn up_detached_tells_what_the_agent_said_when_it_ends_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let edge = taken.local_addr().unwrap().to_string();
    let folder = Folder::with_manifest(&small::counting(1000));
    let output = folder.run(&["up", "--detach", "--no-build", "--console", "0", "--edge", &edge]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with(&format!("error: cannot listen on {edge} for the edge")),
        "{told}"
    );
}
