//! Externalised State: SQL that survives the process, with the durability told truthfully.
//!
//! A brick keeps nothing in memory that it could not lose. [`Database`] is one SQLite file (write-ahead log,
//! `synchronous=FULL`) with one writing thread that commits many closures at once and a few reading connections, or a
//! PostgreSQL database with a bounded pool of connections; an answer to a write means that its commit is on disk. The
//! SQL is portable (`$1`, ordered migrations whose types [both engines take](migration)), so the URL alone decides.
//!
//! Beside the closures: [`Tx::notify`] and [`Database::listen`] tell other processes of a commit ([`notify`]),
//! [`Database::try_lead`] elects one of them ([`lead`]), and [`Tx::lock`] has closures take turns.
//!
//! What always holds:
//! - `Ok` from [`Database::write`] means durable; an error or a panic in one closure undoes that closure alone;
//! - a database of a newer program is refused, never guessed at;
//! - a statement's text is in its span, its values never.
//!
//! ```
//! use brick_state::{Database, Migration, Options};
//!
//! const MIGRATIONS: &[Migration] = &[Migration {
//!     version: 1,
//!     name: "products",
//!     sql: "create table product (id text primary key, quantity integer not null)",
//! }];
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), brick_state::Error> {
//! let db = Database::open(Options::new("sqlite::memory:", MIGRATIONS)).await?;
//! db.write(|tx| tx.execute("insert into product (id, quantity) values ($1, $2)", &["lamp".into(), 3.into()]))
//!     .await?;
//! let left = db
//!     .read(|r| {
//!         r.query_one("select quantity from product where id = $1", &["lamp".into()], |row| row.get::<i64>(0))
//!     })
//!     .await?;
//! assert_eq!(left, Some(3));
//! # Ok(())
//! # }
//! ```

pub mod database;
pub mod error;
pub mod lead;
pub mod migration;
pub mod notify;
pub mod sessions;
pub mod statement;
pub mod value;

mod postgres;
mod sqlite;
mod summary;

pub use database::{Database, Options, Stats};
pub use error::{Constraint, Error};
pub use lead::Lead;
pub use migration::Migration;
pub use notify::{Heard, Listener};
pub use sessions::{SessionId, Sessions};
pub use statement::{Reader, Tx};
pub use value::{Cell, FromCell, Param, Row};
