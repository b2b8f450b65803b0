//! What processes may do: the scopes of their tokens.

use brick_model::Brick;

/// Scopes of a process token: the bus, a call to each needed brick, and what the manifest grants.
pub(super) fn of_brick(brick: &Brick) -> Vec<String> {
    let calls = brick.needs.iter().map(|need| format!("call:{need}"));
    std::iter::once("bus".to_owned())
        .chain(calls)
        .chain(brick.scopes.iter().cloned())
        .collect()
}

/// What a platform process may do. The gateway may call nobody in its own name: what comes through the edge is from
/// outside, and a route for bricks alone must not open to it. Nor may the host proxy: it shows the tokens of those who
/// call through it.
pub(super) fn of_platform(name: &str) -> Vec<String> {
    let scopes: &[&str] = if matches!(name, "gateway" | "proxy") {
        &["bus"]
    } else {
        &["bus", "call:*"]
    };
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}
