//! Leads: of several processes on one database, the one that does what must be done once.
//!
//! [`Database::try_lead`](crate::Database::try_lead) gives the [`Lead`] to one holder at a time. On PostgreSQL it is an
//! advisory lock of a session of its own, so it ends with its holder, whatever ends that; a holder that is cut off from
//! the server learns it within three seconds, before or after the server has noticed. So a lead says who should act; what must
//! never happen twice is also said in the statement that does it. On SQLite, which one machine has to itself, it is
//! always granted.

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The lead. Dropped, it is given up.
#[derive(Debug)]
pub struct Lead {
    held: watch::Receiver<bool>,
    keeper: Keeper,
}

#[derive(Debug)]
enum Keeper {
    /// Nobody else can ask; kept so that `held` stays open.
    InProcess(#[expect(dead_code, reason = "held until the lead is dropped")] watch::Sender<bool>),
    Server {
        give_up: oneshot::Sender<()>,
        task: JoinHandle<()>,
    },
}

impl Lead {
    pub(crate) fn granted() -> Self {
        let (keep, held) = watch::channel(true);
        Self {
            held,
            keeper: Keeper::InProcess(keep),
        }
    }

    pub(crate) fn server(
        held: watch::Receiver<bool>,
        give_up: oneshot::Sender<()>,
        task: JoinHandle<()>,
    ) -> Self {
        Self {
            held,
            keeper: Keeper::Server { give_up, task },
        }
    }

    /// Whether it is still held, as far as this process knows.
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Waits until it is held no more: the connection that held it was lost. May be cancelled.
    pub async fn lost(&self) {
        let mut held = self.held.clone();
        // The keeper that is gone holds nothing either.
        let _ = held.wait_for(|held| !held).await;
    }

    /// Gives it up; afterwards another may take it at once. One that is dropped is free a moment later.
    pub async fn release(self) {
        if let Keeper::Server { give_up, task } = self.keeper {
            drop(give_up);
            let _ = task.await;
        }
    }
}
