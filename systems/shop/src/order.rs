//! Order: buys on behalf of a customer. Owns the orders.
//!
//! Placing an order crosses four other bricks; how it is done, and undone when one of them says no, is in `place`.

mod place;
mod store;

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::get;
use brickwork::openapi::{Document, Operation};
use brickwork::{Access, Brick, Caller, Json, Path, Problem, Query, axum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::place::Shop;
use self::store::Store;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    /// Id, UUIDv7.
    id: String,
    /// `placing`, `placed` or `refused`.
    status: String,
    /// Why it was refused: the code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The lines, with name and price once stock was reserved.
    lines: Vec<OrderLine>,
    /// Sum in cents.
    total_cents: i64,
    /// Ticket of the shipment.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    /// How far the shipment is, where it could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment: Option<String>,
    /// When it was placed, RFC 3339 in UTC.
    placed_at: String,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct OrderLine {
    /// Product.
    product_id: String,
    /// Its name, once known.
    #[serde(default)]
    name: String,
    /// Price of one piece in cents, once known.
    #[serde(default)]
    price_cents: i64,
    /// Pieces.
    quantity: i64,
}

/// What a customer wants.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct NewOrder {
    /// The lines.
    lines: Vec<NewLine>,
}

/// One wish.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct NewLine {
    /// Product.
    product_id: String,
    /// Pieces, 1 to 1,000.
    quantity: i64,
}

/// Which page of one's orders.
#[derive(Debug, Deserialize, JsonSchema)]
struct Listing {
    /// Where the page before ended.
    cursor: Option<String>,
    /// Orders a page, 1 to 100.
    limit: Option<u32>,
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Page {
    /// The orders.
    items: Vec<Order>,
    /// Cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Limits of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Lines an order may have.
    max_lines: usize,
    /// After how many seconds an order that is still being placed, and that nobody holds, counts as left behind and is
    /// undone.
    abandoned_after_s: u32,
    /// How long an instance that does not say otherwise is taken to work on an order, in milliseconds. One that works
    /// says so three times in that time.
    lease_ms: u32,
    /// How often left-behind orders are looked for, in milliseconds.
    sweep_every_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_lines: 50,
            abandoned_after_s: 12,
            lease_ms: 2_000,
            sweep_every_ms: 2_000,
        }
    }
}

impl Settings {
    /// What no type says.
    fn check(&self) -> Result<(), String> {
        if self.max_lines == 0 {
            return Err("max_lines: expected at least 1, for an order without lines is none".to_owned());
        }
        Ok(())
    }
}

/// Opens the orders, looks after those that a killed instance left behind, and declares the routes.
pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let store = Store::open(&brick).await?;
    let shop = Shop::new(&brick, store, brick.config_checked(Settings::check)?);
    brickwork::spawn(shop.clone().sweep(brick.drain()));
    let users = Router::new()
        .route("/api/orders", get(list).post(create))
        .route("/api/orders/{id}", get(read))
        .with_state(shop);
    Ok(Access::new().users(users).openapi(document()))
}

async fn create(
    State(shop): State<Shop>,
    caller: Caller,
    headers: HeaderMap,
    Json(wish): Json<NewOrder>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Order>), Problem> {
    let customer = customer_id(&caller)?;
    let max_lines = shop.settings().max_lines;
    if wish.lines.is_empty() || wish.lines.len() > max_lines {
        let detail = format!("expected 1 to {max_lines} lines, found {}", wish.lines.len());
        return Err(Problem::unprocessable("invalid_lines", detail));
    }
    if let Some(line) = wish
        .lines
        .iter()
        .find(|line| !(1..=1_000).contains(&line.quantity))
    {
        let detail = format!(
            "expected a quantity of 1 to 1,000, found {} of {}",
            line.quantity, line.product_id
        );
        return Err(Problem::unprocessable("invalid_quantity", detail));
    }
    let key = idempotency_key(&headers)?;
    // A task of its own: a caller who hangs up must not leave an order half placed.
    let placing = brickwork::spawn(async move { shop.place(customer, key, wish).await });
    let order = placing.await.map_err(|_| Problem::internal())??;
    Ok((
        StatusCode::CREATED,
        [(LOCATION, format!("/api/orders/{}", order.id))],
        Json(order),
    ))
}

async fn list(
    State(shop): State<Shop>,
    caller: Caller,
    Query(page): Query<Listing>,
) -> Result<Json<Page>, Problem> {
    let limit = page.limit.unwrap_or(20).clamp(1, 100);
    Ok(Json(
        shop.store()
            .list(customer_id(&caller)?, page.cursor, limit)
            .await?,
    ))
}

async fn read(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Order>, Problem> {
    let found = shop.store().of_customer(id, customer_id(&caller)?).await?;
    let order = found.ok_or_else(|| Problem::not_found("unknown_order", "you have no such order"))?;
    Ok(Json(shop.with_shipment(order).await))
}

fn customer_id(caller: &Caller) -> Result<String, Problem> {
    let user = caller
        .user()
        .ok_or_else(|| Problem::forbidden("no_user", "only a customer has orders"))?;
    Ok(user.sub.clone())
}

/// The caller's key, if it sent one: the same key never places two orders.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=100).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(
            "idempotency_key",
            "expected an Idempotency-Key of 1 to 100 characters",
        )),
    }
}

fn document() -> Document {
    Document::new("Order", "v1")
        .operation(
            Operation::post("/api/orders")
                .summary("Place an order")
                .access("users")
                .header(
                    "idempotency-key",
                    "the same key never places two orders; one that was refused may be tried again",
                )
                .body::<NewOrder>()
                .answer::<Order>(201, "placed")
                .problem(402, "the payment was declined")
                .problem(404, "a product does not exist")
                .problem(409, "out of stock, or an order under this key is being placed")
                .problem(
                    422,
                    "the order is not acceptable, or the key was used for another one",
                )
                .problem(
                    503,
                    "a brick that is needed does not answer; what was done is undone",
                ),
        )
        .operation(
            Operation::get("/api/orders")
                .summary("One's own orders, newest first")
                .access("users")
                .query::<Listing>()
                .answer::<Page>(200, "a page of orders"),
        )
        .operation(
            Operation::get("/api/orders/{id}")
                .summary("One of one's own orders, with how far its shipment is")
                .access("users")
                .answer::<Order>(200, "the order")
                .problem(404, "no such order of this customer"),
        )
}

#[cfg(test)]
mod tests;
