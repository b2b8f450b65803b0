//! Tokens of processes: one at the start, a new one at two thirds of its life.

use std::time::Duration;

use brick_core::Incarnation;
use tokio::time::Instant;

use super::{Context, Running, Supervisor, Task};
use crate::board::Role;
use crate::control::Issued;
use crate::folder::write_private;
use crate::launch::Spec;

/// A token for a new process. A slot that has an old token may start with it while control is away.
pub(super) async fn first(context: &Context, spec: &Spec, incarnation: Incarnation) -> Duration {
    if spec.slot.role == Role::Control {
        return Duration::MAX;
    }
    let patience = if spec.token.exists() { 300 } else { 3000 };
    let deadline = Instant::now() + Duration::from_millis(patience);
    while Instant::now() < deadline && !context.hurry.is_requested() {
        if let Some(life) = issue(context, spec, incarnation).await {
            return life;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Duration::ZERO
}

impl Supervisor {
    /// Renews the token of a process at two thirds of its life.
    pub(super) fn keep_token(&self, running: &Running) -> Option<Task> {
        if self.spec.slot.role == Role::Control {
            return None;
        }
        let (context, spec) = (self.context.clone(), self.spec.clone());
        let (incarnation, mut life) = (running.incarnation, running.token_life);
        Some(Task(tokio::spawn(async move {
            loop {
                tokio::time::sleep((life * 2 / 3).max(Duration::from_millis(250))).await;
                let renewed = issue(&context, &spec, incarnation).await;
                life = renewed.unwrap_or(Duration::from_secs(1));
            }
        })))
    }
}

/// Gets a process token and puts it into its file; its life.
pub(super) async fn issue(context: &Context, spec: &Spec, incarnation: Incarnation) -> Option<Duration> {
    let issued = context
        .control
        .process_token(&spec.slot.brick, incarnation, &spec.scopes)
        .await;
    let Issued { token, expires_in_s } = issued.ok()?;
    write_private(&spec.token, format!("{token}\n").as_bytes(), false).ok()?;
    Some(Duration::from_secs(expires_in_s))
}
