//! The brick orders: takes orders, and writes each down together with the event that tells of it (a transactional
//! outbox). What happens next is another brick's work, and the customer does not wait for it.

use brickwork::axum::extract::State;
use brickwork::axum::{Router, routing::get, routing::post};
use brickwork::core::Incarnation;
use brickwork::http::StatusCode;
use brickwork::{Access, Brick, Database, Json, Migration, Problem, tracing};
use serde::{Deserialize, Serialize};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "orders and their outbox",
    sql: "CREATE TABLE placed (id TEXT PRIMARY KEY, item TEXT NOT NULL, email TEXT NOT NULL);
          CREATE TABLE outbox (id TEXT PRIMARY KEY, kind TEXT NOT NULL, item TEXT NOT NULL, email TEXT NOT NULL);",
}];

/// Events that one answer holds at most.
const BATCH: i64 = 50;

#[derive(Deserialize)]
struct NewOrder {
    item: String,
    email: String,
}

#[derive(Serialize, Deserialize)]
struct Placed {
    id: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) item: String,
    pub(crate) email: String,
}

/// Events that are to be worked off, oldest first.
#[derive(Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Event>,
}

/// Events that have been worked off.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) ids: Vec<String>,
}

pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let database = brick.state(MIGRATIONS).await?;
    let public = Router::new().route("/api/orders", post(place)).with_state(database.clone());
    let bricks = Router::new()
        .route("/outbox", get(waiting))
        .route("/outbox/done", post(done))
        .with_state(database);
    Ok(Access::new().public(public).bricks(bricks))
}

async fn place(
    State(database): State<Database>,
    Json(wish): Json<NewOrder>,
) -> Result<(StatusCode, Json<Placed>), Problem> {
    if !wish.email.contains('@') {
        return Err(Problem::unprocessable("invalid_email", "expected an address such as ann@example.org"));
    }
    let id = Incarnation::new().to_string();
    let placed = Placed { id: id.clone() };
    database
        .write(move |tx| {
            let event = Incarnation::new().to_string();
            tx.execute(
                "INSERT INTO placed (id, item, email) VALUES ($1, $2, $3)",
                &[id.into(), wish.item.clone().into(), wish.email.clone().into()],
            )?;
            tx.execute(
                "INSERT INTO outbox (id, kind, item, email) VALUES ($1, 'order.placed', $2, $3)",
                &[event.into(), wish.item.into(), wish.email.into()],
            )
        })
        .await?;
    tracing::info!(order = placed.id, "placed");
    Ok((StatusCode::ACCEPTED, Json(placed)))
}

async fn waiting(State(database): State<Database>) -> Result<Json<Batch>, Problem> {
    let oldest = "SELECT id, kind, item, email FROM outbox ORDER BY id LIMIT $1";
    let items = database.read(move |db| {
        db.query(oldest, &[BATCH.into()], |row| {
            Ok(Event { id: row.get(0)?, kind: row.get(1)?, item: row.get(2)?, email: row.get(3)? })
        })
    });
    Ok(Json(Batch { items: items.await? }))
}

async fn done(State(database): State<Database>, Json(done): Json<Done>) -> Result<StatusCode, Problem> {
    database
        .write(move |tx| {
            for id in done.ids {
                tx.execute("DELETE FROM outbox WHERE id = $1", &[id.into()])?;
            }
            Ok(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;
    use brickwork::serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_order_leaves_an_event_until_it_is_done() {
        let brick = TestBrick::builder("orders").start(app).await;
        let wish = json!({ "item": "lamp", "email": "ann@example.org" });
        brick.post("/api/orders").json(&wish).send().await.expect(202);
        let batch: Batch = brick.get("/outbox").as_brick("mailer").send().await.expect(200).json();
        assert_eq!(batch.items.len(), 1);
        assert_eq!(batch.items[0].kind, "order.placed");
        let ids = vec![batch.items[0].id.clone()];
        brick.post("/outbox/done").as_brick("mailer").json(&Done { ids }).send().await.expect(204);
        let batch: Batch = brick.get("/outbox").as_brick("mailer").send().await.expect(200).json();
        assert!(batch.items.is_empty());
        brick.get("/outbox").send().await.expect(401);
    }
}
