//! The audit trail in SQL.

use std::sync::Arc;

use brick_state::{Param, Reader, Row, Tx};
use jiff::Timestamp;

use crate::audit::{ENTRIES_MAX, Entry, Filter, Numbered};

pub(super) const TABLE: &str = "create table control_audit (
        id integer primary key, at_ms integer not null, who text not null, action text not null, target text not null,
        before_value text not null, after_value text not null, why text, trace_id text);
    create index control_audit_who on control_audit (who, id);";

const NEXT: &str = "select coalesce(max(id), 0) + 1 from control_audit";
const ADD: &str =
    "insert into control_audit (id, at_ms, who, action, target, before_value, after_value, why, trace_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const FIND: &str =
    "select id, at_ms, who, action, target, before_value, after_value, why, trace_id from control_audit
    where ($1 is null or who = $1) and ($2 is null or action = $2 or action like $3 escape '\\')
      and ($4 is null or lower(target) like lower($4) escape '\\') and at_ms >= $5 and id < $6
      and ($7 is null or lower(who || ' ' || action || ' ' || target || ' ' || before_value || ' ' || after_value || ' '
        || coalesce(why, '') || ' ' || coalesce(trace_id, '')) like lower($7) escape '\\')
    order by id desc limit $8";

/// Adds the entries; the oldest go where there is no more room.
pub(super) fn add(tx: &Tx<'_>, entries: &[Arc<Entry>]) -> Result<(), brick_state::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut id = tx.query_one(NEXT, &[], |row| row.get::<i64>(0))?.unwrap_or(1);
    for entry in entries {
        tx.execute(
            ADD,
            &[
                id.into(),
                entry.at.as_millisecond().into(),
                (&entry.who).into(),
                (&entry.action).into(),
                (&entry.target).into(),
                entry.before.to_string().into(),
                entry.after.to_string().into(),
                text(entry.why.as_ref()),
                text(entry.trace_id.as_ref()),
            ],
        )?;
        id += 1;
    }
    let gone = (id - 1 - ENTRIES_MAX).into();
    tx.execute("delete from control_audit where id <= $1", &[gone])?;
    Ok(())
}

/// Newest first.
pub(super) fn find(reader: &Reader<'_>, filter: &Filter) -> Result<Vec<Numbered>, brick_state::Error> {
    let group = filter
        .action
        .as_ref()
        .map(|action| format!("{}.%", escape(action)));
    let holding = |part: &String| format!("%{}%", escape(part));
    let target = filter.target.as_ref().map(holding);
    let anywhere = filter.text.as_ref().map(holding);
    let params = [
        text(filter.who.as_ref()),
        text(filter.action.as_ref()),
        text(group.as_ref()),
        text(target.as_ref()),
        filter.since.map_or(i64::MIN, Timestamp::as_millisecond).into(),
        filter.older.unwrap_or(i64::MAX).into(),
        text(anywhere.as_ref()),
        filter.limit.into(),
    ];
    reader.query(FIND, &params, entry)
}

fn entry(row: &Row<'_>) -> Result<Numbered, brick_state::Error> {
    let at = Timestamp::from_millisecond(row.get(1)?);
    let entry = Entry {
        at: at.map_err(|_| brick_state::Error::rollback("the stored time of an entry cannot be read"))?,
        who: row.get(2)?,
        action: row.get(3)?,
        target: row.get(4)?,
        before: row.json(5)?,
        after: row.json(6)?,
        why: row.get(7)?,
        trace_id: row.get(8)?,
    };
    Ok((row.get(0)?, Arc::new(entry)))
}

fn text(value: Option<&String>) -> Param {
    value.map_or(Param::Null, Param::from)
}

/// As `like` takes it literally.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
