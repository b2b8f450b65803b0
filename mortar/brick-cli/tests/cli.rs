//! What every command prints, table and JSON, against a canned platform: an agent's socket and an admin listener that
//! answer fixed documents. `UPDATE=1 cargo test --release -p brick-cli --test cli` writes tests/expected anew; read the
//! difference before it is committed.

#[path = "cli/platform.rs"]
mod platform;
#[path = "cli/run.rs"]
mod program;

use std::path::{Path, PathBuf};

use crate::platform::Platform;
use crate::program::{Ended, run};

fn expected(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/expected/{name}.txt"))
}

/// Compares what a command printed with what it printed before; what differs is told, all at once.
fn check(name: &str, arguments: &[&str], ended: &Ended, differences: &mut Vec<String>) {
    let now = format!(
        "$ brick {}\n{}--- stderr\n{}--- exit {}\n",
        arguments.join(" "),
        ended.stdout,
        ended.stderr,
        ended.code
    );
    let path = expected(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).expect("the expectation is written");
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before != now {
        differences.push(format!("{name}: expected\n{before}\nfound\n{now}"));
    }
}

fn agree(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{}\nif this is meant: UPDATE=1 cargo test --release -p brick-cli --test cli",
        differences.join("\n")
    );
}

/// Name of the expectation and arguments of the command.
const CASES: &[(&str, &[&str])] = &[
    ("ps", &["ps"]),
    ("ps-json", &["ps", "--format", "json"]),
    ("ps-ndjson", &["ps", "--format", "ndjson"]),
    ("ps-color", &["ps", "--color", "always"]),
    ("status", &["status"]),
    ("status-json", &["status", "--format", "json"]),
    ("logs", &["logs"]),
    ("logs-json", &["logs", "--format", "json"]),
    ("logs-ndjson", &["logs", "order", "--format", "ndjson"]),
    ("open", &["open", "logs", "--print"]),
    ("open-json", &["open", "--format", "json"]),
    ("scale", &["scale", "order=3"]),
    ("scale-version", &["scale", "payment@v2=1", "--format", "json"]),
    ("scale-unknown", &["scale", "nobody=3"]),
    ("scale-unknown-json", &["scale", "nobody=3", "--format", "json"]),
    ("kill", &["kill", "order/1"]),
    ("kill-unknown", &["kill", "ordr/1"]),
    ("kill-json", &["kill", "order/1", "--format", "json"]),
    ("roll", &["roll", "order"]),
    ("roll-json", &["roll", "order", "--no-build", "--format", "json"]),
    ("roll-refused", &["roll", "payment"]),
    ("roll-refused-json", &["roll", "payment", "--format", "ndjson"]),
    (
        "run",
        &["run", "order", "--", "sh", "-c", "echo $BRICK_NAME; exit 7"],
    ),
    ("run-missing", &["run", "order", "--", "no-such-program"]),
    ("map", &["map"]),
    ("map-json", &["map", "--format", "json"]),
    ("map-mermaid", &["map", "--format", "mermaid"]),
    ("map-dot", &["map", "--format", "dot"]),
    ("breaker-ls", &["breaker"]),
    (
        "breaker-ls-json",
        &["breaker", "ls", "payment", "--format", "json"],
    ),
    ("breaker-open", &["breaker", "open", "order->payment"]),
    (
        "breaker-auto",
        &["breaker", "auto", "edge->order", "--format", "json"],
    ),
    ("breaker-contested", &["breaker", "open", "order->product"]),
    ("breaker-unknown", &["breaker", "close", "order->nobody"]),
    ("fault-ls", &["fault", "ls"]),
    (
        "fault-set",
        &[
            "fault",
            "set",
            "order->payment",
            "--delay",
            "300ms",
            "--share",
            "0.2",
            "--for",
            "5m",
        ],
    ),
    ("fault-clear", &["fault", "clear", "--format", "json"]),
    ("fault-clear-route", &["fault", "clear", "route->orders"]),
    ("tap", &["tap", "order", "-n", "3"]),
    ("tap-ndjson", &["tap", "order", "-n", "3", "--format", "ndjson"]),
    ("tap-unknown", &["tap", "ordr"]),
    ("top", &["top", "--once"]),
    ("top-json", &["top", "--once", "--format", "json"]),
    ("trace-ls", &["trace", "ls"]),
    ("trace-ls-json", &["trace", "ls", "--format", "json"]),
    ("trace-show", &["trace", "show", "last"]),
    (
        "trace-show-json",
        &[
            "trace",
            "show",
            "0af7651916cd43dd8448eb211c80319c",
            "--format",
            "json",
        ],
    ),
    (
        "trace-diff",
        &[
            "trace",
            "diff",
            "0af7651916cd43dd8448eb211c80319c",
            "1bf7651916cd43dd8448eb211c80319c",
        ],
    ),
    (
        "trace-diff-json",
        &[
            "trace",
            "diff",
            "0af7651916cd43dd8448eb211c80319c",
            "last",
            "--format",
            "ndjson",
        ],
    ),
    ("trace-export", &["trace", "export", "last"]),
    (
        "trace-export-jaeger",
        &["trace", "export", "last", "--as", "jaeger"],
    ),
    ("metrics-ls", &["metrics", "ls"]),
    (
        "metrics-range",
        &["metrics", "range", "shop_orders_placed_total", "--by", "instance"],
    ),
    ("token-issue", &["token", "issue", "ann", "--scope", "customer"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_prints_what_it_printed_before() {
    let platform = Platform::start().await;
    let mut differences = Vec::new();
    for (name, arguments) in CASES {
        let ended = platform.run(arguments);
        check(name, arguments, &ended, &mut differences);
    }
    agree(&differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_agent_is_named_as_the_reason_with_what_to_do() {
    let platform = Platform::older().await;
    let mut differences = Vec::new();
    let arguments = &["roll", "order"];
    check(
        "roll-older",
        arguments,
        &platform.run(arguments),
        &mut differences,
    );
    agree(&differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_what_is_wrong_and_names_a_fix_for_each() {
    let platform = Platform::start().await;
    let ended = platform.run(&["doctor", "--format", "json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).expect("findings");
    // What this machine is like differs; what the system says does not.
    let told: Vec<&serde_json::Value> = findings
        .iter()
        .filter(|finding| {
            ["agent", "instances", "leases", "telemetry", "control"]
                .iter()
                .any(|check| finding["check"] == *check)
        })
        .collect();
    let ended = Ended {
        stdout: format!("{}\n", serde_json::to_string_pretty(&told).expect("JSON")),
        ..ended
    };
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    for finding in &findings {
        assert_eq!(finding["fix"].is_string(), finding["grade"] != "ok", "{finding}");
    }
    let ended = Ended {
        stderr: String::new(),
        ..ended
    };
    let mut differences = Vec::new();
    check(
        "doctor-system",
        &["doctor", "--format", "json"],
        &ended,
        &mut differences,
    );
    agree(&differences);
}

#[tokio::test]
async fn without_a_system_commands_say_so_with_exit_code_5() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["ps"][..],
        &["ps", "--follow"],
        &["status"],
        &["logs"],
        &["open"],
        &["scale", "order=2"],
        &["roll", "order"],
        &["kill", "order/1"],
        &["run", "order", "--", "env"],
        &["map"],
        &["breaker"],
        &["fault", "ls"],
        &["tap", "order"],
        &["top"],
        &["trace", "ls"],
        &["metrics", "ls"],
        &["token", "issue", "ann"],
        &["down"],
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, 5, "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: no system is running in"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(" hint: start it with `brick up`"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

/// Each command of the program with arguments that it takes, one at least for each that can fail.
const FAILING: [&[&str]; 31] = [
    &["new", "No Name"],
    &["up", "nowhere"],
    &["down"],
    &["ps"],
    &["ps", "--follow"],
    &["logs"],
    &["logs", "--follow"],
    &["status"],
    &["open", "--print"],
    &["scale", "order=2"],
    &["roll", "order"],
    &["kill", "order/1"],
    &["run", "order", "--", "env"],
    &["check"],
    &["demo"],
    &["test"],
    &["load", "nothing"],
    &["top", "--once"],
    &["map"],
    &["breaker"],
    &["fault", "ls"],
    &["fault", "set", "a->b"],
    &["tap", "order"],
    &["trace", "ls"],
    &["trace", "show", "last"],
    &["metrics", "ls"],
    &["token", "issue", "ann"],
    &["completions", "no-shell"],
    &["man", "/dev/null/man"],
    &["help", "nothing"],
    &["schema", "more"],
];

#[test]
fn every_command_that_fails_says_so_in_one_document_where_data_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in FAILING {
        for format in ["json", "ndjson"] {
            let ended = run(folder.path(), &[&["--format", format], arguments].concat());
            let document: serde_json::Value = serde_json::from_str(&ended.stderr)
                .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", ended.stderr));
            let error = &document["error"];
            assert_eq!(error["exit_code"], ended.code, "{arguments:?}: {document}");
            assert_ne!(ended.code, 0, "{arguments:?}");
            for key in ["kind", "message", "hint"] {
                assert!(
                    error[key].as_str().is_some_and(|text| !text.is_empty()),
                    "{document}"
                );
            }
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}

#[test]
fn what_is_wrong_with_a_manifest_is_part_of_the_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        "brickwork = 1\n[system]\nname = \"shop\"\n[brick.order]\nrun = \"order\"\nneeds = [\"prodct\"]\n";
    std::fs::write(folder.path().join("brick.toml"), text).expect("a manifest");
    let mut differences = Vec::new();
    for (name, arguments) in [
        ("invalid-up-json", &["up", "--format", "json"][..]),
        ("invalid-check-json", &["check", "--format", "json"]),
        ("invalid-check", &["check"]),
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, 3, "{arguments:?}: {}", ended.stderr);
        check(name, arguments, &ended, &mut differences);
    }
    agree(&differences);
}

#[test]
fn wrong_usage_is_refused_with_exit_code_2_and_what_was_probably_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut differences = Vec::new();
    for (name, arguments) in [
        ("usage-mistyped", &["statsu"][..]),
        ("usage-format", &["version", "--format", "dot"]),
        ("usage-scale", &["scale", "order"]),
        ("usage-breaker", &["breaker", "open", "order-"]),
        ("usage-fault", &["fault", "set", "order->payment"]),
        ("usage-new-name", &["new", "My Shop"]),
        ("usage-topic", &["help", "manifst"]),
        ("usage-no-command", &["run", "order"]),
        ("usage-mistyped-json", &["statsu", "--format", "json"]),
        ("usage-scale-json", &["--format=ndjson", "scale", "order"]),
        ("usage-no-command-json", &["run", "order", "--format", "json"]),
        ("usage-topic-json", &["help", "manifst", "--format", "json"]),
        ("usage-nothing-json", &["--format", "json"]),
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        check(name, arguments, &ended, &mut differences);
    }
    agree(&differences);
}

#[test]
fn what_needs_no_system_works_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut differences = Vec::new();
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help-topics", &["help"]),
        ("help-command", &["help", "trace", "diff"]),
        ("help-page", &["help", "exit-codes"]),
        ("new", &["new", "hello", "--lang", "python", "--format", "ndjson"]),
        ("new-again", &["new", "hello", "--lang", "python"]),
        ("check", &["check", "hello"]),
    ] {
        let ended = run(folder.path(), arguments);
        check(name, arguments, &ended, &mut differences);
    }
    agree(&differences);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(folder.path(), &["completions", shell]);
        assert!(ended.code == 0 && ended.stdout.contains("brick"), "{shell}");
    }
    let ended = run(folder.path(), &["man", "man1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for page in ["brick.1", "brick-up.1", "brick-trace-show.1"] {
        let text = std::fs::read_to_string(folder.path().join("man1").join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}
