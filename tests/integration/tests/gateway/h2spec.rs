//! HTTP/2 by a suite that others wrote: h2spec's cases against the edge, every one green.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use super::harness::*;

/// The program: on the path, or where `cargo xtask setup` puts it.
fn h2spec() -> Option<std::path::PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/h2spec");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path)
        .map(|folder| folder.join("h2spec"))
        .collect();
    places.push(ours);
    places.into_iter().find(|place| place.is_file())
}

/// A certificate for the address that h2spec calls.
fn cert() -> brick_bus::Resource {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let value = json!({ "cert_pem": made.cert.pem(), "key_pem": made.signing_key.serialize_pem(), "hosts": ["localhost"] });
    resource("certs/edge", value)
}

/// Case 5.1.8 resets a stream and takes an answer that was on its way for a fault, so it may need another go.
async fn run(program: &Path, port: u16, args: &[&str]) {
    let mut said = String::new();
    for _ in 0..5 {
        match once(program, port, args).await {
            Ok(()) => return,
            Err(failed) => said = failed,
        }
        let only = said.contains(" 1 failed")
            && said.contains("\u{d7} 8: closed: Sends a DATA frame after sending RST_STREAM");
        assert!(only, "{args:?}: {said}");
    }
    panic!("{args:?}: {said}");
}

async fn once(program: &Path, port: u16, args: &[&str]) -> Result<(), String> {
    let run = Command::new(program)
        .args(args)
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-P",
            // It reads what it is sent before it answers: an answer that overtakes a fault would hide it.
            "/read",
            "-o",
            "5",
            "--strict",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(12 * LIMIT, run)
        .await
        .expect("h2spec did not end")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let counted = said
        .lines()
        .rev()
        .find(|line| line.contains(" passed, "))
        .unwrap_or_default();
    match output.status.success() && counted.contains(" 0 failed") {
        true => Ok(()),
        false => Err(said.into_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_h2spec_is_green() {
    let Some(program) = h2spec() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "h2spec is not installed; run `cargo xtask setup`"
        );
        println!("SKIPPED: h2spec is not installed; run `cargo xtask setup`");
        return;
    };
    let brick = Brick::start("storefront").await;
    let resources = vec![
        routes(vec![route("/**", "storefront", "public")]),
        endpoints("storefront", &[brick.addr]),
        cert(),
    ];
    let secure = |options: &mut mortar_gateway::Options| options.edge_tls = Some(([127, 0, 0, 1], 0).into());
    let gateway = Gateway::with(brick.addr, resources, secure).await;
    run(&program, gateway.handle.edge_tls().unwrap().port(), &["-t", "-k"]).await;
    // Without TLS the door speaks HTTP/1.1 too, and answers what is no preface in it: 3.5 does not apply.
    let plain = [
        "generic", "hpack", "http2/4", "http2/5", "http2/6", "http2/7", "http2/8",
    ];
    run(&program, gateway.handle.edge().port(), &plain).await;
}
