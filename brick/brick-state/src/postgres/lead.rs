//! The lead: an advisory lock of a session, on a connection of its own.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::target::{Connected, Target};
use super::{failure, text};
use crate::{Error, Lead};

/// How often the connection is asked whether it stands, and how long the answer may take.
const BEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn take(target: &Target, name: &str) -> Result<Option<Lead>, Error> {
    let connected = target.connect(|_| {}).await?;
    let key = text::key("lead", target.schema(), name);
    // The session is open for as long as the lead is held.
    let asked =
        format!("set application_name = 'brickwork lead'; select pg_try_advisory_lock({key}) as held");
    let answer = connected.client.simple_query(&asked).await;
    let answer = answer.map_err(|error| failure::sorted(&error, target.at()))?;
    let held = answer.iter().any(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get("held") == Some("t"),
        _ => false,
    });
    if !held {
        return Ok(None);
    }
    let (tell, held) = watch::channel(true);
    let (give_up, given_up) = oneshot::channel();
    let task = tokio::spawn(keep(connected, key, given_up, tell));
    Ok(Some(Lead::server(held, give_up, task)))
}

async fn keep(
    mut connected: Connected,
    key: i64,
    given_up: oneshot::Receiver<()>,
    tell: watch::Sender<bool>,
) {
    tokio::select! {
        () = connected.lost(BEAT, PATIENCE) => {}
        _ = given_up => {
            let unlock = format!("select pg_advisory_unlock({key})");
            let _ = tokio::time::timeout(PATIENCE, connected.client.batch_execute(&unlock)).await;
        }
    }
    tell.send_replace(false);
}
