//! Listening, on a connection of its own that is opened again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use super::target::{Connected, Target};
use super::{failure, text};
use crate::Error;
use crate::notify::{Listener, Mailbox};

/// How often the connection is asked whether it stands, and how long the answer may take.
const BEAT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);
/// Between attempts to connect again.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(3);

pub(super) fn listen(target: Arc<Target>, channel: &str) -> Listener {
    let mailbox = Arc::new(Mailbox::default());
    let keeping = keep(target, channel.to_owned(), Arc::clone(&mailbox));
    Listener::server(mailbox, tokio::spawn(keeping))
}

async fn attach(target: &Target, channel: &str, mailbox: &Arc<Mailbox>) -> Result<Connected, Error> {
    let mailbox = Arc::clone(mailbox);
    let connected = target.connect(move |payload| mailbox.put(payload)).await?;
    let listening = format!("listen {}", text::name(&text::channel(target.schema(), channel)));
    connected
        .client
        .batch_execute(&listening)
        .await
        .map_err(|error| failure::sorted(&error, target.at()))?;
    Ok(connected)
}

async fn keep(target: Arc<Target>, channel: String, mailbox: Arc<Mailbox>) {
    loop {
        let mut connected = connected(&target, &channel, &mailbox).await;
        mailbox.lose();
        connected.lost(BEAT, PATIENCE).await;
    }
}

async fn connected(target: &Target, channel: &str, mailbox: &Arc<Mailbox>) -> Connected {
    let (mut wait, mut told) = (AGAIN_FIRST, false);
    loop {
        match attach(target, channel, mailbox).await {
            Ok(connected) => {
                if told {
                    tracing::info!(channel, "the database's notifications are heard again");
                }
                return connected;
            }
            Err(error) if told => tracing::debug!(channel, %error, "still no notifications of the database"),
            Err(error) => {
                tracing::warn!(channel, %error, "no notifications of the database are heard; connecting again");
                told = true;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_MAX);
    }
}
