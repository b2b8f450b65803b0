//! The orders' table.
//!
//! Whoever is placing or undoing an order holds a lease on it. A lease that ran out, or whose holder is known to be
//! gone, is anybody's. It saves work and is no lock: what fences is that an order is claimed for undoing before anything
//! of it is undone, and that it ends once, as `placed` only where nobody claimed it.

use std::time::Duration;

use brickwork::state::Error;
use brickwork::{Brick, Database, Migration, Param, Reader, Row};
use jiff::Timestamp;
use uuid::Uuid;

use super::{NewOrder, Order, OrderLine, Page};

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "orders",
        sql: "CREATE TABLE orders (
            id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, idempotency_key TEXT, wish TEXT NOT NULL,
            status TEXT NOT NULL, reason TEXT, lines TEXT NOT NULL, total_cents BIGINT NOT NULL, ticket TEXT,
            placed_at TEXT NOT NULL, begun_s BIGINT NOT NULL,
            UNIQUE (customer_id, idempotency_key));
          CREATE INDEX orders_by_customer ON orders (customer_id, id);
          CREATE INDEX orders_by_status ON orders (status, begun_s);",
    },
    Migration {
        version: 2,
        name: "whoever is placing an order holds a lease on it",
        sql: "ALTER TABLE orders ADD COLUMN holder TEXT NOT NULL DEFAULT '';
              ALTER TABLE orders ADD COLUMN held_until_ms BIGINT NOT NULL DEFAULT 0;
              ALTER TABLE orders ADD COLUMN had_others BIGINT NOT NULL DEFAULT 0;
              ALTER TABLE orders ADD COLUMN undoing BIGINT NOT NULL DEFAULT 0;",
    },
];

const COLUMNS: &str = "id, status, reason, lines, total_cents, ticket, placed_at";

#[derive(Debug, Clone)]
pub(super) struct Store {
    database: Database,
}

/// What there is under an idempotency key.
#[derive(Debug)]
pub(super) enum Begin {
    /// Nothing was; this order now is, in state `placing`.
    New(Order),
    /// The same order, placed.
    Done(Order),
    /// The same order, which nobody is placing any more: it is the caller's now, to be placed.
    TakenOver(Order),
    /// The same order, which somebody began to undo and nobody does any more: it is the caller's now, to be undone.
    LeftUndone(Order),
    /// The same order, still being placed or undone by somebody else.
    InProgress,
    /// Another order.
    OtherContent,
}

/// Who works on an order, and until when nobody else should.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// The instance, this start of it.
    pub(super) holder: String,
    /// How long from now.
    pub(super) lasts: Duration,
}

/// An order is the caller's to undo.
#[derive(Debug)]
pub(super) struct Claim {
    /// Whether it was taken over before: then nobody knows which steps were taken.
    pub(super) had_others: bool,
}

impl Lease {
    fn until_ms(&self) -> i64 {
        let lasts = i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX);
        now_ms().saturating_add(lasts)
    }
}

impl Store {
    pub(super) async fn open(brick: &Brick) -> Result<Self, brickwork::Error> {
        Ok(Self {
            database: brick.state(MIGRATIONS).await?,
        })
    }

    /// Writes a new order down, unless its key was used. `alive` are the instances that may hold a lease; none where
    /// that is not known, and then a lease lasts until it runs out.
    pub(super) async fn begin(
        &self,
        customer: String,
        key: Option<String>,
        wish: NewOrder,
        lease: Lease,
        alive: Option<Vec<String>>,
    ) -> Result<Begin, Error> {
        let lines: Vec<OrderLine> = wish
            .lines
            .into_iter()
            .map(|line| OrderLine {
                product_id: line.product_id,
                name: String::new(),
                price_cents: 0,
                quantity: line.quantity,
            })
            .collect();
        let order = Order {
            id: Uuid::now_v7().to_string(),
            status: "placing".to_owned(),
            reason: None,
            lines,
            total_cents: 0,
            ticket: None,
            shipment: None,
            placed_at: format!("{:.3}", Timestamp::now()),
        };
        self.database
            .write(move |tx| {
                let wish = encode(&order.lines);
                if let Some(key) = &key {
                    tx.lock(&format!("order {customer} {key}"))?;
                }
                if let Some(key) = &key
                    && let Some(earlier) = by_key(tx, &customer, key)?
                {
                    if earlier.wish != wish {
                        return Ok(Begin::OtherContent);
                    }
                    if earlier.order.status != "placing" {
                        return Ok(Begin::Done(earlier.order));
                    }
                    let is_gone = alive.is_some_and(|alive| !alive.contains(&earlier.holder));
                    if !is_gone && earlier.held_until_ms > now_ms() {
                        return Ok(Begin::InProgress);
                    }
                    let id = earlier.order.id.clone();
                    let hold =
                        "UPDATE orders SET holder = $2, held_until_ms = $3, had_others = 1 WHERE id = $1";
                    tx.execute(hold, &[id.into(), lease.holder.clone().into(), lease.until_ms().into()])?;
                    return Ok(match earlier.undoing {
                        true => Begin::LeftUndone(earlier.order),
                        false => Begin::TakenOver(earlier.order),
                    });
                }
                tx.execute(
                    "INSERT INTO orders (id, customer_id, idempotency_key, wish, status, lines, total_cents, placed_at,
                         begun_s, holder, held_until_ms) VALUES ($1, $2, $3, $4, 'placing', $4, 0, $5, $6, $7, $8)",
                    &[
                        order.id.clone().into(), customer.into(), key.into(), wish.into(),
                        order.placed_at.clone().into(), Timestamp::now().as_second().into(),
                        lease.holder.clone().into(), lease.until_ms().into(),
                    ],
                )?;
                Ok(Begin::New(order))
            })
            .await
    }

    /// Holds an order for longer. One that is somebody else's by now stays theirs.
    pub(super) async fn renew(&self, id: String, lease: Lease) -> Result<(), Error> {
        let update =
            "UPDATE orders SET held_until_ms = $3 WHERE id = $1 AND holder = $2 AND status = 'placing'";
        let bind = [id.into(), lease.holder.clone().into(), lease.until_ms().into()];
        self.database
            .write(move |tx| tx.execute(update, &bind))
            .await
            .map(drop)
    }

    /// Claims an order that is being placed for undoing, where it is the holder's or nobody's. From then on it cannot be
    /// placed.
    pub(super) async fn claim(&self, id: String, lease: Lease) -> Result<Option<Claim>, Error> {
        let update = "UPDATE orders SET undoing = 1, holder = $2, held_until_ms = $3
                      WHERE id = $1 AND status = 'placing' AND (holder = $2 OR held_until_ms <= $4)";
        let select = "SELECT had_others FROM orders WHERE id = $1";
        self.database
            .write(move |tx| {
                let (holder, until) = (lease.holder.clone(), lease.until_ms());
                let bind = [id.clone().into(), holder.into(), until.into(), now_ms().into()];
                if tx.execute(update, &bind)? == 0 {
                    return Ok(None);
                }
                tx.query_one(select, &[id.into()], |row| {
                    Ok(Claim {
                        had_others: row.get::<i64>(0)? != 0,
                    })
                })
            })
            .await
    }

    /// Writes down how an order that was being placed (`undoing`: undone) ended; one that ended before, or that somebody
    /// claimed for undoing while it was being placed, stays as it is, and the answer is no. A refused order gives its
    /// key back: nothing of it is left, so the key may try again.
    pub(super) async fn finish(&self, order: Order, undoing: bool) -> Result<bool, Error> {
        let update = "UPDATE orders SET status = $2, reason = $3, lines = $4, total_cents = $5, ticket = $6,
                          idempotency_key = CASE WHEN $2 = 'refused' THEN NULL ELSE idempotency_key END
                      WHERE id = $1 AND status = 'placing' AND undoing = $7";
        let bind = [
            order.id.into(),
            order.status.into(),
            order.reason.into(),
            encode(&order.lines).into(),
            order.total_cents.into(),
            order.ticket.into(),
            i64::from(undoing).into(),
        ];
        Ok(self.database.write(move |tx| tx.execute(update, &bind)).await? == 1)
    }

    /// An order as it is.
    pub(super) async fn get(&self, id: String) -> Result<Option<Order>, Error> {
        let select = format!("SELECT {COLUMNS} FROM orders WHERE id = $1");
        self.database
            .read(move |db| db.query_one(&select, &[id.into()], order))
            .await
    }

    /// An order of a customer.
    pub(super) async fn of_customer(&self, id: String, customer: String) -> Result<Option<Order>, Error> {
        let select = format!("SELECT {COLUMNS} FROM orders WHERE id = $1 AND customer_id = $2");
        self.database
            .read(move |db| db.query_one(&select, &[id.into(), customer.into()], order))
            .await
    }

    /// A page of a customer's orders, newest first.
    pub(super) async fn list(
        &self,
        customer: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Page, Error> {
        let select = format!(
            "SELECT {COLUMNS} FROM orders WHERE customer_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"
        );
        let bind: [Param; 3] = [
            customer.into(),
            cursor.unwrap_or_default().into(),
            (i64::from(limit) + 1).into(),
        ];
        let mut items = self
            .database
            .read(move |db| db.query(&select, &bind, order))
            .await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { items, next })
    }

    /// Orders that have been in state `placing` for longer than `after_s` seconds and that nobody holds.
    pub(super) async fn abandoned(&self, after_s: u32, limit: u32) -> Result<Vec<Order>, Error> {
        let select = format!(
            "SELECT {COLUMNS} FROM orders WHERE status = 'placing' AND begun_s <= $1 AND held_until_ms <= $3
             ORDER BY begun_s LIMIT $2"
        );
        let before = Timestamp::now().as_second() - i64::from(after_s);
        let bind = [before.into(), limit.into(), now_ms().into()];
        self.database
            .read(move |db| db.query(&select, &bind, order))
            .await
    }
}

/// What was begun under a key.
struct Earlier {
    order: Order,
    wish: String,
    holder: String,
    held_until_ms: i64,
    undoing: bool,
}

fn by_key(db: &Reader<'_>, customer: &str, key: &str) -> Result<Option<Earlier>, Error> {
    let select = format!(
        "SELECT {COLUMNS}, wish, holder, held_until_ms, undoing FROM orders
         WHERE customer_id = $1 AND idempotency_key = $2"
    );
    db.query_one(
        &select,
        &[customer.to_owned().into(), key.to_owned().into()],
        |row| {
            Ok(Earlier {
                order: order(row)?,
                wish: row.get(7)?,
                holder: row.get(8)?,
                held_until_ms: row.get(9)?,
                undoing: row.get::<i64>(10)? != 0,
            })
        },
    )
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

fn order(row: &Row<'_>) -> Result<Order, Error> {
    Ok(Order {
        id: row.get(0)?,
        status: row.get(1)?,
        reason: row.get(2)?,
        lines: row.json(3)?,
        total_cents: row.get(4)?,
        ticket: row.get(5)?,
        shipment: None,
        placed_at: row.get(6)?,
    })
}

fn encode(lines: &[OrderLine]) -> String {
    serde_json::to_string(lines).unwrap_or_default()
}
