//! Asking a process whether it is ready: every 10 ms until the first yes, at the manifest's interval afterwards.

use std::time::Duration;

use brick_wire::Client;
use tokio::sync::watch;

const FIRST_EVERY: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(1);
/// While it is unready it is asked again sooner, so that a recovery is seen soon.
const UNREADY_EVERY: Duration = Duration::from_millis(250);
/// Checks that must get no answer at all before a ready process counts as unready; a clear no counts at once.
const SILENT_MAX: u32 = 2;

/// Asks until it is dropped; `healthy` carries the last word, none before the first yes.
pub(crate) async fn probe(
    client: Client,
    url: String,
    every: Duration,
    healthy: watch::Sender<Option<bool>>,
) {
    while !asks(&client, &url).await.is_ok_and(|ready| ready) {
        tokio::time::sleep(FIRST_EVERY).await;
    }
    healthy.send_replace(Some(true));
    let mut silent = 0;
    let mut ready = true;
    loop {
        tokio::time::sleep(if ready { every } else { UNREADY_EVERY.min(every) }).await;
        let now = match asks(&client, &url).await {
            Ok(now) => {
                silent = 0;
                now
            }
            Err(()) => {
                silent += 1;
                ready && silent < SILENT_MAX
            }
        };
        if now != ready {
            ready = now;
            healthy.send_replace(Some(now));
        }
    }
}

/// Whether it answers with success, or takes a connection where it speaks no HTTP; an error where it does not answer.
async fn asks(client: &Client, url: &str) -> Result<bool, ()> {
    if let Some(addr) = url.strip_prefix("tcp://") {
        let connected = tokio::time::timeout(LIMIT, tokio::net::TcpStream::connect(addr)).await;
        return connected
            .map_err(drop)
            .and_then(|done| done.map_err(drop))
            .map(|_| true);
    }
    let answer = client.get(url).timeout(LIMIT).bytes_max(64 * 1024).send().await;
    answer.map(|answer| answer.status.is_success()).map_err(|_| ())
}
