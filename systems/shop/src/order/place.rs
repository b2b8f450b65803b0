//! Placing an order: check the customer, reserve stock, pay, ask for shipment; undo what was done when a step fails.
//!
//! The order is written down before the first step, under its idempotency key, and every step is keyed by the order's
//! id. So each step may be repeated, undoing what never happened is no error, and a step that arrives after its own
//! undoing is refused by whoever would have done it. An instance that dies in the middle leaves an order in state
//! `placing`: whoever gets the same key again takes it over and places it, and where nobody asks again any instance
//! undoes it, or completes it where the parcel has left. Who works on an order is told by a lease ([`store`]); two that
//! work on one do no harm, for it ends once, and nothing is undone that was not claimed for undoing before.
//!
//! [`store`]: super::store

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brickwork::bus::{Endpoints, Watch};
use brickwork::core::{Drain, chain};
use brickwork::telemetry::context::{SpanContext, with_remote_parent};
use brickwork::telemetry::metrics::{Counter, CounterFamily};
use brickwork::{Brick, CallError, Client, Config, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::store::{Begin, Lease, Store};
use super::{NewOrder, Order, OrderLine, Settings};
use crate::passed_on;

/// How many abandoned orders one look takes on.
const SWEEP_MAX: u32 = 20;
/// How long one who asks again waits for the order that another is placing.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often one who waits looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The order brick's view of the shop.
#[derive(Clone)]
pub(super) struct Shop {
    store: Store,
    settings: Config<Settings>,
    /// Who this start of the instance is, in leases.
    own: String,
    watch: Watch,
    customer: Client,
    product: Client,
    payment: Client,
    shipping: Client,
    placed: Counter,
    taken_over: Counter,
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
            own: brick.contract().incarnation.to_string(),
            watch: brick.watch().clone(),
            customer: brick.client("customer"),
            product: brick.client("product"),
            payment: brick.client("payment"),
            shipping: brick.client("shipping"),
            placed: metrics.counter("shop_orders_placed_total", "Orders placed"),
            taken_over: metrics.counter(
                "shop_orders_taken_over_total",
                "Orders that another instance had begun and did not end",
            ),
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

    /// Places an order, or answers the one that the same key placed before. Where somebody else is at it, waits for a
    /// while; where they are gone, goes on in their place.
    pub(super) async fn place(
        &self,
        customer: String,
        key: Option<String>,
        wish: NewOrder,
    ) -> Result<Order, Problem> {
        let since = Instant::now();
        loop {
            let (customer, alive) = (customer.clone(), self.alive());
            let begun = self
                .store
                .begin(customer.clone(), key.clone(), wish.clone(), self.lease(), alive);
            match begun.await? {
                Begin::New(order) => return self.carry_out(&customer, order).await,
                Begin::TakenOver(order) => {
                    tracing::warn!(order = %order.id, "whoever began this order is gone; going on in their place");
                    self.taken_over.inc();
                    return self.carry_out(&customer, order).await;
                }
                Begin::LeftUndone(order) => match self.undo(order, "abandoned", true).await {
                    Some(order) if order.status == "placed" => return Ok(order),
                    // Nothing is left of it, and its key is free again.
                    Some(_) => {}
                    None => return Err(in_progress()),
                },
                Begin::Done(order) => return Ok(order),
                Begin::InProgress if since.elapsed() < PATIENCE => tokio::time::sleep(LOOK_AGAIN).await,
                Begin::InProgress => return Err(in_progress()),
                Begin::OtherContent => {
                    let detail = "this key was used for another order";
                    return Err(Problem::unprocessable("key_reused", detail));
                }
            }
        }
    }

    /// Takes every step of an order that this instance holds; undoes them where one fails.
    async fn carry_out(&self, customer: &str, order: Order) -> Result<Order, Problem> {
        let id = order.id.clone();
        let steps = async {
            match self.charge(customer, &order).await {
                Ok((buyer, reserved)) => match self.ship(&order, &buyer).await {
                    Ok(shipment) => Ok(placed(order.clone(), reserved, shipment)),
                    Err(error) => {
                        let sent = !matches!(error, CallError::NoInstance { .. });
                        Err((passed_on(error), sent))
                    }
                },
                Err(problem) => Err((problem, false)),
            }
        };
        let (problem, asked_for_shipment) = match self.holding(&id, steps).await {
            Ok(done) => {
                return match self.finish(done, false).await? {
                    Some(order) => Ok(order),
                    None => self.ended_by_another(id, overtaken()).await,
                };
            }
            Err(refused) => refused,
        };
        tracing::warn!(order = %id, code = %problem.code, detail = %problem.detail, "refused; undoing");
        let Some(claim) = self.store.claim(id.clone(), self.lease()).await? else {
            return self.ended_by_another(id, problem).await;
        };
        let asked_for_shipment = asked_for_shipment || claim.had_others;
        match self.undo(order, &problem.code, asked_for_shipment).await {
            Some(order) if order.status == "placed" => Ok(order),
            _ => Err(problem),
        }
    }

    /// What to answer where another instance took the order and ended it, or is about to.
    async fn ended_by_another(&self, id: String, problem: Problem) -> Result<Order, Problem> {
        match self.store.get(id).await? {
            Some(order) if order.status == "placed" => Ok(order),
            Some(order) if order.status == "placing" => Err(in_progress()),
            _ => Err(problem),
        }
    }

    /// Does this, and holds the order meanwhile.
    async fn holding<T>(&self, id: &str, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.hold(id) => match never {},
        }
    }

    async fn hold(&self, id: &str) -> Infallible {
        loop {
            let lease = self.lease();
            tokio::time::sleep(lease.lasts / 3).await;
            if let Err(error) = self.store.renew(id.to_owned(), lease).await {
                tracing::warn!(order = id, error = %chain(&error), "cannot hold an order for longer");
            }
        }
    }

    fn lease(&self) -> Lease {
        Lease {
            holder: self.own.clone(),
            lasts: Duration::from_millis(self.settings.get().lease_ms.max(1).into()),
        }
    }

    /// The instances of this brick that may hold leases. Not known where the bus does not tell of this one, as it does to
    /// those who may call it: then a lease lasts until it runs out.
    fn alive(&self) -> Option<Vec<String>> {
        let endpoints: Endpoints = self.watch.typed("endpoints/order")?;
        let all = endpoints.instances.into_iter();
        let all: Vec<String> = all.map(|one| one.incarnation.to_string()).collect();
        all.contains(&self.own).then_some(all)
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

    /// Writes down how an order ended, once; none where it had ended before, or is being undone by somebody.
    async fn finish(&self, order: Order, undone: bool) -> Result<Option<Order>, Problem> {
        if !self.store.finish(order.clone(), undone).await? {
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

    /// Takes every step of an order back that was claimed for it, and gives the order as it ended. Where a brick does
    /// not answer, or somebody else ended the order, there is none; what is left is given free, for whoever asks again
    /// and for the sweep.
    async fn undo(&self, order: Order, reason: &str, asked_for_shipment: bool) -> Option<Order> {
        let id = order.id.clone();
        let undone = self.take_back(order, reason, asked_for_shipment);
        match self.holding(&id, undone).await {
            Ok(ended) => match self.finish(ended, true).await {
                Ok(ended) => return ended,
                Err(problem) => {
                    tracing::warn!(order = %id, code = %problem.code, "cannot write down how an order ended, will try again");
                }
            },
            Err(error) => {
                tracing::warn!(order = %id, error = %chain(&error), "cannot undo yet, will try again");
            }
        }
        let free = Lease {
            lasts: Duration::ZERO,
            ..self.lease()
        };
        if let Err(error) = self.store.renew(id.clone(), free).await {
            tracing::debug!(order = %id, error = %chain(&error), "an order stays held until its lease runs out");
        }
        None
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
                        self.undo_left_behind(order).await;
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

    /// Undoes an order unless somebody took it meanwhile.
    async fn undo_left_behind(&self, order: Order) {
        let claimed = self.store.claim(order.id.clone(), self.lease());
        match claimed.instrument(unrecorded()).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(order = %order.id, error = %chain(&error), "cannot claim an order left behind");
                return;
            }
        }
        let span = tracing::info_span!("undo abandoned order", order = %order.id);
        span.in_scope(|| tracing::warn!(order = %order.id, "found an order left behind; undoing"));
        self.undo(order, "abandoned", true).instrument(span).await;
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

fn in_progress() -> Problem {
    let detail = "an order under this key is being placed; ask again in a moment";
    Problem::conflict("in_progress", detail)
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
