//! Shipping: takes requests and sends parcels later. Owns its shipments.
//!
//! A request is answered at once with 202 and a ticket; a worker packs and sends it afterwards, and the ticket tells how far it is.
//! Several instances may work at the same time: each step is one conditional update.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, post};
use brickwork::core::{Drain, chain};
use brickwork::openapi::{Document, Operation};
use brickwork::state::Error;
use brickwork::telemetry::metrics::Counter;
use brickwork::{Access, Brick, Config, Database, Json, Migration, Path, Problem, Reader, axum};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::Instrument as _;
use uuid::Uuid;

/// What is to be sent, and where to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Request {
    /// The order; the same order twice gets the same ticket.
    order_id: String,
    /// Name of the recipient.
    recipient: String,
    /// Where to.
    address: String,
}

/// How far a shipment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Shipment {
    /// The ticket, UUIDv7.
    ticket: String,
    /// `accepted`, `packed`, `sent` or `cancelled`.
    status: String,
}

/// How fast the warehouse is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Milliseconds from acceptance to packing, and again to sending.
    step_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { step_ms: 2_000 }
    }
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "shipments",
    sql: "CREATE TABLE shipment (
            order_id TEXT PRIMARY KEY, ticket TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL, address TEXT NOT NULL,
            status TEXT NOT NULL, changed_ms BIGINT NOT NULL);
          CREATE INDEX shipment_by_status ON shipment (status, changed_ms);",
}];

/// How often the warehouse works at most, however many parcels wait.
const PAUSE: Duration = Duration::from_millis(100);
/// When an idle warehouse looks for what another instance accepted and left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct App {
    database: Database,
    accepted: Arc<Notify>,
}

/// Opens the shipments, puts the warehouse to work and declares the routes.
pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let app = App {
        database: brick.state(MIGRATIONS).await?,
        accepted: Arc::default(),
    };
    let sent = brick
        .metrics()
        .counter("shop_parcels_sent_total", "Parcels that left the warehouse");
    brickwork::spawn(warehouse(app.clone(), brick.config()?, sent, brick.drain()));
    let bricks = Router::new()
        .route("/shipments", post(accept))
        .route("/shipments/{ticket}", get(read))
        .route("/shipments/of/{order_id}", get(read_of_order).delete(cancel))
        .with_state(app);
    Ok(Access::new().bricks(bricks).openapi(document()))
}

/// Packs and sends what is due, then waits for the next parcel.
async fn warehouse(app: App, settings: Config<Settings>, sent: Counter, drain: Drain) {
    loop {
        let step = Duration::from_millis(settings.get().step_ms.into());
        let next = match advance(&app.database, step)
            .instrument(tracing::info_span!("warehouse"))
            .await
        {
            Ok(done) => {
                sent.add(done.sent);
                done.next
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the warehouse cannot work, will try again");
                Some(step)
            }
        };
        let wait = async {
            match next {
                Some(next) => tokio::time::sleep(next.max(PAUSE)).await,
                None => {
                    let _ = tokio::time::timeout(LOOK_AGAIN, app.accepted.notified()).await;
                }
            }
        };
        tokio::select! {
            () = drain.requested() => return,
            () = wait => {}
        }
    }
}

async fn accept(
    State(app): State<App>,
    Json(request): Json<Request>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Shipment>), Problem> {
    let shipment = app.database.write(move |tx| {
        let order_id = request.order_id;
        tx.execute(
            "INSERT INTO shipment (order_id, ticket, recipient, address, status, changed_ms)
             VALUES ($1, $2, $3, $4, 'accepted', $5) ON CONFLICT (order_id) DO NOTHING",
            &[
                order_id.clone().into(),
                Uuid::now_v7().to_string().into(),
                request.recipient.into(),
                request.address.into(),
                Timestamp::now().as_millisecond().into(),
            ],
        )?;
        find(tx, "order_id", order_id)
    });
    let shipment = shipment.await?.ok_or_else(Problem::internal)?;
    if shipment.status == "cancelled" {
        return Err(Problem::conflict("cancelled", "this shipment was cancelled"));
    }
    app.accepted.notify_one();
    tracing::info!(ticket = %shipment.ticket, "accepted");
    Ok((
        StatusCode::ACCEPTED,
        [(LOCATION, format!("/shipments/{}", shipment.ticket))],
        Json(shipment),
    ))
}

async fn read(State(app): State<App>, Path(ticket): Path<String>) -> Result<Json<Shipment>, Problem> {
    app.shipment("ticket", ticket).await
}

async fn read_of_order(
    State(app): State<App>,
    Path(order_id): Path<String>,
) -> Result<Json<Shipment>, Problem> {
    app.shipment("order_id", order_id).await
}

/// Stops what has not left yet. An order that never asked is written down, so that a late request sends nothing.
async fn cancel(State(app): State<App>, Path(order_id): Path<String>) -> Result<StatusCode, Problem> {
    let cancelled = app.database.write(move |tx| {
        tx.execute(
            "INSERT INTO shipment (order_id, ticket, recipient, address, status, changed_ms)
             VALUES ($1, $2, '', '', 'cancelled', $3)
             ON CONFLICT (order_id) DO UPDATE SET status = 'cancelled', changed_ms = $3
             WHERE shipment.status IN ('accepted', 'packed', 'cancelled')",
            &[
                order_id.into(),
                Uuid::now_v7().to_string().into(),
                Timestamp::now().as_millisecond().into(),
            ],
        )
    });
    match cancelled.await? {
        0 => Err(Problem::conflict("sent", "the parcel has left already")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

impl App {
    async fn shipment(&self, column: &'static str, key: String) -> Result<Json<Shipment>, Problem> {
        let found = self.database.read(move |db| find(db, column, key)).await?;
        found
            .map(Json)
            .ok_or_else(|| Problem::not_found("unknown_shipment", "there is no such shipment"))
    }
}

/// What one round of the warehouse came to.
struct Done {
    /// Parcels that left.
    sent: u64,
    /// When the next one is due; none where none waits.
    next: Option<Duration>,
}

/// Sends what was packed a step ago and packs what was accepted a step ago.
async fn advance(database: &Database, step: Duration) -> Result<Done, Error> {
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let move_on = "UPDATE shipment SET status = $2, changed_ms = $3 WHERE status = $1 AND changed_ms <= $4";
    let oldest = "SELECT MIN(changed_ms) FROM shipment WHERE status IN ('accepted', 'packed')";
    database
        .write(move |tx| {
            let now = Timestamp::now().as_millisecond();
            let due = now.saturating_sub(step_ms);
            let sent = tx.execute(move_on, &["packed".into(), "sent".into(), now.into(), due.into()])?;
            tx.execute(
                move_on,
                &["accepted".into(), "packed".into(), now.into(), due.into()],
            )?;
            let oldest = tx
                .query_one(oldest, &[], |row| row.get::<Option<i64>>(0))?
                .flatten();
            let left = |since: i64| {
                since
                    .saturating_add(step_ms)
                    .saturating_sub(now)
                    .max(0)
                    .unsigned_abs()
            };
            Ok(Done {
                sent,
                next: oldest.map(|since| Duration::from_millis(left(since))),
            })
        })
        .await
}

fn find(db: &Reader<'_>, column: &str, key: String) -> Result<Option<Shipment>, Error> {
    let select = format!("SELECT ticket, status FROM shipment WHERE {column} = $1");
    db.query_one(&select, &[key.into()], |row| {
        Ok(Shipment {
            ticket: row.get(0)?,
            status: row.get(1)?,
        })
    })
}

fn document() -> Document {
    Document::new("Shipping", "v1")
        .operation(
            Operation::post("/shipments")
                .summary("Ask for a shipment; it happens later, the ticket tells when")
                .access("bricks")
                .body::<Request>()
                .answer::<Shipment>(202, "accepted; Location is where to ask")
                .problem(409, "cancelled before"),
        )
        .operation(
            Operation::get("/shipments/{ticket}")
                .summary("How far a shipment is")
                .access("bricks")
                .answer::<Shipment>(200, "the shipment")
                .problem(404, "no such ticket"),
        )
        .operation(
            Operation::get("/shipments/of/{order_id}")
                .summary("How far the shipment of an order is")
                .access("bricks")
                .answer::<Shipment>(200, "the shipment")
                .problem(404, "no such shipment"),
        )
        .operation(
            Operation::delete("/shipments/of/{order_id}")
                .summary("Cancel the shipment of an order; one that never was is no error")
                .access("bricks")
                .empty(204, "nothing will be sent")
                .problem(409, "the parcel has left"),
        )
}

#[cfg(test)]
mod tests;
