//! Placing an order: check the customer, reserve stock, pay, ask for shipment; undo what was done when a step fails.
//!
//! The order is written down before the first step, under its idempotency key, and every step is keyed by the order's
//! id. So each step may be repeated, undoing what never happened is no error, and a step that arrives after its own
//! undoing is refused by whoever would have done it. An instance that dies in the middle leaves an order in state
//! `placing` that any other instance finds and undoes, or completes where the parcel has left.

use std::sync::Arc;
use std::time::Duration;

use brickwork::core::{Drain, chain};
use brickwork::telemetry::context::{SpanContext, with_remote_parent};
use brickwork::telemetry::metrics::{Counter, CounterFamily};
use brickwork::{Brick, CallError, Client, Config, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::store::{Begin, Store};
use super::{NewOrder, Order, OrderLine, Settings};
use crate::passed_on;

/// How many abandoned orders one look takes on.
const SWEEP_MAX: u32 = 20;

/// The order brick's view of the shop.
#[derive(Clone)]
pub(super) struct Shop {
    store: Store,
    settings: Config<Settings>,
    customer: Client,
    product: Client,
    payment: Client,
    shipping: Client,
    placed: Counter,
    revenue_cents: Counter,
    refused: CounterFamily,
}

#[derive(Deserialize)]
struct Customer {
    name: String,
    address: String,
}

#[derive(Deserialize)]
struct Reservation {
    lines: Vec<OrderLine>,
    total_cents: i64,
}

#[derive(Deserialize)]
struct Shipment {
    ticket: String,
    status: String,
}

impl Shop {
    pub(super) fn new(brick: &Brick, store: Store, settings: Config<Settings>) -> Self {
        let metrics = brick.metrics();
        Self {
            store,
            settings,
            customer: brick.client("customer"),
            product: brick.client("product"),
            payment: brick.client("payment"),
            shipping: brick.client("shipping"),
            placed: metrics.counter("shop_orders_placed_total", "Orders placed"),
            revenue_cents: metrics.counter("shop_revenue_cents_total", "Sum of the orders placed, in cents"),
            refused: metrics.counter_with("shop_orders_refused_total", "Orders refused", &["reason"]),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.get()
    }

    /// Places an order, or answers the one that the same key placed before.
    pub(super) async fn place(
        &self,
        customer: String,
        key: Option<String>,
        wish: NewOrder,
    ) -> Result<Order, Problem> {
        let order = match self.store.begin(customer.clone(), key, wish).await? {
            Begin::New(order) => order,
            Begin::Done(order) => return Ok(order),
            Begin::InProgress => {
                let detail = "an order under this key is being placed; ask again in a moment";
                return Err(Problem::conflict("in_progress", detail));
            }
            Begin::OtherContent => {
                let detail = "this key was used for another order";
                return Err(Problem::unprocessable("key_reused", detail));
            }
        };
        let (problem, asked_for_shipment) = match self.charge(&customer, &order).await {
            Ok((buyer, reserved)) => match self.ship(&order, &buyer).await {
                Ok(shipment) => {
                    return self
                        .finish(placed(order, reserved, shipment))
                        .await?
                        .ok_or_else(overtaken);
                }
                Err(error) => {
                    let sent = !matches!(error, CallError::NoInstance { .. });
                    (passed_on(error), sent)
                }
            },
            Err(problem) => (problem, false),
        };
        tracing::warn!(order = %order.id, code = %problem.code, detail = %problem.detail, "refused; undoing");
        match self.undo(order, &problem.code, asked_for_shipment).await {
            Some(order) if order.status == "placed" => Ok(order),
            _ => Err(problem),
        }
    }

    /// The steps up to the payment: who buys, and what was reserved and paid.
    async fn charge(&self, customer_id: &str, order: &Order) -> Result<(Customer, Reservation), Problem> {
        let id = order.id.as_str();
        let customer = self.customer.get(format!("/api/customers/{customer_id}"));
        let customer: Customer = customer.fetch().await.map_err(passed_on)?;
        if customer.address.trim().is_empty() {
            let detail = "tell us where to send it first: your account has no address";
            return Err(Problem::unprocessable("no_address", detail));
        }
        let reserved = self.reserve(order).await.map_err(passed_on)?;
        let charge =
            json!({ "order_id": id, "customer_id": customer_id, "amount_cents": reserved.total_cents });
        let paid = self.payment.post("/payments").idempotency_key(id).json(&charge);
        paid.fetch::<Value>().await.map_err(passed_on)?;
        Ok((customer, reserved))
    }

    async fn ship(&self, order: &Order, buyer: &Customer) -> Result<Shipment, CallError> {
        let parcel = json!({ "order_id": order.id, "recipient": buyer.name, "address": buyer.address });
        self.shipping.post("/shipments").json(&parcel).fetch().await
    }

    /// Reserves stock for an order; where that was done before, tells what was reserved.
    async fn reserve(&self, order: &Order) -> Result<Reservation, CallError> {
        let wish = json!({ "order_id": order.id, "lines": order.lines });
        self.product.post("/reservations").json(&wish).fetch().await
    }

    /// Writes down how an order ended, once; none where it had ended before.
    async fn finish(&self, order: Order) -> Result<Option<Order>, Problem> {
        if !self.store.finish(order.clone()).await? {
            return Ok(None);
        }
        match &order.reason {
            None => {
                self.placed.inc();
                self.revenue_cents.add(order.total_cents.unsigned_abs());
                tracing::info!(order = %order.id, total_cents = order.total_cents, "placed");
            }
            Some(reason) => {
                self.refused.with(&[reason]).inc();
                tracing::info!(order = %order.id, reason, "refused; everything is undone");
            }
        }
        Ok(Some(order))
    }

    /// Takes every step back and gives the order as it ended. Where a brick does not answer, or somebody else ended
    /// the order, there is none; an order that stays in state `placing` is found by the sweep.
    async fn undo(&self, order: Order, reason: &str, asked_for_shipment: bool) -> Option<Order> {
        let id = order.id.clone();
        match self.take_back(order, reason, asked_for_shipment).await {
            Ok(ended) => self.finish(ended).await.unwrap_or_else(|problem| {
                tracing::warn!(order = %id, code = %problem.code, "cannot write down how an order ended, will try again");
                None
            }),
            Err(error) => {
                tracing::warn!(order = %id, error = %chain(&error), "cannot undo yet, will try again");
                None
            }
        }
    }

    /// The shipment first, if one may have been asked for: once the parcel has left there is nothing to take back, and the
    /// order counts as placed.
    async fn take_back(
        &self,
        order: Order,
        reason: &str,
        asked_for_shipment: bool,
    ) -> Result<Order, CallError> {
        let id = &order.id;
        if asked_for_shipment {
            let path = format!("/shipments/of/{id}");
            let cancelled = self.shipping.delete(&path).as_self().send().await?;
            if cancelled.status == 409 {
                let shipment = self.shipping.get(path).as_self().fetch().await?;
                let reserved = self.reserve(&order).await?;
                return Ok(placed(order, reserved, shipment));
            }
            cancelled.success()?;
        }
        let (voided, released) = tokio::join!(
            self.payment.delete(format!("/payments/{id}")).as_self().send(),
            self.product
                .delete(format!("/reservations/{id}"))
                .as_self()
                .send(),
        );
        voided?.success()?;
        released?.success()?;
        Ok(Order {
            status: "refused".to_owned(),
            reason: Some(reason.to_owned()),
            ..order
        })
    }

    /// Undoes the orders that nobody is placing any more, until asked to drain.
    pub(super) async fn sweep(self, drain: Drain) {
        loop {
            let settings = self.settings();
            match self
                .store
                .abandoned(settings.abandoned_after_s, SWEEP_MAX)
                .instrument(unrecorded())
                .await
            {
                Ok(orders) => {
                    for order in orders {
                        let span = tracing::info_span!("undo abandoned order", order = %order.id);
                        span.in_scope(
                            || tracing::warn!(order = %order.id, "found an order left behind; undoing"),
                        );
                        self.undo(order, "abandoned", true).instrument(span).await;
                    }
                }
                Err(error) => tracing::warn!(error = %chain(&error), "cannot look for abandoned orders"),
            }
            tokio::select! {
                () = drain.requested() => return,
                () = tokio::time::sleep(Duration::from_millis(settings.sweep_every_ms.max(1).into())) => {}
            }
        }
    }

    /// Adds how far the shipment is; an order is readable while shipping is not.
    pub(super) async fn with_shipment(&self, order: Order) -> Order {
        let Some(ticket) = &order.ticket else { return order };
        let asked = self
            .shipping
            .get(format!("/shipments/{ticket}"))
            .timeout(Duration::from_millis(500));
        match asked.fetch::<Shipment>().await {
            Ok(shipment) => Order {
                shipment: Some(shipment.status),
                ..order
            },
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot tell how far a shipment is");
                order
            }
        }
    }
}

fn placed(order: Order, reserved: Reservation, shipment: Shipment) -> Order {
    Order {
        status: "placed".to_owned(),
        lines: reserved.lines,
        total_cents: reserved.total_cents,
        ticket: Some(shipment.ticket),
        ..order
    }
}

/// The steps took so long that another instance took the order for abandoned and undid them.
fn overtaken() -> Problem {
    Problem::unavailable(
        "abandoned",
        "placing this order took too long, so it was undone; nothing is charged, try again",
    )
}

/// A span whose trace nobody keeps: looking for work and finding none is no trace worth reading.
fn unrecorded() -> tracing::Span {
    let parent = SpanContext {
        sampled: false,
        ..SpanContext::root()
    };
    with_remote_parent(Some(parent), || tracing::info_span!("look for abandoned orders"))
}
