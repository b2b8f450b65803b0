//! Visitors and their sessions: a random cookie, everything else in the session store.

use std::time::Duration;

use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName};
use brickwork::{Brick, Problem, SessionId, Sessions, axum};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const NAME: &str = "shop_session";
/// How long a session lives after its last use.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A token with less life left than this is renewed before it is used.
const RENEW_BEFORE_S: i64 = 300;

/// A signed-in customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// Id of the customer.
    pub(super) customer_id: String,
    /// Name, for the greeting.
    pub(super) name: String,
    /// User token.
    pub(super) token: String,
    /// When the token ends, Unix seconds.
    expires_s: i64,
}

/// The session store.
#[derive(Clone)]
pub(super) struct Visitors {
    sessions: Sessions,
    brick: Brick,
}

impl Visitors {
    pub(super) async fn open(brick: &Brick) -> Result<Self, brickwork::Error> {
        let database = brick.state(&[]).await?;
        Ok(Self {
            sessions: brick.sessions(&database, LIFE).await?,
            brick: brick.clone(),
        })
    }

    /// The visitor's session, if they are signed in; a token near its end, or past it, is renewed on the way.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, Problem> {
        let Some(id) = cookie(headers) else {
            return Ok(None);
        };
        let Some(session) = self.sessions.load::<Session>(&id).await? else {
            return Ok(None);
        };
        let now_s = Timestamp::now().as_second();
        if session.expires_s > now_s + RENEW_BEFORE_S {
            return Ok(Some(session));
        }
        match self
            .brick
            .issue_user_token(&session.customer_id, &["customer"])
            .await
        {
            Ok(fresh) => {
                let renewed = Session {
                    token: fresh.token,
                    expires_s: ends(fresh.expires_in_s),
                    ..session
                };
                self.sessions.save(&id, &renewed).await?;
                Ok(Some(renewed))
            }
            // While control is away a token is used to its end.
            Err(_) if session.expires_s > now_s => Ok(Some(session)),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a session from the customer brick's answer and gives its cookie.
    pub(super) async fn enter(
        &self,
        headers: &HeaderMap,
        answer: &Value,
    ) -> Result<(HeaderName, String), Problem> {
        if let Some(old) = cookie(headers) {
            self.sessions.destroy(&old).await?;
        }
        let session = read(answer).ok_or_else(Problem::internal)?;
        let id = self.sessions.create(&session).await?;
        Ok((
            SET_COOKIE,
            format!(
                "{NAME}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}",
                id.as_str(),
                LIFE.as_secs()
            ),
        ))
    }

    /// Ends the session and gives the cookie that clears it.
    pub(super) async fn leave(&self, headers: &HeaderMap) -> Result<(HeaderName, String), Problem> {
        if let Some(id) = cookie(headers) {
            self.sessions.destroy(&id).await?;
        }
        Ok((
            SET_COOKIE,
            format!("{NAME}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
        ))
    }
}

/// Refuses a post that another site made the browser send (Fetch Metadata; Origin where a browser is too old for it).
pub(super) fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => match text(ORIGIN) {
            Some(origin) => {
                let host = text(HeaderName::from_static("x-forwarded-host")).or_else(|| text(HOST));
                origin.split_once("://").map(|(_, authority)| authority) != host
            }
            None => false,
        },
    };
    if foreign {
        Err(Problem::forbidden(
            "cross_site",
            "this request came from another site",
        ))
    } else {
        Ok(())
    }
}

fn cookie(headers: &HeaderMap) -> Option<SessionId> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = all
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == NAME)
        .and_then(|(_, id)| id.parse().ok())
}

fn read(answer: &Value) -> Option<Session> {
    Some(Session {
        customer_id: answer["customer"]["id"].as_str()?.to_owned(),
        name: answer["customer"]["name"].as_str()?.to_owned(),
        token: answer["token"].as_str()?.to_owned(),
        expires_s: ends(answer["expires_in_s"].as_u64()?),
    })
}

fn ends(in_s: u64) -> i64 {
    Timestamp::now().as_second().saturating_add_unsigned(in_s)
}
