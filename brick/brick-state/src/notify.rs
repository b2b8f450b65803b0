//! Notifications: a word from whoever wrote to whoever listens, delivered once the write is committed.
//!
//! [`Tx::notify`](crate::Tx::notify) says a payload on a channel; [`Database::listen`](crate::Database::listen) gives a
//! [`Listener`] that hears it, in the order of the commits. On PostgreSQL (`LISTEN`, `NOTIFY`) every process on the
//! same database hears it, on SQLite the [`Database`](crate::Database) that wrote and its clones. A notification is a
//! hint and no record: whoever hears [`Heard::Lost`] reads the state again.
//!
//! ```
//! use brick_state::{Database, Heard, Options};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), brick_state::Error> {
//! let db = Database::open(Options::new("sqlite::memory:", &[])).await?;
//! let mut changes = db.listen("changes").await?;
//! db.write(|tx| tx.notify("changes", "7")).await?;
//! assert_eq!(changes.next().await, Some(Heard::Payload("7".to_owned())));
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

use crate::Error;

/// Bytes of a payload at most; PostgreSQL's bound.
pub const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Bytes of a channel's name at most; PostgreSQL's bound.
pub const CHANNEL_BYTES_MAX: usize = 63;
/// Notifications that wait for a slow listener; more, and it hears [`Heard::Lost`].
pub(crate) const WAITING_MAX: usize = 1_024;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A payload, as it was said.
    Payload(String),
    /// Some may have been missed: the connection was lost (it stands again), or the listener was too slow.
    Lost,
}

/// A channel and what was said on it.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) channel: String,
    pub(crate) payload: String,
}

/// Hears one channel. Stops listening when dropped.
#[derive(Debug)]
pub struct Listener(Source);

#[derive(Debug)]
enum Source {
    InProcess {
        channel: String,
        notices: broadcast::Receiver<Arc<Notice>>,
    },
    Server {
        mailbox: Arc<Mailbox>,
        task: JoinHandle<()>,
    },
}

/// What waits for a listener; bounded.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    payloads: VecDeque<String>,
    lost: bool,
}

impl Mailbox {
    pub(crate) fn put(&self, payload: String) {
        let mut waiting = self.waiting.lock();
        if waiting.payloads.len() == WAITING_MAX {
            // Whoever reads everything again needs none of them.
            waiting.payloads.clear();
            waiting.lost = true;
        } else {
            waiting.payloads.push_back(payload);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    pub(crate) fn lose(&self) {
        self.waiting.lock().lost = true;
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.lost) {
            return Some(Heard::Lost);
        }
        waiting.payloads.pop_front().map(Heard::Payload)
    }

    async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.take() {
                return heard;
            }
            self.arrived.notified().await;
        }
    }
}

impl Listener {
    pub(crate) fn in_process(channel: &str, notices: broadcast::Receiver<Arc<Notice>>) -> Self {
        let channel = channel.to_owned();
        Self(Source::InProcess { channel, notices })
    }

    pub(crate) fn server(mailbox: Arc<Mailbox>, task: JoinHandle<()>) -> Self {
        Self(Source::Server { mailbox, task })
    }

    /// Waits for the next; none when the database is closed. May be cancelled without losing one.
    pub async fn next(&mut self) -> Option<Heard> {
        let (own, notices) = match &mut self.0 {
            Source::Server { mailbox, .. } => return Some(mailbox.next().await),
            Source::InProcess { channel, notices } => (channel, notices),
        };
        loop {
            match notices.recv().await {
                Ok(notice) if notice.channel == *own => return Some(Heard::Payload(notice.payload.clone())),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(Heard::Lost),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Source::Server { task, .. } = &self.0 {
            task.abort();
        }
    }
}

/// Whether both are within the bounds that every engine has.
pub(crate) fn check(channel: &str, payload: &str) -> Result<(), Error> {
    if channel.is_empty() || channel.len() > CHANNEL_BYTES_MAX {
        return Err(Error::rollback(format!(
            "expected a channel's name of 1 to {CHANNEL_BYTES_MAX} bytes, found {}",
            channel.len()
        )));
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::rollback(format!(
            "expected a payload of at most {PAYLOAD_BYTES_MAX} bytes, found {}",
            payload.len()
        )));
    }
    Ok(())
}
