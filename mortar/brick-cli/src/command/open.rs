//! `brick open`: the console, with a link that works once.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::agent::Agent;
use crate::cli::Screen;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Programs that open an address in the user's browser, the first that is there.
const OPENERS: [&str; 3] = ["xdg-open", "wslview", "open"];

/// A program that cannot open anything says so within this time.
const REFUSAL: Duration = Duration::from_secs(2);

pub(crate) async fn run(agent: &Agent, screen: Screen, print: bool, output: Output) -> Outcome {
    let link: Value = agent
        .post("/v1/console-link", &json!({}), Duration::from_secs(5))
        .await?;
    let Some(url) = link["url"].as_str() else {
        return Err(Failure::failed("the agent answered without a link"));
    };
    let url = match path(screen) {
        "/" => url.to_owned(),
        path => format!("{url}&to={path}"),
    };
    let display = ["DISPLAY", "WAYLAND_DISPLAY"];
    let seen = output.is_terminal() && display.iter().any(|name| std::env::var_os(name).is_some());
    let opened = !print && seen && start_first(&url).await;
    output.value(&json!({ "url": url, "opened": opened }), || url.clone());
    output.progress(if opened {
        "opened in the browser; the link works once, for ten minutes"
    } else {
        "the link works once, for ten minutes"
    });
    Ok(())
}

/// Address of a screen on the admin listener.
fn path(screen: Screen) -> &'static str {
    match screen {
        Screen::Overview => "/",
        Screen::Bricks => "/console/bricks",
        Screen::Breakers => "/console/breakers",
        Screen::Logs => "/console/logs",
        Screen::Traces => "/console/traces",
        Screen::Routes => "/console/routes",
        Screen::Config => "/console/config",
        Screen::Flags => "/console/flags",
        Screen::Audit => "/console/audit",
    }
}

/// Whether one of the programs took the address.
async fn start_first(url: &str) -> bool {
    for program in OPENERS {
        if start(program, url).await {
            return true;
        }
    }
    false
}

/// Whether a program took the address: it ended well, or goes on with it (some are the browser themselves).
async fn start(program: &str, url: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(url).process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let ended = tokio::time::timeout(REFUSAL, child.wait()).await;
    ended.is_err() || matches!(ended, Ok(Ok(status)) if status.success())
}
