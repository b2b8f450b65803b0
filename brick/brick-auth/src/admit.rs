//! Who may call: one decision for the SDK's server and for the proxy that stands before a brick.
//!
//! A token that comes along and is bad is refused, never passed over: a brick that calls for a user whose token has
//! expired must not be taken for a brick that calls for itself. On public routes alone it does not count.

use std::sync::Arc;

use brick_core::host::Allow;

use crate::{Claims, Error};

/// A token that came along: none, a good one, or why it is bad.
pub type Shown = Option<Result<Arc<Claims>, Error>>;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The user, where one is called for.
    pub user: Option<Arc<Claims>>,
    /// The process, where it said who it is.
    pub platform: Option<Arc<Claims>>,
}

/// Why a request does not pass.
#[derive(Debug)]
pub enum Refusal {
    /// It shows no token, or a bad one.
    Token(Error),
    /// Its token is good, and lacks this scope.
    Scope(String),
}

/// Lets a request pass or refuses it. `call_scope` is what a calling brick needs, `call:<brick>`; tokens are looked at
/// where they matter.
pub fn admit(
    allow: Allow,
    call_scope: &str,
    user: impl FnOnce() -> Shown,
    platform: impl FnOnce() -> Shown,
) -> Result<Admitted, Refusal> {
    let may_call = |claims: Arc<Claims>| match claims.has_scope(call_scope) {
        true => Ok(claims),
        false => Err(Refusal::Scope(call_scope.to_owned())),
    };
    Ok(match allow {
        Allow::Public => Admitted {
            user: user().and_then(Result::ok),
            platform: platform().and_then(Result::ok),
        },
        Allow::Users => Admitted {
            user: Some(required(user())?),
            platform: optional(platform())?,
        },
        Allow::Bricks => Admitted {
            platform: Some(may_call(required(platform())?)?),
            user: optional(user())?,
        },
        Allow::UsersOrBricks => match optional(user())? {
            Some(user) => Admitted {
                user: Some(user),
                platform: optional(platform())?,
            },
            None => Admitted {
                platform: Some(may_call(required(platform())?)?),
                user: None,
            },
        },
    })
}

/// The token, which has to be there.
pub fn required(shown: Shown) -> Result<Arc<Claims>, Refusal> {
    shown.unwrap_or(Err(Error::Missing)).map_err(Refusal::Token)
}

fn optional(shown: Shown) -> Result<Option<Arc<Claims>>, Refusal> {
    shown.transpose().map_err(Refusal::Token)
}
