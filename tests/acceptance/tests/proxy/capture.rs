//! Traffic that the kernel leads to the host proxy, each test in a network of its own.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use acceptance_tests::{Folder, System, brick, eventually, signal};
use rustix::process::Signal;

use super::ask;

/// Set in the process that has a network of its own.
const INSIDE: &str = "BRICK_TEST_INSIDE";
/// Addresses that are not loopback, and lead nowhere else than to this machine.
const OUTSIDE: &str = "198.51.100.7";
const OUTSIDE_SIX: &str = "2001:db8::7";
const NETWORK: &str = "ip link set lo up && ip addr add 198.51.100.7/32 dev lo && ip -6 addr add 2001:db8::7/128 dev lo && exec \"$@\"";

/// Whether this process has a network of its own; else the test is run in one, and there is nothing left to do.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let lacks = |program: &str| Command::new(program).arg("--version").output().is_err();
    let missing = ["ip", "nft", "unshare"]
        .into_iter()
        .find(|program| lacks(program));
    let root = rustix::process::geteuid().is_root();
    if missing.is_some() || !root {
        let why = missing.map_or("it takes root".to_owned(), |program| {
            format!("{program} is not installed; run `cargo xtask setup`")
        });
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!in_ci, "in CI a skipped test is a failure: {why}");
        eprintln!("SKIPPED: traffic is captured in a network of its own: {why}");
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let ended = Command::new("unshare")
        .args(["--net", "sh", "-c", NETWORK, "network"])
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    false
}

fn office() -> Folder {
    let folder = Folder::with_manifest(include_str!("capture.toml"));
    let programs = [
        ("clerk.py", include_str!("clerk.py")),
        ("stamp.py", include_str!("stamp.py")),
        ("vault.py", include_str!("vault.py")),
    ];
    for (name, program) in programs {
        std::fs::write(folder.path().join(name), program).unwrap();
    }
    folder
}

/// Says back the lines that it gets; its port.
fn echo(ip: &str) -> u16 {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = (&stream).write_all(format!("echo {line}").as_bytes());
        }
    });
    port
}

/// The tables that the kernel has.
fn tables() -> String {
    let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The figures of connections that the proxy passed on.
async fn figures(system: &System) -> String {
    let ports = system.folder().json(&["status"])["ports"].clone();
    let url = format!("http://127.0.0.1:{}/metrics", ports["proxy/1"]);
    let answer = brick_wire::Client::new().get(url).send().await.unwrap();
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn a_brick_that_knows_of_no_proxy_calls_bricks_and_others_through_it() {
    if !is_inside("proxy::capture::a_brick_that_knows_of_no_proxy_calls_bricks_and_others_through_it") {
        return;
    }
    let system = office().up();
    assert_eq!(ask(&system, "/env/HTTP_PROXY").await.1, "None");
    assert_eq!(ask(&system, "/env/STAMP_URL").await.1, "http://stamp.brick");
    let mut asked = BTreeSet::new();
    for path in ["/fetch/stamp.brick/letter", "/curl/stamp.brick:8080/letter"].repeat(16) {
        let (status, body) = ask(&system, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(seen["headers"].get("x-brick-identity").is_some(), "{seen}");
        asked.insert(seen["instance"].to_string());
    }
    assert_eq!(asked.len(), 2, "32 requests are spread over both instances");
    let (status, body) = ask(&system, "/fetch/secret.brick/").await;
    assert!(status == 403 && body.contains("not_needed"), "{status} {body}");
    assert_eq!(
        ask(&system, "/say/vault.brick/6379/ring").await,
        (200, "RING\n".to_owned())
    );

    // What is no brick is reached as ever, and counted.
    for ip in [OUTSIDE, OUTSIDE_SIX] {
        let path = format!("/say/{ip}/{}/hello", echo(ip));
        assert_eq!(ask(&system, &path).await, (200, "echo hello\n".to_owned()));
    }
    // Nobody is there, and no answer is made up.
    let (status, body) = ask(&system, &format!("/say/{OUTSIDE}/9/hello")).await;
    assert!(status == 502 && body.contains("reset"), "{status} {body}");
    // A process that is not captured goes its own way, past the proxy.
    let path = format!("/visitor/say/{OUTSIDE}/{}/hi", echo(OUTSIDE));
    assert_eq!(ask(&system, &path).await, (200, "echo hi\n".to_owned()));
    assert_eq!(ask(&system, "/visitor/fetch/stamp.brick/").await.0, 502);
    let told = figures(&system).await;
    for line in [
        "proxy_tcp_opened_total{caller=\"clerk/1\",callee=\"outside\"} 2",
        "proxy_tcp_opened_total{caller=\"clerk/1\",callee=\"vault\"} 1",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }

    // The edge may have asked again after the first 502.
    let failed = "proxy_tcp_failed_total{caller=\"clerk/1\",callee=\"outside\"} ";
    assert!(
        told.contains(failed) && !told.contains(&format!("{failed}0")),
        "{told}"
    );

    // Who opens a connection to the listener itself is nobody whom the kernel led there.
    let ports = system.folder().json(&["status"])["ports"].clone();
    let port = u16::try_from(ports["capture:clerk/1"].as_u64().unwrap()).unwrap();
    let mut foreign = TcpStream::connect(("127.0.0.1", port)).unwrap();
    foreign.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    foreign
        .write_all(b"GET / HTTP/1.1\r\nHost: stamp.brick\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // It is closed, by an end or by a reset.
    let _ = foreign.read_to_end(&mut answer);
    assert!(answer.is_empty());

    // A one-off process of the brick has the same before it.
    let output = system
        .folder()
        .run(&["run", "clerk", "--", "curl", "-s", "http://stamp.brick/letter"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("x-brick-identity"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn rules_outlive_the_agent_and_go_with_the_system() {
    if !is_inside("proxy::capture::rules_outlive_the_agent_and_go_with_the_system") {
        return;
    }
    let mut system = office().up();
    assert_eq!(tables().lines().count(), 1, "{}", tables());
    let pid = system.instance("clerk/1")["pid"].clone();
    system.crash_agent();
    assert_eq!(ask(&system, "/fetch/stamp.brick/").await.0, 200);
    system.restart_agent();
    assert_eq!(system.instance("clerk/1")["pid"], pid);
    assert_eq!(ask(&system, "/fetch/stamp.brick/").await.0, 200);

    // A new process of the brick is captured as the old one was.
    signal(u32::try_from(pid.as_u64().unwrap()).unwrap(), Signal::KILL);
    eventually("the brick to be back", || async {
        let now = system.instance("clerk/1");
        (now["state"] == "ready" && now["pid"] != pid).then_some(())
    })
    .await;
    assert_eq!(ask(&system, "/fetch/stamp.brick/").await.0, 200);

    // What an agent that was killed left is taken away by the next that looks.
    system.crash_agent();
    assert_eq!(tables().lines().count(), 1);
    let down = brick(system.folder().path(), &["down"]).output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert_eq!(tables(), "");
}

#[test]
fn without_the_right_to_do_it_the_start_says_what_is_missing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has a right to give up");
        return;
    }
    let folder = office();
    let up = folder.up_command();
    // Root without the one capability is what an ordinary user is to the kernel here.
    let ended = Command::new("setpriv")
        .arg("--bounding-set=-net_admin")
        .arg(up.get_program())
        .args(up.get_args())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    for part in [
        "clerk has `capture = true`",
        "Operation not permitted",
        "CAP_NET_ADMIN",
        "proxy = true",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
