//! What the server and the connection say, in the terms of [`crate::Error`]. Values and passwords are in none of it.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::DbError;

use super::target::STATEMENT_FOR;
use super::tls::Untrusted;
use crate::{Constraint, Error};

/// A failure on a connection that stood.
pub(super) fn sorted(error: &tokio_postgres::Error, at: &str) -> Error {
    let Some(db) = error.as_db_error() else {
        let gone = error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>());
        return match gone {
            true => lost(at, told(error)),
            false => Error::Other(told(error).into()),
        };
    };
    let words = db.message().to_owned();
    match db.code().code() {
        code if code.starts_with("23") => Error::Constraint {
            kind: constraint(code),
            what: words,
        },
        "55P03" => Error::Busy,
        "40001" | "40P01" | "26000" => Error::Conflict(words),
        // A statement prepared before another process changed the schema.
        "0A000" if words.contains("cached plan") => Error::Conflict(words),
        "57014" => Error::Timeout {
            seconds: STATEMENT_FOR.as_secs(),
        },
        "53100" => Error::Full { path: at.to_owned() },
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => lost(at, words),
        code => Error::Other(format!("{words} ({code})").into()),
    }
}

/// A failure while connecting.
pub(super) fn connecting(error: &tokio_postgres::Error, at: &str) -> Error {
    if let Some(db) = error.as_db_error() {
        return refused(db, at);
    }
    let open = |reason: String| Error::Open {
        path: at.to_owned(),
        reason,
    };
    let Some(source) = error.source() else {
        return unreachable(at, told(error));
    };
    if let Some(untrusted) = source.downcast_ref::<Untrusted>() {
        return open(untrusted.to_string());
    }
    let words = source.to_string();
    match words.as_str() {
        "server does not support TLS" => open(
            "the server speaks no TLS; have it do so (ssl = on), or say sslmode=disable where nobody can listen"
                .to_owned(),
        ),
        "password missing" => open("the server asks for a password, and the URL has none".to_owned()),
        _ if source.is::<io::Error>() => unreachable(at, words),
        _ => open(told(error)),
    }
}

/// Nobody answered in time.
pub(super) fn silent(at: &str, waited: Duration) -> Error {
    lost(at, format!("no answer within {} s", waited.as_secs()))
}

pub(super) fn unreachable(at: &str, reason: String) -> Error {
    Error::Unreachable {
        at: at.to_owned(),
        reason,
    }
}

/// Whether the server could not tell the type of a parameter.
pub(super) fn is_untold(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(|code| code.code());
    matches!(code, Some("42P18" | "42P08" | "42725"))
}

fn refused(db: &DbError, at: &str) -> Error {
    let words = db.message();
    let reason = match db.code().code() {
        "28P01" | "28000" => format!("{words}; see the user and the password in the URL"),
        "3D000" => format!("{words}; make it (createdb), or name another in the URL"),
        "53300" | "57P03" => return unreachable(at, words.to_owned()),
        code => format!("{words} ({code})"),
    };
    Error::Open {
        path: at.to_owned(),
        reason,
    }
}

fn lost(at: &str, reason: String) -> Error {
    Error::Lost {
        at: at.to_owned(),
        reason,
    }
}

fn constraint(code: &str) -> Constraint {
    match code {
        "23505" => Constraint::Unique,
        "23503" => Constraint::ForeignKey,
        "23502" => Constraint::NotNull,
        "23514" => Constraint::Check,
        _ => Constraint::Other,
    }
}

/// The error with its causes.
fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
