//! A whole brick: typed configuration, a route, a metric. `cargo run -p brickwork --example hello`, then
//! `curl` the address it logs with `/hello`, `/info`, `/health` or `/metrics`.

use brickwork::axum::{Router, routing::get};
use brickwork::{Access, Brick, Json, Query};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Settings {
    greeting: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            greeting: "Hello".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct Guest {
    name: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), brickwork::Error> {
    let brick = Brick::from_env().await?;
    let config = brick.config::<Settings>()?;
    let greeted = brick.metrics().counter("hello_greeted_total", "greetings given");
    let hello = async move |Query(guest): Query<Guest>| {
        greeted.inc();
        let name = guest.name.unwrap_or_else(|| "world".to_owned());
        Json(format!("{}, {name}!", config.get().greeting))
    };
    let routes = Router::new().route("/hello", get(hello));
    brick.serve(Access::new().public(routes)).await
}
