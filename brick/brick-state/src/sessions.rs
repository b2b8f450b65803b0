//! HTTP sessions in the database, so that any instance serves any user and a killed one signs nobody out.
//!
//! A session is known by 256 random bits that only the browser holds: the database keeps their SHA-256. Each use moves
//! its end; expired ones are swept a few at a time while new ones are made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Database, Error, Migration, Tx};

/// Bytes of JSON that one session may hold.
const DATA_BYTES_MAX: usize = 64 * 1024;
/// Expired sessions that one new session sweeps away.
const SWEEP_MAX: u32 = 100;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "sessions",
    sql: "create table brick_session (
              id_sha256 blob primary key, data text not null, expires_ms integer not null
          ) strict, without rowid;
          create index brick_session_expires on brick_session (expires_ms)",
}];

/// What the browser holds: 256 random bits as 43 letters. Whoever has them is the user, so `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(String);

/// The text is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a session id of 43 letters")]
pub struct InvalidSessionId;

/// The sessions of a brick. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    db: Database,
    ttl_ms: i64,
    clock: Clock,
}

#[derive(Clone)]
struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Sessions {
    /// Prepares the table. A session ends when it was not used for `ttl`.
    pub async fn open(db: &Database, ttl: Duration) -> Result<Self, Error> {
        Self::with_clock(db, ttl, Clock(Arc::new(unix_ms))).await
    }

    async fn with_clock(db: &Database, ttl: Duration, clock: Clock) -> Result<Self, Error> {
        db.migrate("sessions", MIGRATIONS).await?;
        Ok(Self {
            db: db.clone(),
            ttl_ms: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX),
            clock,
        })
    }

    /// Begins a session. Sweeps a few that ended.
    pub async fn create<T: Serialize>(&self, data: &T) -> Result<SessionId, Error> {
        let (id, text) = (SessionId::new()?, json(data)?);
        let (hash, now, expires) = (id.hash(), (self.clock.0)(), self.expires());
        self.db
            .write(move |tx| {
                sweep(tx, now)?;
                let sql = "insert into brick_session (id_sha256, data, expires_ms) values ($1, $2, $3)";
                tx.execute(sql, &[hash.into(), text.into(), expires.into()])
            })
            .await?;
        Ok(id)
    }

    /// The session's data; none where it ended, was destroyed, never was, or holds no `T`. Counts as use.
    pub async fn load<T: DeserializeOwned + Send + 'static>(
        &self,
        id: &SessionId,
    ) -> Result<Option<T>, Error> {
        let (hash, now) = (id.hash(), (self.clock.0)());
        let found = self
            .db
            .read(move |reader| {
                let sql =
                    "select data, expires_ms from brick_session where id_sha256 = $1 and expires_ms > $2";
                reader.query_one(sql, &[hash.into(), now.into()], |row| {
                    Ok((row.get::<String>(0)?, row.get::<i64>(1)?))
                })
            })
            .await?;
        let Some((text, expires)) = found else {
            return Ok(None);
        };
        // A write for each use would be dear: the end moves once a tenth of the time is over.
        if expires - now < self.ttl_ms - self.ttl_ms / 10 {
            self.slide(id).await?;
        }
        Ok(serde_json::from_str(&text).ok())
    }

    /// Replaces the session's data; false where the session is no more. Counts as use.
    pub async fn save<T: Serialize>(&self, id: &SessionId, data: &T) -> Result<bool, Error> {
        let (hash, text) = (id.hash(), json(data)?);
        let (now, expires) = ((self.clock.0)(), self.expires());
        let sql =
            "update brick_session set data = $1, expires_ms = $2 where id_sha256 = $3 and expires_ms > $4";
        let params = [text.into(), expires.into(), hash.into(), now.into()];
        let changed = self.db.write(move |tx| tx.execute(sql, &params)).await?;
        Ok(changed > 0)
    }

    /// Gives the session a new id and voids the old one: do it when a user signs in, or whoever planted the old id
    /// would be signed in too. None where the session is no more.
    pub async fn rotate(&self, id: &SessionId) -> Result<Option<SessionId>, Error> {
        let fresh = SessionId::new()?;
        let (old, new, now) = (id.hash(), fresh.hash(), (self.clock.0)());
        let sql = "update brick_session set id_sha256 = $1 where id_sha256 = $2 and expires_ms > $3";
        let params = [new.into(), old.into(), now.into()];
        let changed = self.db.write(move |tx| tx.execute(sql, &params)).await?;
        Ok((changed > 0).then_some(fresh))
    }

    /// Ends the session.
    pub async fn destroy(&self, id: &SessionId) -> Result<(), Error> {
        let hash = id.hash();
        let sql = "delete from brick_session where id_sha256 = $1";
        self.db.write(move |tx| tx.execute(sql, &[hash.into()])).await?;
        Ok(())
    }

    async fn slide(&self, id: &SessionId) -> Result<(), Error> {
        let (hash, expires) = (id.hash(), self.expires());
        let sql = "update brick_session set expires_ms = $1 where id_sha256 = $2";
        let params = [expires.into(), hash.into()];
        self.db.write(move |tx| tx.execute(sql, &params)).await?;
        Ok(())
    }

    fn expires(&self) -> i64 {
        (self.clock.0)().saturating_add(self.ttl_ms)
    }
}

impl SessionId {
    fn new() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| Error::Other("the system gives no random bytes".into()))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text for the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_bytes())
            .as_ref()
            .to_vec()
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(InvalidSessionId),
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([redacted])")
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

fn sweep(tx: &Tx<'_>, now: i64) -> Result<(), Error> {
    let sql = "delete from brick_session where id_sha256 in
               (select id_sha256 from brick_session where expires_ms <= $1 order by expires_ms limit $2)";
    tx.execute(sql, &[now.into(), SWEEP_MAX.into()]).map(drop)
}

fn json<T: Serialize>(data: &T) -> Result<String, Error> {
    let text = serde_json::to_string(data).map_err(|error| Error::rollback(error.to_string()))?;
    if text.len() > DATA_BYTES_MAX {
        let found = text.len();
        return Err(Error::rollback(format!(
            "expected at most {DATA_BYTES_MAX} bytes of session data, found {found}"
        )));
    }
    Ok(text)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
