//! Storefront: the backend of the browser. Owns nobody's data but its sessions.
//!
//! The cart lives in the browser's local storage, tokens and sessions in the brick's session store, nothing in memory:
//! any instance may die between two clicks and nobody is signed out or charged twice. A checkout carries a key that
//! the browser made; it repeats the request with the same key until somebody answers.

mod assets;
mod failure;
mod html;
mod pages;
mod session;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use brickwork::core::chain;
use brickwork::openapi::{Document, Operation};
use brickwork::{Access, Brick, CallError, Client, Flag, Json, Path, Problem, Query, axum, path_segment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::failure::Failure;
use self::session::Visitors;
use crate::passed_on;

/// What the pages need of a product.
#[derive(Debug, Clone, Deserialize)]
struct Product {
    id: String,
    name: String,
    description: String,
    category: String,
    price_cents: i64,
    quantity: i64,
}

#[derive(Debug, Deserialize)]
struct Catalogue {
    items: Vec<Product>,
    next: Option<String>,
}

/// What the pages need of an order.
#[derive(Debug, Clone, Deserialize)]
struct Order {
    id: String,
    status: String,
    lines: Vec<Line>,
    total_cents: i64,
    shipment: Option<String>,
    placed_at: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Line {
    name: String,
    price_cents: i64,
    quantity: i64,
}

#[derive(Debug, Deserialize)]
struct Orders {
    items: Vec<Order>,
}

#[derive(Debug, Deserialize)]
struct Recommended {
    items: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    cursor: String,
}

#[derive(Debug, Deserialize)]
struct SignIn {
    email: String,
    password: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SignUp {
    email: String,
    name: String,
    address: String,
    password: String,
}

/// A checkout as the page posts it.
#[derive(Debug, Deserialize, JsonSchema)]
struct Checkout {
    /// Made by the browser; the same key never orders twice.
    key: String,
    /// What is in the cart.
    lines: Vec<CartLine>,
}

/// Pieces of one product.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct CartLine {
    /// Product.
    product_id: String,
    /// Pieces, 1 to 1,000.
    quantity: i64,
}

/// The order that a checkout became.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckedOut {
    /// Id of the order.
    order_id: String,
}

#[derive(Clone)]
struct App {
    /// Whether a product can be ordered from its own page, past the cart.
    express: Flag<bool>,
    visitors: Visitors,
    customer: Client,
    product: Client,
    order: Client,
    recommendation: Client,
}

/// Opens the sessions and declares the routes. Pages are public; what needs a customer asks the session.
pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let app = App {
        express: brick.flag("express_checkout", false),
        visitors: Visitors::open(&brick).await?,
        customer: brick.client("customer"),
        product: brick.client("product"),
        order: brick.client("order"),
        recommendation: brick.client("recommendation"),
    };
    let pages = Router::new()
        .route("/", get(catalogue))
        .route("/products/{id}", get(product))
        .route("/cart", get(cart))
        .route("/signin", get(signin_page).post(signin))
        .route("/signup", get(signup_page).post(signup))
        .route("/signout", post(signout))
        .route("/checkout", post(checkout))
        .route("/orders", get(orders))
        .route("/orders/{id}", get(order))
        .fallback(nowhere)
        .with_state(app)
        .layer(axum::middleware::map_response(assets::secure))
        .merge(assets::routes());
    Ok(Access::new().public(pages).openapi(document()))
}

async fn catalogue(
    State(app): State<App>,
    headers: HeaderMap,
    Query(search): Query<Search>,
) -> Result<Response, Failure> {
    let session = app.visitors.session(&headers).await?;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (category, cursor) = (given(&search.category), given(&search.cursor));
    let query = json!({ "q": search.q, "limit": 24, "category": category, "cursor": cursor });
    let found: Catalogue = app.product.get("/api/products").query(&query).fetch().await?;
    Ok(pages::catalogue(session.as_ref(), &search.q, &search.category, &found).into_response())
}

async fn product(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let session = app.visitors.session(&headers).await?;
    let product = app.product(&id).await?;
    let others = app.recommended(&product.id).await;
    let express = session
        .as_ref()
        .is_some_and(|session| app.express.get_for(&session.customer_id));
    Ok(pages::product(session.as_ref(), &product, &others, express).into_response())
}

async fn cart(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(pages::cart(app.visitors.session(&headers).await?.as_ref()).into_response())
}

async fn signin_page(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(pages::signin(app.visitors.session(&headers).await?.as_ref(), "", None).into_response())
}

async fn signup_page(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(pages::signup(app.visitors.session(&headers).await?.as_ref(), None).into_response())
}

async fn signin(
    State(app): State<App>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Failure> {
    session::same_site(&headers)?;
    let body = json!({ "email": form.email, "password": form.password });
    match app
        .customer
        .post("/api/customers/sessions")
        .json(&body)
        .fetch()
        .await
    {
        Ok(signed_in) => Ok(app.enter(&headers, &signed_in).await?),
        Err(error) => {
            let told = told_to_the_person(error)?;
            let page = pages::signin(None, &form.email, Some(told.summary()));
            Ok((status_of(&told), page).into_response())
        }
    }
}

async fn signup(
    State(app): State<App>,
    headers: HeaderMap,
    Form(form): Form<SignUp>,
) -> Result<Response, Failure> {
    session::same_site(&headers)?;
    match app.customer.post("/api/customers").json(&form).fetch().await {
        Ok(signed_in) => Ok(app.enter(&headers, &signed_in).await?),
        Err(error) => {
            let told = told_to_the_person(error)?;
            Ok((status_of(&told), pages::signup(None, Some(told.summary()))).into_response())
        }
    }
}

async fn signout(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    session::same_site(&headers)?;
    let cookie = app.visitors.leave(&headers).await?;
    Ok(([cookie], Redirect::to("/")).into_response())
}

/// Orders what is in the browser's cart. The answer is JSON: the page's script asks, and asks again.
async fn checkout(
    State(app): State<App>,
    headers: HeaderMap,
    Json(checkout): Json<Checkout>,
) -> Result<(StatusCode, Json<CheckedOut>), Problem> {
    session::same_site(&headers)?;
    let session = app.visitors.session(&headers).await?;
    let session = session.ok_or_else(|| Problem::unauthorized("not_signed_in", "sign in first"))?;
    let order = app
        .order
        .post("/api/orders")
        .user_token(&session.token)
        .idempotency_key(&checkout.key);
    let placed = order
        .json(&json!({ "lines": checkout.lines }))
        .fetch::<Order>()
        .await
        .map_err(passed_on)?;
    tracing::info!(order = %placed.id, total_cents = placed.total_cents, "checked out");
    Ok((StatusCode::CREATED, Json(CheckedOut { order_id: placed.id })))
}

async fn orders(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let Some(session) = app.visitors.session(&headers).await? else {
        return Ok(Redirect::to("/signin").into_response());
    };
    let listed: Orders = app
        .order
        .get("/api/orders")
        .user_token(&session.token)
        .fetch()
        .await?;
    Ok(pages::orders(&session, &listed.items).into_response())
}

async fn order(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Some(session) = app.visitors.session(&headers).await? else {
        return Ok(Redirect::to("/signin").into_response());
    };
    let asked = app.order.get(format!("/api/orders/{}", path_segment(&id)));
    let order: Order = asked.user_token(&session.token).fetch().await?;
    Ok(pages::order(&session, &order).into_response())
}

async fn nowhere() -> Failure {
    Problem::not_found("not_found", "There is no such page.").into()
}

impl App {
    async fn enter(&self, headers: &HeaderMap, signed_in: &Value) -> Result<Response, Problem> {
        let cookie = self.visitors.enter(headers, signed_in).await?;
        Ok(([cookie], Redirect::to("/")).into_response())
    }

    async fn product(&self, id: &str) -> Result<Product, CallError> {
        self.product
            .get(format!("/api/products/{}", path_segment(id)))
            .fetch()
            .await
    }

    /// Products that go with one; none where the recommendation brick is slow, sick or not there.
    async fn recommended(&self, id: &str) -> Vec<Product> {
        let asked = self
            .recommendation
            .get("/api/recommendations")
            .query(&json!({ "product_id": id }));
        let ids = match asked.fetch::<Recommended>().await {
            Ok(recommended) => recommended.items,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "no recommendations, the page goes without");
                return Vec::new();
            }
        };
        let mut products = Vec::new();
        for id in ids.iter().take(4) {
            products.extend(self.product(id).await.ok());
        }
        products
    }
}

/// What the customer brick says to the person at the form; everything else is ours to report.
fn told_to_the_person(error: CallError) -> Result<Problem, Problem> {
    match error.problem() {
        Some(told) if matches!(told.status, 401 | 409 | 422 | 429) => Ok(told.clone()),
        _ => Err(error.into()),
    }
}

fn document() -> Document {
    Document::new("Storefront", "v1")
        .description("The shop's pages, and what their script asks. A session cookie says who is signed in.")
        .operation(
            Operation::post("/checkout")
                .summary("Order what is in the cart; posts of other sites are refused")
                .access("public")
                .body::<Checkout>()
                .answer::<CheckedOut>(201, "ordered")
                .problem(401, "nobody is signed in")
                .problem(402, "the payment was declined")
                .problem(403, "the post of another site")
                .problem(409, "out of stock, or an order under this key is being placed")
                .problem(
                    503,
                    "a brick that is needed does not answer; what was done is undone",
                ),
        )
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests;
