//! How a connection to SQLite is opened, and where to.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// How long a connection waits for a lock of another process.
pub(crate) const BUSY_FOR: Duration = Duration::from_secs(5);
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 128;
/// The write-ahead log is cut back to this after a checkpoint.
const WAL_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process alone; gone with it.
    Memory,
    /// In a file.
    File(PathBuf),
}

impl Place {
    /// Reads `sqlite:/path`, `sqlite:relative.db`, `sqlite:///path` and `sqlite::memory:`.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let foreign = || Error::Url {
            // What stands before an @ may be a password.
            found: url.rsplit('@').next().unwrap_or(url).chars().take(200).collect(),
        };
        let rest = url.strip_prefix("sqlite:").ok_or_else(foreign)?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            "" => Err(foreign()),
            ":memory:" => Ok(Self::Memory),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }

    pub(crate) fn path(&self) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    pub(crate) fn namespace(&self) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::File(path) => path.file_stem().map_or_else(
                || "database".to_owned(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
        }
    }

    /// Opens a connection that writes; the file (readable by its owner alone) and its folder are made where missing.
    pub(crate) fn open_writer(&self) -> Result<Connection, Error> {
        let failed = |error| Error::sqlite(error, &self.path());
        let connection = match self {
            Self::Memory => Connection::open_in_memory().map_err(failed)?,
            Self::File(path) => {
                prepare_file(path).map_err(|error| Error::Open {
                    path: self.path(),
                    reason: error.to_string(),
                })?;
                Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).map_err(failed)?
            }
        };
        connection.busy_timeout(BUSY_FOR).map_err(failed)?;
        if *self != Self::Memory {
            use_write_ahead_log(&connection).map_err(failed)?;
        }
        settle(&connection).map_err(failed)?;
        Ok(connection)
    }

    /// Opens a connection that cannot write; none where the database is in the writer's memory.
    pub(crate) fn open_reader(&self) -> Result<Option<Connection>, Error> {
        let Self::File(path) = self else {
            return Ok(None);
        };
        let failed = |error| Error::sqlite(error, &self.path());
        let connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).map_err(failed)?;
        connection.busy_timeout(BUSY_FOR).map_err(failed)?;
        settle(&connection).map_err(failed)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(failed)?;
        Ok(Some(connection))
    }
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn prepare_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path).map(drop)
}

/// The one setting that SQLite does not wait for where another process opens the same file at the same moment.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_FOR;
    loop {
        let set =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match set {
            Ok(_) => return Ok(()),
            Err(error) => {
                let busy = matches!(
                    error.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
                );
                if !busy || Instant::now() >= deadline {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file_or_memory_and_others_are_refused_without_their_password() {
        let file = |path: &str| Some(Place::File(path.into()));
        let check = |url: &str, expect: Option<Place>| assert_eq!(Place::parse(url).ok(), expect, "{url}");
        check("sqlite:/a/b.db", file("/a/b.db"));
        check("sqlite:///a/b.db", file("/a/b.db"));
        check("sqlite:b.db", file("b.db"));
        check("sqlite::memory:", Some(Place::Memory));
        check("sqlite:", None);
        check("/a/b.db", None);
        let told = Place::parse("postgres://u:secret@host/db")
            .unwrap_err()
            .to_string();
        assert!(told.contains("host/db") && !told.contains("secret"), "{told}");
    }
}
