//! An upgraded connection: bytes both ways until either side ends, or the proxy drains.

use std::sync::Arc;

use brick_core::Drain;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::link::Link;

/// Joins the two sides. The link counts the connection until the tunnel ends.
pub(crate) async fn run(client: OnUpgrade, upstream: OnUpgrade, drain: Drain, link: Arc<Link>) {
    let joined = async {
        let (client, upstream) = (client.await?, upstream.await?);
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
            tracing::debug!(peer = %link.peer, %error, "a tunnel ended");
        }
        Ok::<(), hyper::Error>(())
    };
    tokio::select! {
        ended = joined => {
            if let Err(error) = ended {
                tracing::debug!(peer = %link.peer, %error, "an upgrade was not completed");
            }
        }
        () = drain.requested() => {}
    }
}
