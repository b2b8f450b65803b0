//! The brick {{name}}: greets.

use std::sync::Arc;

use brickwork::axum::Router;
use brickwork::axum::extract::State;
use brickwork::axum::routing::get;
use brickwork::telemetry::metrics::Counter;
use brickwork::{Access, Brick, Config, Json, Query, tracing};
use serde::{Deserialize, Serialize};

/// Values of `[config.{{name}}]` in brick.toml.
#[derive(Serialize, Deserialize)]
struct Settings {
    greeting: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { greeting: "Hello".to_owned() }
    }
}

#[derive(Deserialize)]
struct Guest {
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Greeting {
    message: String,
}

struct App {
    config: Config<Settings>,
    greeted: Counter,
}

#[tokio::main]
async fn main() -> Result<(), brickwork::Error> {
    let brick = Brick::from_env().await?;
    let access = app(brick.clone()).await?;
    brick.serve(access).await
}

/// What the brick has and which routes it serves, each with who may call it.
async fn app(brick: Brick) -> Result<Access, brickwork::Error> {
    let app = App {
        config: brick.config()?,
        greeted: brick.metrics().counter("greetings_total", "Greetings given"),
    };
    let routes = Router::new().route("/hello", get(hello)).with_state(Arc::new(app));
    Ok(Access::new().public(routes))
}

async fn hello(State(app): State<Arc<App>>, Query(guest): Query<Guest>) -> Json<Greeting> {
    let name = guest.name.unwrap_or_else(|| "world".to_owned());
    app.greeted.inc();
    tracing::info!(name, "greeted");
    Json(Greeting { message: format!("{}, {name}!", app.config.get().greeting) })
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;

    use super::*;

    #[tokio::test]
    async fn a_guest_is_greeted_by_name() {
        let brick = TestBrick::builder("{{name}}").env("GREETING", "Hi").start(app).await;
        let answer = brick.get("/hello?name=Ann").send().await.expect(200);
        assert_eq!(answer.json::<Greeting>().message, "Hi, Ann!");
        assert_eq!(brick.metric("greetings_total"), Some(1.0));
    }
}
