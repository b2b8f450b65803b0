//! The brick mailer: works the outbox of orders off. An event may come twice (the answer to "done" can get lost), so
//! what was mailed is written down, and mailed once.

use std::time::Duration;

use brickwork::axum::extract::State;
use brickwork::axum::{Router, routing::get};
use brickwork::core::Drain;
use brickwork::telemetry::metrics::Counter;
use brickwork::{Access, Brick, CallError, Client, Config, Database, Json, Migration, Problem, tracing};
use serde::{Deserialize, Serialize};

use crate::orders::{Batch, Done, Event};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "mails",
    sql: "CREATE TABLE mail (event TEXT PRIMARY KEY, email TEXT NOT NULL, subject TEXT NOT NULL);",
}];

/// Values of `[config.mailer]` in brick.toml.
#[derive(Serialize, Deserialize)]
struct Settings {
    poll_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { poll_ms: 1_000 }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mail {
    email: String,
    subject: String,
}

#[derive(Serialize, Deserialize)]
struct Page {
    items: Vec<Mail>,
}

#[derive(Clone)]
struct Worker {
    database: Database,
    orders: Client,
    sent: Counter,
}

pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let worker = Worker {
        database: brick.state(MIGRATIONS).await?,
        orders: brick.client("orders"),
        sent: brick.metrics().counter("mails_sent_total", "Mails sent"),
    };
    brickwork::spawn(work(worker.clone(), brick.config()?, brick.drain()));
    let routes = Router::new().route("/api/mails", get(list)).with_state(worker.database);
    Ok(Access::new().public(routes))
}

/// Rounds until the brick is asked to stop; while orders is away the events wait there.
async fn work(worker: Worker, config: Config<Settings>, drain: Drain) {
    loop {
        if let Err(error) = worker.round().await {
            tracing::warn!(%error, "the outbox waits");
        }
        tokio::select! {
            () = drain.requested() => return,
            () = tokio::time::sleep(Duration::from_millis(config.get().poll_ms)) => {}
        }
    }
}

impl Worker {
    async fn round(&self) -> Result<(), String> {
        let said = |error: CallError| brickwork::core::chain(&error);
        let batch: Batch = self.orders.get("/outbox").fetch().await.map_err(said)?;
        let mut ids = Vec::new();
        for event in batch.items {
            ids.push(event.id.clone());
            self.mail(event).await.map_err(|error| brickwork::core::chain(&error))?;
        }
        if ids.is_empty() {
            return Ok(());
        }
        let answer = self.orders.post("/outbox/done").json(&Done { ids }).send().await.map_err(said)?;
        answer.success().map(drop).map_err(said)
    }

    /// "Sends" the mail: a real one would go to a mail server here.
    async fn mail(&self, event: Event) -> Result<(), brickwork::state::Error> {
        let subject = format!("Your order: {}", event.item);
        let (id, email, text) = (event.id, event.email.clone(), subject.clone());
        let insert = "INSERT INTO mail (event, email, subject) VALUES ($1, $2, $3) ON CONFLICT (event) DO NOTHING";
        let new = self.database.write(move |tx| tx.execute(insert, &[id.into(), email.into(), text.into()]));
        if new.await? > 0 {
            self.sent.inc();
            tracing::info!(to = event.email, subject, "mailed");
        }
        Ok(())
    }
}

async fn list(State(database): State<Database>) -> Result<Json<Page>, Problem> {
    let newest = "SELECT email, subject FROM mail ORDER BY event DESC LIMIT 50";
    let items = database.read(move |db| {
        db.query(newest, &[], |row| Ok(Mail { email: row.get(0)?, subject: row.get(1)? }))
    });
    Ok(Json(Page { items: items.await? }))
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;
    use brickwork::axum::routing::post;
    use brickwork::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn an_event_that_comes_again_and_again_is_mailed_once() {
        let event = Event {
            id: "e1".to_owned(),
            kind: "order.placed".to_owned(),
            item: "lamp".to_owned(),
            email: "ann@example.org".to_owned(),
        };
        let batch = move || {
            let items = vec![event.clone()];
            async move { Json(Batch { items }) }
        };
        let done = async |Json(_): Json<Done>| StatusCode::SERVICE_UNAVAILABLE;
        let orders = Router::new().route("/outbox", get(batch)).route("/outbox/done", post(done));
        let brick = TestBrick::builder("mailer").needs("orders", orders).env("POLL_MS", "1").start(app).await;
        let mailed = || brick.metric("mails_sent_total").filter(|sent| *sent > 0.0);
        assert_eq!(brick.eventually("a mail", mailed).await, 1.0);
        let page: Page = brick.get("/api/mails").send().await.expect(200).json();
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].email, "ann@example.org");
    }
}
