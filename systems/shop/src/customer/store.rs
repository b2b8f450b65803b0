//! The customers' own tables.

use brickwork::state::Error;
use brickwork::{Brick, Config, Database, Migration, Problem, Row};
use jiff::Timestamp;
use uuid::Uuid;

use super::password::Passwords;
use super::{Customer, Settings};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "customers",
    sql: "
        CREATE TABLE customer (
            id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, address TEXT NOT NULL,
            password_hash TEXT NOT NULL, created_at BIGINT NOT NULL);
        CREATE TABLE sign_in_failure (email TEXT PRIMARY KEY, failures BIGINT NOT NULL, last_at BIGINT NOT NULL);
        CREATE INDEX sign_in_failure_by_age ON sign_in_failure (last_at);",
}];

const COLUMNS: &str = "id, email, name, address, password_hash";

#[derive(Debug, Clone)]
pub(super) struct Store {
    database: Database,
    settings: Config<Settings>,
}

/// Whether an address may try to sign in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It may.
    Go,
    /// Not before this many seconds are over.
    Wait { seconds: i64 },
}

impl Store {
    pub(super) async fn open(brick: &Brick, settings: Config<Settings>) -> Result<Self, brickwork::Error> {
        Ok(Self {
            database: brick.state(MIGRATIONS).await?,
            settings,
        })
    }

    /// Puts `count` made-up customers into an empty table; they all share one hash, of the password `correct horse`.
    pub(super) async fn seed(&self, count: u32, passwords: &Passwords) -> Result<(), brickwork::Error> {
        let empty = "SELECT COUNT(*) FROM customer";
        let rows = self
            .database
            .read(move |db| db.query_one(empty, &[], |row| row.get::<i64>(0)))
            .await?;
        if rows != Some(0) || count == 0 {
            return Ok(());
        }
        let Ok(hash) = passwords.hash("correct horse".to_owned()).await else {
            return Ok(());
        };
        self.database
            .write(move |tx| {
                for number in 1..=count {
                    let id = Uuid::now_v7().to_string();
                    let (email, name) = (
                        format!("customer{number}@example.org"),
                        format!("Customer {number}"),
                    );
                    let address = format!("{number} Kiln Lane, Claytown");
                    tx.execute(
                        "INSERT INTO customer (id, email, name, address, password_hash, created_at)
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                        &[
                            id.into(),
                            email.into(),
                            name.into(),
                            address.into(),
                            hash.clone().into(),
                            Timestamp::now().as_second().into(),
                        ],
                    )?;
                }
                Ok(())
            })
            .await?;
        tracing::info!(customers = count, "seeded");
        Ok(())
    }

    pub(super) async fn insert(
        &self,
        email: String,
        name: String,
        address: String,
        hash: String,
    ) -> Result<Customer, Problem> {
        let customer = Customer {
            id: Uuid::now_v7().to_string(),
            email,
            name,
            address,
        };
        let row = customer.clone();
        let written = self.database.write(move |tx| {
            tx.execute(
                "INSERT INTO customer (id, email, name, address, password_hash, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    row.id.into(),
                    row.email.into(),
                    row.name.into(),
                    row.address.into(),
                    hash.into(),
                    Timestamp::now().as_second().into(),
                ],
            )
        });
        match written.await {
            Ok(_) => Ok(customer),
            Err(error) if error.is_unique_violation() => Err(Problem::conflict(
                "email_taken",
                "there already is a customer with that e-mail address",
            )),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn by_email(&self, email: String) -> Result<Option<(Customer, String)>, Error> {
        self.one(format!("SELECT {COLUMNS} FROM customer WHERE email = $1"), email)
            .await
    }

    pub(super) async fn by_id(&self, id: String) -> Result<Option<Customer>, Error> {
        let found = self
            .one(format!("SELECT {COLUMNS} FROM customer WHERE id = $1"), id)
            .await?;
        Ok(found.map(|(customer, _)| customer))
    }

    pub(super) async fn update(
        &self,
        id: String,
        name: String,
        address: String,
    ) -> Result<Option<Customer>, Error> {
        let key = id.clone();
        let update = "UPDATE customer SET name = $2, address = $3 WHERE id = $1";
        self.database
            .write(move |tx| tx.execute(update, &[key.into(), name.into(), address.into()]))
            .await?;
        self.by_id(id).await
    }

    /// Lets the address try, and counts the try as a failure until it succeeds; or tells how long it has to wait.
    /// Failures older than the waiting time are forgotten.
    pub(super) async fn attempt(&self, email: String) -> Result<Attempt, Error> {
        let settings = self.settings.get();
        let (failures_max, wait_s) = (
            i64::from(settings.sign_in_failures_max),
            i64::from(settings.sign_in_wait_s),
        );
        self.database
            .write(move |tx| {
                let now = Timestamp::now().as_second();
                tx.execute(
                    "DELETE FROM sign_in_failure WHERE last_at <= $1",
                    &[(now - wait_s).into()],
                )?;
                let select = "SELECT failures, last_at FROM sign_in_failure WHERE email = $1";
                let read = |row: &Row<'_>| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?));
                let found = tx.query_one(select, &[email.clone().into()], read)?;
                if let Some((failures, last_at)) = found
                    && failures >= failures_max
                {
                    return Ok(Attempt::Wait {
                        seconds: last_at + wait_s - now,
                    });
                }
                tx.execute(
                    "INSERT INTO sign_in_failure (email, failures, last_at) VALUES ($1, 1, $2)
                     ON CONFLICT (email) DO UPDATE SET failures = sign_in_failure.failures + 1, last_at = $2",
                    &[email.into(), now.into()],
                )?;
                Ok(Attempt::Go)
            })
            .await
    }

    /// Forgets the failures of an address that got in.
    pub(super) async fn succeeded(&self, email: String) -> Result<(), Error> {
        let delete = "DELETE FROM sign_in_failure WHERE email = $1";
        self.database
            .write(move |tx| tx.execute(delete, &[email.into()]))
            .await
            .map(drop)
    }

    async fn one(&self, select: String, key: String) -> Result<Option<(Customer, String)>, Error> {
        self.database
            .read(move |db| db.query_one(&select, &[key.into()], customer))
            .await
    }
}

fn customer(row: &Row<'_>) -> Result<(Customer, String), Error> {
    let customer = Customer {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        address: row.get(3)?,
    };
    Ok((customer, row.get(4)?))
}
