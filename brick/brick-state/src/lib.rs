//! Externalised State: SQL that survives the process, with the durability told truthfully.
//!
//! A brick keeps nothing in memory that it could not lose. [`Database`] is one SQLite file (write-ahead log,
//! `synchronous=FULL`) with one writing thread that commits many closures at once and a few reading connections; an
//! answer to a write means that its commit is on disk. The SQL is portable (`$1`, ordered migrations), and nothing of
//! SQLite shows in the interface, so that PostgreSQL can stand behind it.
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
pub mod migration;
pub mod sessions;
pub mod statement;
pub mod value;

mod connection;
mod summary;
mod writer;

pub use database::{Database, Options, Stats};
pub use error::{Constraint, Error};
pub use migration::Migration;
pub use sessions::{SessionId, Sessions};
pub use statement::{Reader, Tx};
pub use value::{Cell, FromCell, Param, Row};
