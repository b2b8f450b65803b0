//! The orders' table.

use brickwork::state::Error;
use brickwork::{Brick, Database, Migration, Param, Reader, Row};
use jiff::Timestamp;
use uuid::Uuid;

use super::{NewOrder, Order, OrderLine, Page};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "orders",
    sql: "CREATE TABLE orders (
            id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, idempotency_key TEXT, wish TEXT NOT NULL,
            status TEXT NOT NULL, reason TEXT, lines TEXT NOT NULL, total_cents BIGINT NOT NULL, ticket TEXT,
            placed_at TEXT NOT NULL, begun_s BIGINT NOT NULL,
            UNIQUE (customer_id, idempotency_key));
          CREATE INDEX orders_by_customer ON orders (customer_id, id);
          CREATE INDEX orders_by_status ON orders (status, begun_s);",
}];

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
    /// The same order, still being placed (or left behind and not undone yet).
    InProgress,
    /// Another order.
    OtherContent,
}

impl Store {
    pub(super) async fn open(brick: &Brick) -> Result<Self, brickwork::Error> {
        Ok(Self {
            database: brick.state(MIGRATIONS).await?,
        })
    }

    /// Writes a new order down, unless its key was used.
    pub(super) async fn begin(
        &self,
        customer: String,
        key: Option<String>,
        wish: NewOrder,
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
                if let Some(key) = &key
                    && let Some((earlier, earlier_wish)) = by_key(tx, &customer, key)?
                {
                    return Ok(match earlier {
                        _ if earlier_wish != wish => Begin::OtherContent,
                        earlier if earlier.status == "placing" => Begin::InProgress,
                        earlier => Begin::Done(earlier),
                    });
                }
                tx.execute(
                    "INSERT INTO orders (id, customer_id, idempotency_key, wish, status, lines, total_cents, placed_at,
                         begun_s) VALUES ($1, $2, $3, $4, 'placing', $4, 0, $5, $6)",
                    &[
                        order.id.clone().into(), customer.into(), key.into(), wish.into(),
                        order.placed_at.clone().into(), Timestamp::now().as_second().into(),
                    ],
                )?;
                Ok(Begin::New(order))
            })
            .await
    }

    /// Writes down how an order that was being placed ended; one that ended before stays as it is, and the answer is no.
    /// A refused order gives its key back: nothing of it is left, so the key may try again.
    pub(super) async fn finish(&self, order: Order) -> Result<bool, Error> {
        let update = "UPDATE orders SET status = $2, reason = $3, lines = $4, total_cents = $5, ticket = $6,
                          idempotency_key = CASE WHEN $2 = 'refused' THEN NULL ELSE idempotency_key END
                      WHERE id = $1 AND status = 'placing'";
        let bind = [
            order.id.into(),
            order.status.into(),
            order.reason.into(),
            encode(&order.lines).into(),
            order.total_cents.into(),
            order.ticket.into(),
        ];
        Ok(self.database.write(move |tx| tx.execute(update, &bind)).await? == 1)
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

    /// Orders that have been in state `placing` for longer than `after_s` seconds.
    pub(super) async fn abandoned(&self, after_s: u32, limit: u32) -> Result<Vec<Order>, Error> {
        let select = format!(
            "SELECT {COLUMNS} FROM orders WHERE status = 'placing' AND begun_s <= $1 ORDER BY begun_s LIMIT $2"
        );
        let before = Timestamp::now().as_second() - i64::from(after_s);
        let bind = [before.into(), limit.into()];
        self.database
            .read(move |db| db.query(&select, &bind, order))
            .await
    }
}

fn by_key(db: &Reader<'_>, customer: &str, key: &str) -> Result<Option<(Order, String)>, Error> {
    let select =
        format!("SELECT {COLUMNS}, wish FROM orders WHERE customer_id = $1 AND idempotency_key = $2");
    db.query_one(
        &select,
        &[customer.to_owned().into(), key.to_owned().into()],
        |row| Ok((order(row)?, row.get(7)?)),
    )
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
