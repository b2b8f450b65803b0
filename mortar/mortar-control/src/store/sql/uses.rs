//! Who uses what, in SQL: a row for each client, area and day.

use brick_state::{Reader, Row, Tx};

use crate::uses::Use;

pub(super) const TABLE: &str = "create table control_use (
        client text not null, area text not null, day text not null, reads integer not null, writes integer not null,
        primary key (client, area, day));
    create index control_use_day on control_use (day);";

/// Rows that are kept; the oldest days go.
const ROWS_MAX: u32 = 100_000;

const ADD: &str = "insert into control_use (client, area, day, reads, writes) values ($1, $2, $3, $4, $5)
    on conflict (client, area, day) do update
    set reads = control_use.reads + excluded.reads, writes = control_use.writes + excluded.writes";
/// The day of the first row that there is no room for.
const CROWDED: &str = "select day from control_use order by day desc limit 1 offset $1";
const SUM: &str = "select client, area, max(day), cast(sum(reads) as bigint), cast(sum(writes) as bigint)
    from control_use where day >= $1 group by client, area order by sum(reads) + sum(writes) desc, client, area limit 1000";

pub(super) fn add(tx: &Tx<'_>, uses: &[Use]) -> Result<(), brick_state::Error> {
    for one in uses {
        let count = |many: u64| i64::try_from(many).unwrap_or(i64::MAX).into();
        let row = [
            (&one.client).into(),
            (&one.area).into(),
            (&one.day).into(),
            count(one.reads),
            count(one.writes),
        ];
        tx.execute(ADD, &row)?;
    }
    let crowded = tx.query_one(CROWDED, &[ROWS_MAX.into()], |row| row.get::<String>(0))?;
    if let Some(day) = crowded {
        tx.execute("delete from control_use where day <= $1", &[day.into()])?;
    }
    Ok(())
}

pub(super) fn sum(reader: &Reader<'_>, from: &str) -> Result<Vec<Use>, brick_state::Error> {
    reader.query(SUM, &[from.into()], |row: &Row<'_>| {
        Ok(Use {
            client: row.get(0)?,
            area: row.get(1)?,
            day: row.get(2)?,
            reads: row.get(3)?,
            writes: row.get(4)?,
        })
    })
}
