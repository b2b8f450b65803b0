//! The patterns that this crate carries, each with the code that uses it.
//!
//! What each is for, and which forces it answers, stands in `docs/patterns` of the repository; here is what a brick's
//! author writes. Every example compiles, and those that need no platform run with the tests.
//!
//! # Externalised Configuration
//!
//! A struct with defaults is the whole declaration. [`Brick::config`](crate::Brick::config) lays the manifest, files,
//! live changes, environment and arguments over it, and [`Config::get`](crate::Config::get) is always the newest
//! whole: read it anew in each request. [`Brick::config_checked`](crate::Brick::config_checked) adds a rule of the
//! brick's own; a value that breaks it is refused at start, and as a live change, with the old values left in use.
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Settings {
//!     max_lines: usize,
//! }
//!
//! impl Default for Settings {
//!     fn default() -> Self {
//!         Self { max_lines: 50 }
//!     }
//! }
//!
//! # async fn app(brick: brickwork::Brick) -> Result<(), brickwork::Error> {
//! let config = brick.config_checked(|settings: &Settings| {
//!     if settings.max_lines == 0 {
//!         return Err("max_lines: expected at least 1, found 0".to_owned());
//!     }
//!     Ok(())
//! })?;
//! for setting in config.origins() {
//!     brickwork::tracing::info!(key = setting.key, origin = %setting.origin, "configured");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Externalised State
//!
//! A brick keeps nothing in its process that its users would miss. [`Brick::state`](crate::Brick::state) is its own
//! database, brought to the last migration; a closure given to [`Database::write`](crate::Database::write) is one
//! transaction, and its answer comes after it is on disk. [`Sessions`](crate::Sessions) keep what a visitor left
//! between two requests, so that any instance may serve the second.
//!
//! ```no_run
//! # use std::time::Duration;
//! use brickwork::{Brick, Migration};
//!
//! const MIGRATIONS: &[Migration] = &[Migration {
//!     version: 1,
//!     name: "notes",
//!     sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
//! }];
//!
//! # async fn app(brick: Brick) -> Result<(), brickwork::Error> {
//! let database = brick.state(MIGRATIONS).await?;
//! let sessions = brick.sessions(&database, Duration::from_secs(3_600)).await?;
//!
//! database
//!     .write(|tx| tx.execute("INSERT INTO note (text) VALUES ($1)", &["buy lime".into()]))
//!     .await?;
//! let count = database
//!     .read(|reader| reader.query_one("SELECT count(*) FROM note", &[], |row| row.get::<i64>(0)))
//!     .await?;
//! let visitor = sessions.create(&count).await?;
//! # let _ = visitor;
//! # Ok(())
//! # }
//! ```
//!
//! # Brick Telemetry
//!
//! `/info`, `/health`, `/health/live`, `/health/ready` and `/metrics` are served without being asked for. A brick adds
//! what only it knows: figures of its business, parts that must work ([`component`]), bricks and services that should
//! ([`dependency`]). Log with [`tracing`](crate::tracing); lines and spans carry the trace of the request they belong
//! to, also in tasks started by [`spawn`](crate::spawn()).
//!
//! [`component`]: crate::telemetry::health::Health::component
//! [`dependency`]: crate::telemetry::health::Health::dependency
//!
//! ```no_run
//! use brickwork::{Brick, tracing};
//!
//! # async fn app(brick: Brick) -> Result<(), brickwork::Error> {
//! let placed = brick.metrics().counter("shop_orders_placed_total", "orders placed");
//! let packing = brick.metrics().timer("shop_packing_seconds", "time to pack an order");
//! let payment = brick.client("payment");
//! brick.health().dependency("payment", move || {
//!     let up = payment.is_up();
//!     async move { if up { Ok(()) } else { Err("no instance of payment is up".to_owned()) } }
//! });
//!
//! placed.inc();
//! packing.observe(0.012);
//! tracing::info!(order = "o-1", "placed");
//! brickwork::spawn(async { tracing::info!("told the warehouse") });
//! # Ok(())
//! # }
//! ```
//!
//! # Service Discovery
//!
//! A brick names the brick it calls; which instance answers is decided call by call, from what the bus said and what
//! each instance has shown of late. The name must stand in the manifest's `needs`. The trace and the user of the
//! request that is being served go along.
//!
//! ```no_run
//! # use std::time::Duration;
//! use brickwork::{Brick, CallError, Problem, path_segment};
//! # use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Product {
//!     name: String,
//! }
//!
//! async fn name_of(brick: &Brick, id: &str) -> Result<String, Problem> {
//!     let path = format!("/api/products/{}", path_segment(id));
//!     let call = brick.client("product").get(path).timeout(Duration::from_millis(500));
//!     match call.fetch::<Product>().await {
//!         Ok(product) => Ok(product.name),
//!         Err(CallError::NoInstance { .. }) => Ok("(unknown for now)".to_owned()),
//!         Err(error) => Err(error.into()),
//!     }
//! }
//! ```
//!
//! # Edge Gateway
//!
//! The edge decides which public path leads where; the brick decides who may call it. Every route stands in one of
//! [`Access`](crate::Access)'s groups, and [`Caller`](crate::Caller) says who it is.
//!
//! ```
//! use brickwork::axum::Router;
//! use brickwork::axum::routing::{get, post};
//! use brickwork::{Access, Caller, Json};
//!
//! async fn mine(caller: Caller) -> Json<String> {
//!     Json(caller.user().map(|user| user.sub.clone()).unwrap_or_default())
//! }
//!
//! let access = Access::new()
//!     .public(Router::new().route("/api/products", get(async || "lamps")))
//!     .users(Router::new().route("/api/orders", get(mine)))
//!     .bricks(Router::new().route("/reservations", post(async || "kept")));
//! # let _ = access;
//! ```
//!
//! # Integration Telemetry
//!
//! Nothing is written for it: calls, SQL statements and tasks are spans of the request's trace, and the platform draws
//! the map from them. Where a step of the business deserves a name of its own, give it a span.
//!
//! ```
//! use brickwork::tracing::{Instrument as _, info_span};
//!
//! async fn pack(order: &str) {
//!     let span = info_span!("pack", order);
//!     async { /* … */ }.instrument(span).await;
//! }
//! # let _ = pack;
//! ```
