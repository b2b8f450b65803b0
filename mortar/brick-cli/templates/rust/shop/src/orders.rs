//! The brick orders: takes orders, at the price that the catalogue says, and keeps them.

use std::sync::Arc;

use brickwork::axum::extract::State;
use brickwork::axum::{Router, routing::get};
use brickwork::core::Incarnation;
use brickwork::http::StatusCode;
use brickwork::telemetry::metrics::Counter;
use brickwork::{Access, Brick, Client, Config, Database, Json, Migration, Problem, path_segment, tracing};
use serde::{Deserialize, Serialize};

use crate::catalogue::Product;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "orders",
    sql: "CREATE TABLE placed (id TEXT PRIMARY KEY, product TEXT NOT NULL, quantity BIGINT NOT NULL,
                               total_cents BIGINT NOT NULL);",
}];

/// Values of `[config.orders]` in brick.toml.
#[derive(Serialize, Deserialize)]
struct Settings {
    quantity_max: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quantity_max: 10 }
    }
}

#[derive(Deserialize)]
struct NewOrder {
    product_id: String,
    quantity: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: String,
    product: String,
    quantity: i64,
    total_cents: i64,
}

#[derive(Serialize, Deserialize)]
struct Page {
    items: Vec<Order>,
}

struct App {
    database: Database,
    catalogue: Client,
    config: Config<Settings>,
    placed: Counter,
}

pub(crate) async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let app = App {
        database: brick.state(MIGRATIONS).await?,
        catalogue: brick.client("catalogue"),
        config: brick.config()?,
        placed: brick.metrics().counter("orders_placed_total", "Orders placed"),
    };
    let routes = Router::new().route("/api/orders", get(list).post(place)).with_state(Arc::new(app));
    Ok(Access::new().public(routes))
}

async fn place(
    State(app): State<Arc<App>>,
    Json(wish): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), Problem> {
    let most = app.config.get().quantity_max;
    if !(1..=most).contains(&wish.quantity) {
        let detail = format!("expected a quantity of 1 to {most}, found {}", wish.quantity);
        return Err(Problem::unprocessable("invalid_quantity", detail));
    }
    // Discovered, balanced, with a time limit, and in the same trace.
    let path = format!("/api/products/{}", path_segment(&wish.product_id));
    let product: Product = app.catalogue.get(path).fetch().await.map_err(|error| {
        match error.problem() {
            Some(told) if told.status == 404 => told.clone(),
            _ => error.into(),
        }
    })?;
    let order = Order {
        id: Incarnation::new().to_string(),
        product: product.name,
        quantity: wish.quantity,
        total_cents: product.price_cents * wish.quantity,
    };
    let row = order.clone();
    app.database
        .write(move |tx| {
            tx.execute(
                "INSERT INTO placed (id, product, quantity, total_cents) VALUES ($1, $2, $3, $4)",
                &[row.id.into(), row.product.into(), row.quantity.into(), row.total_cents.into()],
            )
        })
        .await?;
    app.placed.inc();
    tracing::info!(order = %order.id, total_cents = order.total_cents, "placed");
    Ok((StatusCode::CREATED, Json(order)))
}

async fn list(State(app): State<Arc<App>>) -> Result<Json<Page>, Problem> {
    let newest = "SELECT id, product, quantity, total_cents FROM placed ORDER BY id DESC LIMIT 50";
    let items = app.database.read(move |db| {
        db.query(newest, &[], |row| {
            Ok(Order {
                id: row.get(0)?,
                product: row.get(1)?,
                quantity: row.get(2)?,
                total_cents: row.get(3)?,
            })
        })
    });
    Ok(Json(Page { items: items.await? }))
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;
    use brickwork::serde_json::json;

    use super::*;

    async fn start() -> TestBrick {
        let lamp = Product { id: "lamp".to_owned(), name: "Lamp".to_owned(), price_cents: 3_900 };
        let catalogue = Router::new().route("/api/products/lamp", get(async move || Json(lamp)));
        TestBrick::builder("orders").needs("catalogue", catalogue).start(app).await
    }

    #[tokio::test]
    async fn an_order_is_placed_at_the_catalogues_price_and_kept() {
        let brick = start().await;
        let wish = json!({ "product_id": "lamp", "quantity": 2 });
        let order: Order = brick.post("/api/orders").json(&wish).send().await.expect(201).json();
        assert_eq!(order.total_cents, 7_800);
        let page: Page = brick.get("/api/orders").send().await.expect(200).json();
        assert_eq!(page.items, [order]);
        assert_eq!(brick.metric("orders_placed_total"), Some(1.0));
    }

    #[tokio::test]
    async fn what_cannot_be_ordered_is_refused() {
        let brick = start().await;
        for (product, quantity, status) in [("none", 1, 404), ("lamp", 0, 422), ("lamp", 11, 422)] {
            let wish = json!({ "product_id": product, "quantity": quantity });
            brick.post("/api/orders").json(&wish).send().await.expect(status);
        }
    }
}
