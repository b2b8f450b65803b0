//! HTTP/2 by a suite that others wrote: h2spec's cases against the edge, every one green.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::harness::*;

/// The program: on the path, or where `cargo xtask setup` puts it.
fn h2spec() -> Option<std::path::PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/h2spec");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).map(|folder| folder.join("h2spec")).collect();
    places.push(ours);
    places.into_iter().find(|place| place.is_file())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_h2spec_is_green() {
    let Some(program) = h2spec() else {
        assert!(std::env::var_os("CI").is_none(), "h2spec is not installed; run `cargo xtask setup`");
        println!("SKIPPED: h2spec is not installed; run `cargo xtask setup`");
        return;
    };
    let brick = Brick::start("storefront").await;
    let resources = vec![
        routes(vec![route("/**", "storefront", "public")]),
        endpoints("storefront", &[brick.addr]),
    ];
    let gateway = Gateway::start(brick.addr, resources).await;
    let port = gateway.handle.edge().port().to_string();
    let run = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &port, "-P", "/echo", "-o", "5", "--strict"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .output();
    let output = tokio::time::timeout(12 * LIMIT, run).await.expect("h2spec did not end").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let counted = said.lines().rev().find(|line| line.contains(" passed, ")).unwrap_or_default();
    assert!(counted.contains(" 0 failed"), "{said}");
}
