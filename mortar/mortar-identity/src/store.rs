//! What identity keeps: its key pair, registered clients, one-time codes. A component of control's database.

use brick_bus::routes::ApiKey;
use brick_state::{Database, Migration};

use crate::Error;
use crate::key::SigningKey;
use crate::secret::Digest;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "keys, clients and one-time codes",
        sql: "create table identity_key (kid text primary key, pkcs8 blob not null, created_s integer not null);
          create table identity_client (
              id text primary key, secret_sha256 blob not null, scopes text not null, created_s integer not null);
          create table identity_code (sha256 blob primary key, expires_s integer not null);",
    },
    Migration {
        version: 2,
        name: "API keys",
        sql: "create table identity_api_key (
              id text primary key, sha256 text not null, owner text not null, scopes text not null,
              expires_s integer);",
    },
];

/// Taken by whoever looks before he writes: several processes may share the database.
const LOCK: &str = "identity";

/// Registered clients at most, and API keys.
const CLIENTS_MAX: i64 = 1_000;
/// One-time codes that may wait at most; one more pushes out the one that expires first.
const CODES_MAX: i64 = 256;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store(Database);

/// A registered client as stored.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<Digest>,
    pub(crate) scopes: String,
    pub(crate) created_s: i64,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    Done,
    Exists,
    Full,
}

impl Store {
    pub(crate) async fn open(db: Database) -> Result<Self, Error> {
        db.migrate("identity", MIGRATIONS).await?;
        Ok(Self(db))
    }

    /// The key pair (PKCS#8); the first call makes it. Two processes that start at once agree on one.
    pub(crate) async fn key(&self, now_s: i64) -> Result<Vec<u8>, Error> {
        const NEWEST: &str = "select pkcs8 from identity_key order by created_s desc, kid limit 1";
        let held = |row: &brick_state::Row<'_>| row.get::<Vec<u8>>(0);
        if let Some(found) = self.0.read(move |r| r.query_one(NEWEST, &[], held)).await? {
            return Ok(found);
        }
        let made = SigningKey::generate()?;
        let kid = SigningKey::read(&made)?.kid().to_owned();
        let write = self.0.write(move |tx| {
            tx.lock(LOCK)?;
            if let Some(found) = tx.query_one(NEWEST, &[], held)? {
                return Ok(found);
            }
            tx.execute(
                "insert into identity_key (kid, pkcs8, created_s) values ($1, $2, $3)",
                &[kid.into(), made.clone().into(), now_s.into()],
            )?;
            Ok(made)
        });
        Ok(write.await?)
    }

    pub(crate) async fn client(&self, id: &str) -> Result<Option<Client>, Error> {
        let id = id.to_owned();
        let sql = "select id, secret_sha256, scopes, created_s from identity_client where id = $1";
        let found = self.0.read(move |r| r.query_one(sql, &[id.into()], client));
        Ok(found.await?)
    }

    pub(crate) async fn clients(&self) -> Result<Vec<Client>, Error> {
        let sql = "select id, secret_sha256, scopes, created_s from identity_client order by id";
        Ok(self.0.read(move |r| r.query(sql, &[], client)).await?)
    }

    pub(crate) async fn add_client(
        &self,
        id: String,
        secret: Digest,
        scopes: String,
        now_s: i64,
    ) -> Result<Added, Error> {
        let write = self.0.write(move |tx| {
            tx.lock(LOCK)?;
            let count = tx.query_one("select count(*) from identity_client", &[], |row| {
                row.get::<i64>(0)
            })?;
            if count.unwrap_or(0) >= CLIENTS_MAX {
                return Ok(Added::Full);
            }
            let done = tx.execute(
                "insert into identity_client (id, secret_sha256, scopes, created_s) values ($1, $2, $3, $4)
                 on conflict (id) do nothing",
                &[id.into(), secret.bytes().into(), scopes.into(), now_s.into()],
            )?;
            Ok(if done == 1 { Added::Done } else { Added::Exists })
        });
        Ok(write.await?)
    }

    pub(crate) async fn remove_client(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        let write = self
            .0
            .write(move |tx| tx.execute("delete from identity_client where id = $1", &[id.into()]));
        Ok(write.await? == 1)
    }

    pub(crate) async fn add_code(&self, code: Digest, now_s: i64, expires_s: i64) -> Result<(), Error> {
        let write = self.0.write(move |tx| {
            tx.lock(LOCK)?;
            tx.execute("delete from identity_code where expires_s <= $1", &[now_s.into()])?;
            tx.execute(
                "delete from identity_code where sha256 not in
                     (select sha256 from identity_code order by expires_s desc limit $1)",
                &[(CODES_MAX - 1).into()],
            )?;
            tx.execute(
                "insert into identity_code (sha256, expires_s) values ($1, $2)",
                &[code.bytes().into(), expires_s.into()],
            )
        });
        write.await?;
        Ok(())
    }

    /// Whether the code was there and had not expired; it is gone either way.
    pub(crate) async fn take_code(&self, code: Digest, now_s: i64) -> Result<bool, Error> {
        let write = self.0.write(move |tx| {
            tx.execute(
                "delete from identity_code where sha256 = $1 and expires_s > $2",
                &[code.bytes().into(), now_s.into()],
            )
        });
        Ok(write.await? == 1)
    }
}

impl Store {
    pub(crate) async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let sql = "select id, sha256, owner, scopes, expires_s from identity_api_key order by id";
        Ok(self.0.read(move |r| r.query(sql, &[], api_key)).await?)
    }

    pub(crate) async fn add_api_key(&self, key: ApiKey) -> Result<Added, Error> {
        let write = self.0.write(move |tx| {
            tx.lock(LOCK)?;
            let count = tx.query_one("select count(*) from identity_api_key", &[], |row| {
                row.get::<i64>(0)
            })?;
            if count.unwrap_or(0) >= CLIENTS_MAX {
                return Ok(Added::Full);
            }
            let done = tx.execute(
                "insert into identity_api_key (id, sha256, owner, scopes, expires_s) values ($1, $2, $3, $4, $5)
                 on conflict (id) do nothing",
                &[
                    key.id.into(),
                    key.sha256.into(),
                    key.owner.into(),
                    key.scopes.join(" ").into(),
                    key.expires_s.into(),
                ],
            )?;
            Ok(if done == 1 { Added::Done } else { Added::Exists })
        });
        Ok(write.await?)
    }

    pub(crate) async fn remove_api_key(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        let write = self
            .0
            .write(move |tx| tx.execute("delete from identity_api_key where id = $1", &[id.into()]));
        Ok(write.await? == 1)
    }
}

fn api_key(row: &brick_state::Row<'_>) -> Result<ApiKey, brick_state::Error> {
    let scopes: String = row.get(3)?;
    Ok(ApiKey {
        id: row.get(0)?,
        sha256: row.get(1)?,
        owner: row.get(2)?,
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        expires_s: row.get(4)?,
    })
}

fn client(row: &brick_state::Row<'_>) -> Result<Client, brick_state::Error> {
    Ok(Client {
        id: row.get(0)?,
        secret: Digest::from_bytes(&row.get::<Vec<u8>>(1)?),
        scopes: row.get(2)?,
        created_s: row.get(3)?,
    })
}

#[cfg(test)]
mod tests;
