//! What can go wrong with a database, in terms that do not depend on the engine.

use std::sync::Arc;

use brick_wire::Problem;
use rusqlite::ffi;

/// Kind of a violated constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Constraint {
    /// A primary key or a unique index.
    Unique,
    /// A reference to a row that is not there, or from one that still is.
    ForeignKey,
    /// A null where none may be.
    NotNull,
    /// A `check`.
    Check,
    /// Another one.
    Other,
}

/// What went wrong. Cloneable, for a failed commit is told to everyone who shared it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data would break a rule of the schema.
    #[error("a constraint of the schema forbids it: {what}")]
    Constraint {
        /// Which kind.
        kind: Constraint,
        /// The engine's words, such as `UNIQUE constraint failed: customer.email`.
        what: String,
    },
    /// Another process held the database for too long.
    #[error("the database stayed locked by another process for 5 s; try again, or see who holds it")]
    Busy,
    /// The engine chose another transaction; this one was undone.
    #[error("another transaction was in the way ({0}); nothing was changed: try again")]
    Conflict(String),
    /// A statement took longer than it may.
    #[error("a statement took longer than {seconds} s and was cancelled; nothing was changed")]
    Timeout {
        /// The bound.
        seconds: u64,
    },
    /// The server cannot be reached, or takes no connection now.
    #[error("cannot reach {at}: {reason}; see that PostgreSQL runs there and takes connections")]
    Unreachable {
        /// The database's URL without its password.
        at: String,
        /// Why.
        reason: String,
    },
    /// The connection was lost before the commit.
    #[error("the connection to {at} was lost ({reason}); nothing was changed: try again")]
    Lost {
        /// The database's URL without its password.
        at: String,
        /// Why.
        reason: String,
    },
    /// The connection was lost during the commit.
    #[error(
        "the connection to {at} was lost while the changes were committed ({reason}): whether they were kept is not known; look before you try again"
    )]
    Unsure {
        /// The database's URL without its password.
        at: String,
        /// Why.
        reason: String,
    },
    /// No room is left on the disk.
    #[error("the disk that holds {path} is full; nothing was changed: make room and try again")]
    Full {
        /// The database's file, or its URL without its password.
        path: String,
    },
    /// A newer program made this database.
    #[error(
        "this database was written by a newer version: schema {found} of \"{component}\", this program knows {known}; run the newer program, or restore an older copy"
    )]
    Newer {
        /// Whose schema.
        component: String,
        /// Schema number in the database.
        found: u32,
        /// Highest that this program knows.
        known: u32,
    },
    /// The migrations of the program do not fit those that were applied.
    #[error("migration {version} \"{name}\" of \"{component}\": {reason}")]
    Migration {
        /// Whose schema.
        component: String,
        /// Which migration.
        version: u32,
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The file is no database, or a damaged one.
    #[error("{path} is damaged or no database ({reason}); restore it from a copy")]
    Corrupt {
        /// The database's file.
        path: String,
        /// The engine's words.
        reason: String,
    },
    /// The URL names no database that can be opened.
    #[error(
        "expected a database URL such as \"sqlite:/path/file.db\", \"sqlite::memory:\" or \"postgres://user:password@host:5432/database\", found \"{found}\""
    )]
    Url {
        /// What was given, without any password.
        found: String,
    },
    /// The file or its folder cannot be opened, or the server refuses.
    #[error("cannot open {path}: {reason}")]
    Open {
        /// The database's file, or its URL without its password.
        path: String,
        /// Why.
        reason: String,
    },
    /// Parameters do not fit the statement.
    #[error("{reason}: {sql}")]
    Parameters {
        /// What does not fit.
        reason: String,
        /// The statement.
        sql: String,
    },
    /// A column holds another type than was asked for.
    #[error("column {column}: expected {expected}, found {found}")]
    Column {
        /// Index or name of the column.
        column: String,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// More rows than a query may return.
    #[error("the query returns more than {rows_max} rows; page it with a limit")]
    TooMany {
        /// The bound.
        rows_max: usize,
    },
    /// The closure asked for its changes to be undone.
    #[error("rolled back: {0}")]
    Rollback(String),
    /// The closure panicked; its changes were undone.
    #[error("the closure panicked, its changes were undone; the log has it")]
    Panicked,
    /// The database was closed, or its writing thread ended.
    #[error("the database is closed")]
    Closed,
    /// Anything else the engine says.
    #[error("the database failed: {0}")]
    Other(Arc<str>),
}

impl Error {
    /// For a closure that wants its changes undone, with the reason.
    pub fn rollback(reason: impl Into<String>) -> Self {
        Self::Rollback(reason.into())
    }

    /// Whether a primary key or a unique index forbids it: what was to be inserted is there already.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Constraint {
                kind: Constraint::Unique,
                ..
            }
        )
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Full { .. }
                | Self::Conflict(_)
                | Self::Timeout { .. }
                | Self::Unreachable { .. }
                | Self::Lost { .. }
        )
    }

    /// A short, stable word for spans and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Constraint { .. } => "constraint",
            Self::Busy => "busy",
            Self::Conflict(_) => "conflict",
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::Lost { .. } => "lost",
            Self::Unsure { .. } => "unsure",
            Self::Full { .. } => "full",
            Self::Newer { .. } => "newer",
            Self::Migration { .. } => "migration",
            Self::Corrupt { .. } => "corrupt",
            Self::Url { .. } | Self::Open { .. } => "open",
            Self::Parameters { .. } => "parameters",
            Self::Column { .. } => "column",
            Self::TooMany { .. } => "too_many",
            Self::Rollback(_) => "rollback",
            Self::Panicked => "panicked",
            Self::Closed => "closed",
            Self::Other(_) => "other",
        }
    }

    /// Sorts the engine's own errors.
    pub(crate) fn sqlite(error: rusqlite::Error, path: &str) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return Self::Other(error.to_string().into());
        };
        let words = message.clone().unwrap_or_else(|| failure.to_string());
        match failure.code {
            ffi::ErrorCode::ConstraintViolation => Self::Constraint {
                kind: constraint(failure.extended_code),
                what: words,
            },
            ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked => Self::Busy,
            ffi::ErrorCode::DiskFull => Self::Full {
                path: path.to_owned(),
            },
            ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => Self::Corrupt {
                path: path.to_owned(),
                reason: words,
            },
            ffi::ErrorCode::CannotOpen | ffi::ErrorCode::ReadOnly | ffi::ErrorCode::PermissionDenied => {
                Self::Open {
                    path: path.to_owned(),
                    reason: words,
                }
            }
            _ => Self::Other(words.into()),
        }
    }
}

/// For handlers that use `?`: the log has what went wrong, the caller learns whether trying again helps. What a violated
/// constraint means is the handler's to say.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        tracing::error!(error.type = error.kind(), %error, "the database could not do it");
        if error.is_transient() {
            Self::unavailable(
                "state_unavailable",
                "the data cannot be read or written now; try again",
            )
        } else {
            Self::internal()
        }
    }
}

fn constraint(extended_code: i32) -> Constraint {
    match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Constraint::Unique
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Constraint::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => Constraint::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => Constraint::Check,
        _ => Constraint::Other,
    }
}
