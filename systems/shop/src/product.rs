//! Product: what is sold. Owns the catalogue and the stock; reserves stock for an order and gives it back.

mod seed;
mod store;

use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Router, http::StatusCode};
use brickwork::openapi::{Document, Operation};
use brickwork::{Access, Brick, Json, Path, Problem, Query, axum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use self::store::Store;

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Product {
    /// Id, UUIDv7.
    id: String,
    /// Name.
    name: String,
    /// One or two sentences.
    description: String,
    /// Kind of product, for search and recommendations.
    category: String,
    /// Price in cents.
    price_cents: i64,
    /// Pieces in stock.
    quantity: i64,
}

/// A product as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct ProductForm {
    /// Name, 1 to 100 characters.
    name: String,
    /// Description, at most 500 characters.
    #[serde(default)]
    description: String,
    /// Category.
    category: String,
    /// Price in cents, 1 to 100,000,000.
    price_cents: i64,
    /// Pieces in stock, 0 to 1,000,000,000.
    quantity: i64,
}

/// A search.
#[derive(Debug, Deserialize, JsonSchema)]
struct Search {
    /// Words that name, description or category must hold.
    #[serde(default)]
    q: String,
    /// Only this category.
    category: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// Products a page, 1 to 100.
    limit: Option<u32>,
}

/// A page of products, by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Page {
    /// The products.
    items: Vec<Product>,
    /// Cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What an order wants to have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Reserve {
    /// Id of the order; reserving twice for the same order changes nothing.
    order_id: String,
    /// The lines.
    lines: Vec<Line>,
}

/// Pieces of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Line {
    /// Product.
    product_id: String,
    /// Pieces, 1 to 1,000.
    quantity: i64,
}

/// Stock set aside for an order, at the prices of this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Reservation {
    /// Id of the order.
    order_id: String,
    /// The lines with name and price.
    lines: Vec<ReservedLine>,
    /// Sum in cents.
    total_cents: i64,
}

/// One line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct ReservedLine {
    /// Product.
    product_id: String,
    /// Its name.
    name: String,
    /// Price of one piece in cents.
    price_cents: i64,
    /// Pieces.
    quantity: i64,
}

/// How the first start fills the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// How many products the first start puts in.
    seed_products: u32,
    /// Pieces of each of them.
    seed_quantity: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed_products: 200,
            seed_quantity: 100_000,
        }
    }
}

/// Lines that one reservation may have.
const LINES_MAX: usize = 100;

/// Opens catalogue and stock and declares the routes.
pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let settings = brick.config::<Settings>()?.get();
    let store = Store::open(&brick).await?;
    store
        .seed(seed::products(settings.seed_products, settings.seed_quantity))
        .instrument(tracing::info_span!("seed"))
        .await?;
    let public = Router::new()
        .route("/api/products", get(search))
        .route("/api/products/{id}", get(read))
        .with_state(store.clone());
    let admins = Router::new()
        .route("/api/products", post(create))
        .route("/api/products/{id}", axum::routing::put(update).delete(remove))
        .with_state(store.clone());
    let bricks = Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}", delete(release))
        .with_state(store);
    Ok(Access::new()
        .public(public)
        .users_with("admin", admins)
        .bricks(bricks)
        .openapi(document()))
}

async fn search(State(store): State<Store>, Query(search): Query<Search>) -> Result<Json<Page>, Problem> {
    let limit = search.limit.unwrap_or(24).clamp(1, 100);
    Ok(Json(
        store
            .search(search.q, search.category, search.cursor, limit)
            .await?,
    ))
}

async fn read(State(store): State<Store>, Path(id): Path<String>) -> Result<Json<Product>, Problem> {
    store.by_id(id).await?.map(Json).ok_or_else(unknown)
}

async fn create(
    State(store): State<Store>,
    Json(form): Json<ProductForm>,
) -> Result<(StatusCode, Json<Product>), Problem> {
    let product = store.insert(check(form)?).await?;
    tracing::info!(product = %product.id, "created");
    Ok((StatusCode::CREATED, Json(product)))
}

async fn update(
    State(store): State<Store>,
    Path(id): Path<String>,
    Json(form): Json<ProductForm>,
) -> Result<Json<Product>, Problem> {
    store
        .update(id, check(form)?)
        .await?
        .map(Json)
        .ok_or_else(unknown)
}

async fn remove(State(store): State<Store>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    if store.delete(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}

async fn reserve(
    State(store): State<Store>,
    Json(wish): Json<Reserve>,
) -> Result<(StatusCode, Json<Reservation>), Problem> {
    if wish.lines.is_empty() || wish.lines.len() > LINES_MAX {
        let detail = format!("expected 1 to {LINES_MAX} lines, found {}", wish.lines.len());
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
    let order_id = wish.order_id.clone();
    let reservation = store.reserve(wish).await?;
    tracing::info!(order = %order_id, total_cents = reservation.total_cents, "reserved");
    Ok((StatusCode::CREATED, Json(reservation)))
}

async fn release(State(store): State<Store>, Path(order_id): Path<String>) -> Result<StatusCode, Problem> {
    if store.release(order_id.clone()).await? {
        tracing::info!(order = %order_id, "released");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn unknown() -> Problem {
    Problem::not_found("unknown_product", "there is no such product")
}

fn check(form: ProductForm) -> Result<ProductForm, Problem> {
    let name = form.name.trim().chars().count();
    if !(1..=100).contains(&name) {
        return Err(Problem::unprocessable(
            "invalid_name",
            "a name has 1 to 100 characters",
        ));
    }
    if form.description.chars().count() > 500 {
        return Err(Problem::unprocessable(
            "invalid_description",
            "a description has at most 500 characters",
        ));
    }
    if !(1..=100_000_000).contains(&form.price_cents) || !(0..=1_000_000_000).contains(&form.quantity) {
        let detail = format!(
            "expected a price of 1 to 100,000,000 cents and a quantity of 0 to 1,000,000,000, found {} and {}",
            form.price_cents, form.quantity
        );
        return Err(Problem::unprocessable("invalid_number", detail));
    }
    Ok(form)
}

fn document() -> Document {
    Document::new("Product", "v1")
        .operation(
            Operation::get("/api/products")
                .summary("Search the catalogue")
                .access("public")
                .query::<Search>()
                .answer::<Page>(200, "a page of products, by name"),
        )
        .operation(
            Operation::post("/api/products")
                .summary("Create a product")
                .access("users:admin")
                .body::<ProductForm>()
                .answer::<Product>(201, "created")
                .problem(422, "a field is not acceptable"),
        )
        .operation(
            Operation::get("/api/products/{id}")
                .summary("Read a product")
                .access("public")
                .answer::<Product>(200, "the product")
                .problem(404, "no such product"),
        )
        .operation(
            Operation::put("/api/products/{id}")
                .summary("Change a product")
                .access("users:admin")
                .body::<ProductForm>()
                .answer::<Product>(200, "the product as it is now")
                .problem(404, "no such product"),
        )
        .operation(
            Operation::delete("/api/products/{id}")
                .summary("Delete a product")
                .access("users:admin")
                .empty(204, "deleted")
                .problem(404, "no such product"),
        )
        .operation(
            Operation::post("/reservations")
                .summary(
                    "Reserve stock for an order, all lines or none; the same order twice changes nothing",
                )
                .access("bricks")
                .body::<Reserve>()
                .answer::<Reservation>(201, "reserved")
                .problem(404, "no such product")
                .problem(409, "out of stock, or released before"),
        )
        .operation(
            Operation::delete("/reservations/{order_id}")
                .summary("Give reserved stock back, for good: the order reserves nothing any more")
                .access("bricks")
                .empty(204, "nothing is reserved any more"),
        )
}

#[cfg(test)]
mod tests;
