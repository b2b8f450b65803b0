//! Payment: authorises and voids. Owns its ledger.
//!
//! One rule declines: an amount above `decline_above_cents`. A payment is keyed by the caller's idempotency key, so
//! that a repeated request is answered with the first decision and charges nobody twice.
//!
//! There are two versions of the same contract: v1, and v2 with a planted fault ([`ledger`]).

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use brickwork::openapi::{Document, Operation};
use brickwork::state::Error;
use brickwork::{Access, Brick, Config, Database, Json, Migration, Path, Problem, Reader, axum};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod ledger;

use ledger::Ledger;

/// What is to be paid.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Charge {
    /// The order that is paid for.
    order_id: String,
    /// Who pays.
    customer_id: String,
    /// How much, in cents, 1 or more.
    amount_cents: i64,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Payment {
    /// Id, UUIDv7.
    id: String,
    /// `authorised`, `declined` or `voided`.
    status: String,
    /// How much, in cents.
    amount_cents: i64,
}

/// The rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Amounts above this are declined, in cents.
    decline_above_cents: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decline_above_cents: 500_000,
        }
    }
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "payments",
    sql: "CREATE TABLE payment (
            idempotency_key TEXT PRIMARY KEY, id TEXT NOT NULL, order_id TEXT NOT NULL, customer_id TEXT NOT NULL,
            amount_cents BIGINT NOT NULL, status TEXT NOT NULL, decided_at BIGINT NOT NULL);",
}];

#[derive(Clone)]
struct App {
    database: Database,
    settings: Config<Settings>,
    ledger: Ledger,
}

/// Opens the ledger and declares the routes.
pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    serve(brick, Ledger::Rows).await
}

/// The same for v2, the version with the planted fault.
pub(crate) async fn app_v2(brick: Brick) -> Result<Access, brickwork::Error> {
    serve(brick, Ledger::Locked(Default::default())).await
}

async fn serve(brick: Brick, ledger: Ledger) -> Result<Access, brickwork::Error> {
    let app = App {
        database: brick.state(MIGRATIONS).await?,
        settings: brick.config()?,
        ledger,
    };
    let bricks = Router::new()
        .route("/payments", post(authorise))
        .route("/payments/{key}", get(read).delete(void))
        .with_state(app);
    Ok(Access::new().bricks(bricks).openapi(document()))
}

async fn authorise(
    State(app): State<App>,
    headers: HeaderMap,
    Json(charge): Json<Charge>,
) -> Result<(StatusCode, Json<Payment>), Problem> {
    let key = idempotency_key(&headers)?;
    if charge.amount_cents < 1 {
        let detail = format!(
            "expected an amount of 1 cent or more, found {}",
            charge.amount_cents
        );
        return Err(Problem::unprocessable("invalid_amount", detail));
    }
    app.ledger.enter().await?;
    let limit = app.settings.get().decline_above_cents;
    let payment = app.database.write(move |tx| {
        tx.lock(&format!("payment {key}"))?;
        if let Some(earlier) = find(tx, key.clone())? {
            return Ok(earlier);
        }
        let status = if charge.amount_cents > limit { "declined" } else { "authorised" };
        let id = Uuid::now_v7().to_string();
        tx.execute(
            "INSERT INTO payment (idempotency_key, id, order_id, customer_id, amount_cents, status, decided_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                key.into(), id.clone().into(), charge.order_id.into(), charge.customer_id.into(),
                charge.amount_cents.into(), status.into(), Timestamp::now().as_second().into(),
            ],
        )?;
        Ok(Payment { id, status: status.to_owned(), amount_cents: charge.amount_cents })
    });
    let payment = payment.await?;
    tracing::info!(payment = %payment.id, status = %payment.status, amount_cents = payment.amount_cents, "decided");
    match payment.status.as_str() {
        "authorised" => Ok((StatusCode::CREATED, Json(payment))),
        "voided" => Err(Problem::conflict(
            "voided",
            "this payment was voided; pay again under another key",
        )),
        _ => {
            let detail = format!(
                "{} is more than may be paid at once",
                crate::money::display(payment.amount_cents)
            );
            Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "declined", detail))
        }
    }
}

async fn read(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Payment>, Problem> {
    let found = app.database.read(move |db| find(db, key)).await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found("unknown_payment", "nothing was paid under that key"))
}

/// Takes an authorisation back. A key that never paid is written down as voided, so that a late request under it
/// charges nobody.
async fn void(State(app): State<App>, Path(key): Path<String>) -> Result<StatusCode, Problem> {
    let void =
        "INSERT INTO payment (idempotency_key, id, order_id, customer_id, amount_cents, status, decided_at)
                VALUES ($1, $2, '', '', 0, 'voided', $3)
                ON CONFLICT (idempotency_key) DO UPDATE SET status = 'voided'";
    let now = Timestamp::now().as_second();
    let bind = [key.clone().into(), Uuid::now_v7().to_string().into(), now.into()];
    app.database.write(move |tx| tx.execute(void, &bind)).await?;
    tracing::info!(key, "voided");
    Ok(StatusCode::NO_CONTENT)
}

fn find(db: &Reader<'_>, key: String) -> Result<Option<Payment>, Error> {
    let select = "SELECT id, status, amount_cents FROM payment WHERE idempotency_key = $1";
    db.query_one(select, &[key.into()], |row| {
        Ok(Payment {
            id: row.get(0)?,
            status: row.get(1)?,
            amount_cents: row.get(2)?,
        })
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if (1..=100).contains(&key.len()) {
        Ok(key.to_owned())
    } else {
        Err(Problem::bad_request(
            "idempotency_key",
            "expected a header Idempotency-Key of 1 to 100 characters",
        ))
    }
}

fn document() -> Document {
    Document::new("Payment", "v1")
        .operation(
            Operation::post("/payments")
                .summary("Authorise a payment")
                .access("bricks")
                .header(
                    "idempotency-key",
                    "required; the same key gets the first decision again",
                )
                .body::<Charge>()
                .answer::<Payment>(201, "authorised")
                .problem(400, "no Idempotency-Key")
                .problem(402, "declined by rule")
                .problem(409, "voided before")
                .problem(422, "the amount is not acceptable"),
        )
        .operation(
            Operation::get("/payments/{key}")
                .summary("Read the decision under an idempotency key")
                .access("bricks")
                .answer::<Payment>(200, "the decision")
                .problem(404, "nothing was paid under that key"),
        )
        .operation(
            Operation::delete("/payments/{key}")
                .summary("Void a payment; one that never was is no error")
                .access("bricks")
                .empty(204, "nothing is charged under that key"),
        )
}

#[cfg(test)]
mod tests;
