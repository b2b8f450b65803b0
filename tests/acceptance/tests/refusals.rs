//! Bad input: each gets its exit code and a message that says what, where and what to do.

use std::net::TcpListener;

use acceptance_tests::Folder;

fn check(folder: &Folder, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = folder.run(arguments);
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "brick {arguments:?}: {told}");
    for part in parts {
        assert!(
            told.contains(part),
            "brick {arguments:?} does not say \"{part}\": {told}"
        );
    }
}

const SLEEPER: &str = "brickwork = 1\n[system]\nname = \"small\"\n[brick.one]\nrun = \"sleep 1000\"\n";

#[test]
fn a_manifest_error_is_shown_in_its_place() {
    let folder =
        Folder::with_manifest("brickwork = 1\n[system]\nname = \"x\"\n[brick.one]\nrum = \"sleep 1\"\n");
    check(&folder, &["check"], 3, &["brick.toml", "rum", "run", "5"]);
}

#[test]
fn a_folder_without_a_manifest_is_named() {
    let folder = Folder::with_manifest("");
    std::fs::remove_file(folder.path().join("brick.toml")).unwrap();
    check(&folder, &["up"], 3, &["there is no", "brick.toml"]);
}

#[test]
fn commands_for_a_system_that_does_not_run_say_so() {
    let folder = Folder::with_manifest(SLEEPER);
    for command in [
        &["ps"][..],
        &["status"],
        &["logs"],
        &["scale", "one=2"],
        &["kill", "one/1"],
        &["down"],
    ] {
        check(&folder, command, 5, &["no system is running in", "brick up"]);
    }
}

#[test]
fn a_taken_port_is_told_with_who_has_it_and_the_option() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let folder = Folder::with_manifest(SLEEPER);
    let pid = std::process::id().to_string();
    check(
        &folder,
        &["up", "--edge", &address, "--console", "0"],
        1,
        &[&address, &pid, "--edge"],
    );
}

#[test]
fn a_missing_program_is_named() {
    let folder = Folder::with_manifest(&SLEEPER.replace("sleep 1000", "no-such-program-anywhere"));
    check(
        &folder,
        &["up", "--edge", "127.0.0.1:0", "--console", "0"],
        1,
        &["one", "no-such-program-anywhere"],
    );
}

#[test]
fn a_build_that_fails_shows_its_last_lines() {
    let manifest = format!("{SLEEPER}build = \"sh -c 'echo kiln is cold >&2; exit 3'\"\n");
    let folder = Folder::with_manifest(&manifest);
    check(
        &folder,
        &["up", "--edge", "127.0.0.1:0", "--console", "0"],
        1,
        &["one", "kiln is cold"],
    );
}

#[test]
fn state_of_a_newer_brickwork_is_refused() {
    let folder = Folder::with_manifest(SLEEPER);
    let state = folder.path().join(".brickwork");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("agent.json"), "{\"schema\": 999}").unwrap();
    check(
        &folder,
        &["up", "--edge", "127.0.0.1:0", "--console", "0"],
        1,
        &["newer Brickwork", "999"],
    );
}
