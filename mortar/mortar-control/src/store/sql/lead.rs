//! Who leads: one process has the lead of a database, and its term is written down beside what it saves.
//!
//! The lead is a lock that the database gives up with the connection. A process whose connection broke while another
//! one took the lead does not know that yet: so each batch is saved under the condition that the term is still the
//! writer's own (a fencing token).

use std::net::SocketAddr;
use std::time::Duration;

use brick_core::Incarnation;
use brick_state::{Lead, Tx};

use super::{LEAD, NEWS, SET, Sql, meta};
use crate::Error;

/// Key of the address of who leads.
pub(super) const LEADER: &str = "leader";
const TERM: &str = "term";
const CHECK: &str = "update control_meta set value = value where key = 'term' and value = $1";
/// How soon a lost lead is asked for again.
const AGAIN: Duration = Duration::from_millis(250);

/// A time of leading.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// Told from every other by its name.
    name: String,
    lead: std::sync::Arc<Lead>,
}

/// Whether the term is still the one that was begun last; every batch of a process that never led may be saved.
pub(super) fn check(tx: &Tx<'_>, term: Option<&str>) -> Result<(), brick_state::Error> {
    let Some(term) = term else { return Ok(()) };
    if tx.execute(CHECK, &[term.into()])? == 0 {
        return Err(brick_state::Error::rollback(
            "another control leads: nothing may be saved here any more",
        ));
    }
    Ok(())
}

impl Sql {
    pub(super) fn term(&self) -> Option<String> {
        self.term.lock().as_ref().map(|term| term.name.clone())
    }

    pub(super) async fn take_lead(&self, at: SocketAddr) -> Result<bool, Error> {
        let Some(lead) = self.db.try_lead(LEAD).await? else {
            return Ok(false);
        };
        let name = Incarnation::new().to_string();
        let begun = name.clone();
        let begin = self.db.write(move |tx| {
            tx.execute(SET, &[TERM.into(), begun.into()])?;
            tx.execute(SET, &[LEADER.into(), at.to_string().into()])?;
            tx.notify(NEWS, "")
        });
        begin.await?;
        let lead = lead.into();
        *self.term.lock() = Some(Term { name, lead });
        Ok(true)
    }

    /// Resolves when the lead was lost and another process took it. A lead that was lost and is free again is taken
    /// back: the database was away.
    pub(super) async fn lose_lead(&self) {
        loop {
            let Some(held) = self.term.lock().clone() else {
                return std::future::pending().await;
            };
            held.lead.lost().await;
            tracing::warn!("the lead was lost with the connection to the database; it is asked for again");
            loop {
                let again = self.db.try_lead(LEAD).await.ok().flatten();
                let term = self.db.read(|reader| meta(reader, TERM)).await;
                match (again, term) {
                    (_, Ok(term)) if term.as_deref() != Some(&held.name) => return,
                    (Some(lead), Ok(_)) => {
                        let (name, lead) = (held.name.clone(), lead.into());
                        *self.term.lock() = Some(Term { name, lead });
                        break;
                    }
                    // The database is still away, or has not noticed yet that the old connection is gone.
                    _ => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    }
}
