//! Statements on SQLite.

use rusqlite::{CachedStatement, Connection};

use crate::statement::Context;
use crate::value::Cells;
use crate::{Error, Param, Row};

/// The first row; none where there is none.
pub(crate) fn first<T>(
    connection: &Connection,
    context: &Context,
    sql: &str,
    params: &[Param],
    row: impl FnOnce(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut statement = prepared(connection, context, sql, params)?;
    let mut rows = statement.raw_query();
    match rows.next().map_err(|error| sorted(context, error))? {
        Some(found) => Ok(Some(row(&Row(Cells::Sqlite(found)))?)),
        None => Ok(None),
    }
}

/// Every row, up to the bound.
pub(crate) fn all<T>(
    connection: &Connection,
    context: &Context,
    sql: &str,
    params: &[Param],
    mut row: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = prepared(connection, context, sql, params)?;
    let mut rows = statement.raw_query();
    let mut all = Vec::new();
    while let Some(found) = rows.next().map_err(|error| sorted(context, error))? {
        if all.len() == context.rows_max {
            return Err(Error::TooMany {
                rows_max: context.rows_max,
            });
        }
        all.push(row(&Row(Cells::Sqlite(found)))?);
    }
    Ok(all)
}

/// Runs a statement that returns no rows; the number of rows it changed.
pub(crate) fn change(
    connection: &Connection,
    context: &Context,
    sql: &str,
    params: &[Param],
) -> Result<u64, Error> {
    let mut statement = prepared(connection, context, sql, params)?;
    let changed = statement.raw_execute().map_err(|error| sorted(context, error))?;
    Ok(changed as u64)
}

/// Binds `$n` to `params[n - 1]`, in whatever order the text names them. SQLite numbers named parameters by their first
/// appearance, so they are bound by name.
fn prepared<'c>(
    connection: &'c Connection,
    context: &Context,
    sql: &str,
    params: &[Param],
) -> Result<CachedStatement<'c>, Error> {
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(|error| sorted(context, error))?;
    let misfit = |reason: String| Error::Parameters {
        reason,
        sql: sql.trim().to_owned(),
    };
    let mut used = 0;
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index);
        let number = name
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|number| *number > 0)
            .ok_or_else(|| {
                let found = name.unwrap_or("?").to_owned();
                misfit(format!("expected parameters $1, $2 …, found {found}"))
            })?;
        let value = params.get(number - 1).ok_or_else(|| {
            misfit(format!(
                "the statement uses ${number}, but {} values are given",
                params.len()
            ))
        })?;
        statement
            .raw_bind_parameter(index, value)
            .map_err(|error| sorted(context, error))?;
        used = used.max(number);
    }
    if used < params.len() {
        return Err(misfit(format!(
            "{} values are given, but the statement uses {used}",
            params.len()
        )));
    }
    Ok(statement)
}

fn sorted(context: &Context, error: rusqlite::Error) -> Error {
    Error::sqlite(error, &context.at)
}
