//! The catalogue's and the stock's tables.

use brickwork::state::Error;
use brickwork::{Brick, Database, Migration, Param, Problem, Reader, Row, Tx};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Page, Product, ProductForm, Reservation, Reserve, ReservedLine};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "products",
    sql: "
        CREATE TABLE product (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, category TEXT NOT NULL,
            price_cents BIGINT NOT NULL, quantity BIGINT NOT NULL CHECK (quantity >= 0), words TEXT NOT NULL);
        CREATE INDEX product_by_name ON product (name, id);
        CREATE TABLE reservation (
            order_id TEXT NOT NULL, product_id TEXT NOT NULL, name TEXT NOT NULL, price_cents BIGINT NOT NULL,
            quantity BIGINT NOT NULL, PRIMARY KEY (order_id, product_id));
        CREATE TABLE released (order_id TEXT PRIMARY KEY, released_at BIGINT NOT NULL);",
}];

const COLUMNS: &str = "id, name, description, category, price_cents, quantity";

#[derive(Debug, Clone)]
pub(super) struct Store {
    database: Database,
}

/// Why stock could not be reserved.
enum Refusal {
    Released,
    Unknown(String),
    OutOfStock { name: String, left: i64 },
}

impl Store {
    pub(super) async fn open(brick: &Brick) -> Result<Self, brickwork::Error> {
        Ok(Self {
            database: brick.state(MIGRATIONS).await?,
        })
    }

    /// Fills an empty catalogue.
    pub(super) async fn seed(&self, products: Vec<ProductForm>) -> Result<(), brickwork::Error> {
        let seeded = self.database.write(move |tx| {
            let rows = tx.query_one("SELECT COUNT(*) FROM product", &[], |row| row.get::<i64>(0))?;
            if rows != Some(0) {
                return Ok(0);
            }
            for form in &products {
                insert(tx, &with_id(form.clone()))?;
            }
            Ok(products.len())
        });
        match seeded.await? {
            0 => {}
            products => tracing::info!(products, "seeded"),
        }
        Ok(())
    }

    /// A page of the products whose name, description or category hold every word of `q`.
    pub(super) async fn search(
        &self,
        q: String,
        category: Option<String>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Page, Error> {
        let words: Vec<String> = q.split_whitespace().take(5).map(like).collect();
        let pattern = |index: usize| words.get(index).cloned().unwrap_or_else(|| "%".to_owned());
        let patterns: [String; 5] = std::array::from_fn(pattern);
        let (after_name, after_id) = cursor.as_deref().and_then(split_cursor).unwrap_or_default();
        let select = format!(
            "SELECT {COLUMNS} FROM product
             WHERE words LIKE $1 ESCAPE '!' AND words LIKE $2 ESCAPE '!' AND words LIKE $3 ESCAPE '!'
               AND words LIKE $4 ESCAPE '!' AND words LIKE $5 ESCAPE '!'
               AND ($6 = '' OR category = $6) AND (name > $7 OR (name = $7 AND id > $8))
             ORDER BY name, id LIMIT $9"
        );
        let [first, second, third, fourth, fifth] = patterns.map(Param::from);
        let category = category.unwrap_or_default();
        let bind = [
            first,
            second,
            third,
            fourth,
            fifth,
            category.into(),
            after_name.into(),
            after_id.into(),
            (i64::from(limit) + 1).into(),
        ];
        let mut items = self
            .database
            .read(move |db| db.query(&select, &bind, product))
            .await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| format!("{}~{}", last.id, last.name));
        Ok(Page { items, next })
    }

    pub(super) async fn by_id(&self, id: String) -> Result<Option<Product>, Error> {
        self.database.read(move |db| find(db, id)).await
    }

    pub(super) async fn insert(&self, form: ProductForm) -> Result<Product, Error> {
        let product = with_id(form);
        let row = product.clone();
        self.database.write(move |tx| insert(tx, &row)).await?;
        Ok(product)
    }

    pub(super) async fn update(&self, id: String, form: ProductForm) -> Result<Option<Product>, Error> {
        let product = Product { id, ..with_id(form) };
        let row = product.clone();
        let update = "UPDATE product SET name = $2, description = $3, category = $4, price_cents = $5,
                      quantity = $6, words = $7 WHERE id = $1";
        let words = words(&row);
        let bind = [
            row.id.into(),
            row.name.into(),
            row.description.into(),
            row.category.into(),
            row.price_cents.into(),
            row.quantity.into(),
            words.into(),
        ];
        let changed = self.database.write(move |tx| tx.execute(update, &bind)).await?;
        Ok((changed == 1).then_some(product))
    }

    pub(super) async fn delete(&self, id: String) -> Result<bool, Error> {
        let delete = "DELETE FROM product WHERE id = $1";
        Ok(self
            .database
            .write(move |tx| tx.execute(delete, &[id.into()]))
            .await?
            == 1)
    }

    /// Sets stock aside, all lines or none. An order that already has its reservation gets the same answer again, one
    /// that was released none: a request that was overtaken by its own undoing must not take anything.
    pub(super) async fn reserve(&self, wish: Reserve) -> Result<Reservation, Problem> {
        let outcome = self.database.write(move |tx| {
            tx.lock(&format!("reservation {}", wish.order_id))?;
            if let Some(earlier) = reservation(tx, &wish.order_id)? {
                return Ok(Ok(earlier));
            }
            let released = "SELECT 1 FROM released WHERE order_id = $1";
            if tx
                .query_one(released, &[wish.order_id.clone().into()], |row| row.get::<i64>(0))?
                .is_some()
            {
                return Ok(Err(Refusal::Released));
            }
            match take_stock(tx, &wish)? {
                Ok(()) => {
                    let taken = reservation(tx, &wish.order_id)?;
                    Ok(Ok(
                        taken.ok_or_else(|| Error::rollback("a reservation without lines"))?
                    ))
                }
                Err(refusal) => {
                    give_back(tx, &wish.order_id)?;
                    Ok(Err(refusal))
                }
            }
        });
        outcome.await?.map_err(|refusal| match refusal {
            Refusal::Released => Problem::conflict(
                "released",
                "this order was released; it reserves nothing any more",
            ),
            Refusal::Unknown(id) => {
                Problem::not_found("unknown_product", format!("there is no product {id}"))
            }
            Refusal::OutOfStock { name, left } => {
                Problem::conflict("out_of_stock", format!("only {left} of \"{name}\" are left"))
            }
        })
    }

    /// Puts reserved pieces back and writes down that the order reserves no more; says whether there were any.
    pub(super) async fn release(&self, order_id: String) -> Result<bool, Error> {
        let mark = "INSERT INTO released (order_id, released_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.database
            .write(move |tx| {
                tx.lock(&format!("reservation {order_id}"))?;
                tx.execute(
                    mark,
                    &[order_id.clone().into(), Timestamp::now().as_second().into()],
                )?;
                Ok(give_back(tx, &order_id)? > 0)
            })
            .await
    }
}

fn take_stock(tx: &Tx<'_>, wish: &Reserve) -> Result<Result<(), Refusal>, Error> {
    for line in &wish.lines {
        let Some(product) = find(tx, line.product_id.clone())? else {
            return Ok(Err(Refusal::Unknown(line.product_id.clone())));
        };
        let take = "UPDATE product SET quantity = quantity - $2 WHERE id = $1 AND quantity >= $2";
        if tx.execute(take, &[product.id.clone().into(), line.quantity.into()])? == 0 {
            return Ok(Err(Refusal::OutOfStock {
                name: product.name,
                left: product.quantity,
            }));
        }
        tx.execute(
            "INSERT INTO reservation (order_id, product_id, name, price_cents, quantity) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (order_id, product_id) DO UPDATE SET quantity = reservation.quantity + $5",
            &[wish.order_id.clone().into(), product.id.into(), product.name.into(), product.price_cents.into(), line.quantity.into()],
        )?;
    }
    Ok(Ok(()))
}

fn give_back(tx: &Tx<'_>, order_id: &str) -> Result<u64, Error> {
    tx.execute(
        "UPDATE product SET quantity = quantity + (SELECT quantity FROM reservation
             WHERE reservation.product_id = product.id AND order_id = $1)
         WHERE id IN (SELECT product_id FROM reservation WHERE order_id = $1)",
        &[order_id.to_owned().into()],
    )?;
    tx.execute(
        "DELETE FROM reservation WHERE order_id = $1",
        &[order_id.to_owned().into()],
    )
}

fn reservation(db: &Reader<'_>, order_id: &str) -> Result<Option<Reservation>, Error> {
    let select =
        "SELECT product_id, name, price_cents, quantity FROM reservation WHERE order_id = $1 ORDER BY name";
    let lines = db.query(select, &[order_id.to_owned().into()], |row| {
        Ok(ReservedLine {
            product_id: row.get(0)?,
            name: row.get(1)?,
            price_cents: row.get(2)?,
            quantity: row.get(3)?,
        })
    })?;
    let total_cents = lines.iter().map(|line| line.price_cents * line.quantity).sum();
    Ok((!lines.is_empty()).then(|| Reservation {
        order_id: order_id.to_owned(),
        lines,
        total_cents,
    }))
}

fn find(db: &Reader<'_>, id: String) -> Result<Option<Product>, Error> {
    db.query_one(
        &format!("SELECT {COLUMNS} FROM product WHERE id = $1"),
        &[id.into()],
        product,
    )
}

fn insert(tx: &Tx<'_>, product: &Product) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO product (id, name, description, category, price_cents, quantity, words)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            product.id.clone().into(),
            product.name.clone().into(),
            product.description.clone().into(),
            product.category.clone().into(),
            product.price_cents.into(),
            product.quantity.into(),
            words(product).into(),
        ],
    )?;
    Ok(())
}

fn with_id(form: ProductForm) -> Product {
    Product {
        id: Uuid::now_v7().to_string(),
        name: form.name.trim().to_owned(),
        description: form.description,
        category: form.category,
        price_cents: form.price_cents,
        quantity: form.quantity,
    }
}

/// What a search looks through, in lower case.
fn words(product: &Product) -> String {
    format!("{} {} {}", product.name, product.category, product.description).to_lowercase()
}

/// A word as a LIKE pattern in which its own wildcards mean themselves.
fn like(word: &str) -> String {
    let word = word
        .to_lowercase()
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    format!("%{word}%")
}

fn split_cursor(cursor: &str) -> Option<(String, String)> {
    cursor
        .split_once('~')
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
}

fn product(row: &Row<'_>) -> Result<Product, Error> {
    Ok(Product {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        category: row.get(3)?,
        price_cents: row.get(4)?,
        quantity: row.get(5)?,
    })
}
