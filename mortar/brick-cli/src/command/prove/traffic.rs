//! The load of an experiment: every scenario at a steady rate, and what came of each request.
//!
//! An open loop, as `brick load`: a system that stalls does not slow it down. A request is counted when it has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brick_model::Step;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::report::{Class, Failed};
use crate::command::load::round::Scenario;
use crate::command::steps::{Exchange, Values};

/// Rounds of one scenario under way at the same time; one that finds no place counts as failed.
const ROUNDS_MAX: usize = 500;
/// Requests and rounds that are kept of one experiment; beyond that it is not answered.
const KEPT_MAX: usize = 200_000;
/// Failures that are kept whole.
const FAILURES_MAX: usize = 200;

/// One request that ended.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) begin: Instant,
    pub(super) end: Instant,
    pub(super) ok: bool,
    /// Whether a client, and so the platform for it, may send it twice.
    pub(super) repeatable: bool,
    /// Whether it failed without an answer.
    pub(super) cut: bool,
}

/// A failure with what is known of it.
#[derive(Debug, Clone)]
struct Told {
    begin: Instant,
    failed: Failed,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Book {
    requests: Vec<Request>,
    failures: Vec<Told>,
    /// Rounds that ended well: which scenario, and the values of the round.
    done: Vec<(usize, Values)>,
    rounds: Vec<Instant>,
    overflow: bool,
}

/// The load while it runs.
pub(super) struct Traffic {
    book: Arc<Mutex<Book>>,
    stopping: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// What caused requests to fail that may: the process that was taken away, and until when it was there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// When it was surely gone.
    pub(super) gone: Instant,
    /// Whether it held the clients' own connections.
    pub(super) edge: bool,
}

/// What the load came to between two moments.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) rounds: u64,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    pub(super) p99_ms: f64,
    /// From the beginning of the window to the end of the last request that failed.
    pub(super) failing: Duration,
}

/// What is left when the load has stopped.
pub(super) struct Ended {
    pub(super) done: Vec<(usize, Values)>,
    pub(super) overflow: bool,
}

impl Traffic {
    /// Begins: so many rounds a second of each scenario.
    pub(super) fn start(scenarios: &[Arc<Scenario>], per_second: f64) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let stopping = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, scenario) in scenarios.iter().enumerate() {
            let every = Duration::from_secs_f64(1.0 / per_second);
            let (book, stopping) = (Arc::clone(&book), Arc::clone(&stopping));
            tasks.spawn(drive(number, Arc::clone(scenario), every, book, stopping));
        }
        Self {
            book,
            stopping,
            tasks,
        }
    }

    /// Rounds that ended since then.
    pub(super) fn rounds_since(&self, since: Instant) -> usize {
        let book = self.book.lock();
        book.rounds.iter().rev().take_while(|end| **end >= since).count()
    }

    /// What ended between two moments. `cuts` say which failures were under way in a process that was taken away.
    pub(super) fn window(&self, from: Instant, to: Instant, cuts: &[Cut]) -> Window {
        let book = self.book.lock();
        let mut window = Window::default();
        let mut times = Vec::new();
        for request in book.requests.iter().filter(|one| (from..=to).contains(&one.end)) {
            window.requests += 1;
            times.push(request.end - request.begin);
            if request.ok {
                continue;
            }
            match class(request, from, cuts) {
                Class::Failed => window.failed += 1,
                Class::InFlight => window.in_flight += 1,
            }
            window.failing = window.failing.max(request.end - from);
        }
        window.rounds = book.rounds.iter().filter(|end| (from..=to).contains(end)).count() as u64;
        times.sort_unstable();
        let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
        window.p99_ms = times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
        window
    }

    /// The failures since then, with their class.
    pub(super) fn failures(&self, from: Instant, cuts: &[Cut]) -> Vec<Failed> {
        let book = self.book.lock();
        let since = book
            .failures
            .iter()
            .filter(|told| told.begin + told.took() >= from);
        let classed = since.map(|told| Failed {
            class: class(&told.request(), from, cuts),
            ..told.failed.clone()
        });
        classed.collect()
    }

    /// Sends no more, and waits for what is under way.
    pub(super) async fn stop(mut self) -> Ended {
        self.stopping.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        let mut book = self.book.lock();
        Ended {
            done: std::mem::take(&mut book.done),
            overflow: book.overflow,
        }
    }
}

impl Told {
    fn took(&self) -> Duration {
        Duration::from_secs_f64(self.failed.took_ms.max(0.0) / 1e3)
    }

    fn request(&self) -> Request {
        Request {
            begin: self.begin,
            end: self.begin + self.took(),
            ok: false,
            repeatable: self.failed.repeatable,
            cut: self.failed.cut,
        }
    }
}

/// What a failure counts as. A request that was under way in a process when that was taken away cannot be saved where
/// nobody may send it twice, or where the process held the client's own connection.
pub(super) fn class(request: &Request, from: Instant, cuts: &[Cut]) -> Class {
    let excused = |cut: &Cut| {
        let under_way = request.begin <= cut.gone && request.end >= from;
        under_way && (!request.repeatable || (cut.edge && request.cut))
    };
    if cuts.iter().any(excused) {
        Class::InFlight
    } else {
        Class::Failed
    }
}

async fn drive(
    number: usize,
    scenario: Arc<Scenario>,
    every: Duration,
    book: Arc<Mutex<Book>>,
    stopping: Arc<AtomicBool>,
) {
    let places = Arc::new(Semaphore::new(ROUNDS_MAX));
    let mut rounds = JoinSet::new();
    let mut due = Instant::now();
    while !stopping.load(Ordering::Relaxed) {
        tokio::time::sleep_until(due).await;
        due += every;
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let (scenario, book) = (Arc::clone(&scenario), Arc::clone(&book));
                rounds.spawn(async move {
                    let ended = scenario
                        .watched(&mut |step, begin, exchange| book.lock().note(step, begin, exchange))
                        .await;
                    drop(place);
                    book.lock().ended(number, ended.failure.is_none(), ended.values);
                });
            }
            Err(_) => book.lock().no_place(due),
        }
        while rounds.try_join_next().is_some() {}
    }
    while rounds.join_next().await.is_some() {}
}

impl Book {
    fn note(&mut self, step: &Step, begin: Instant, exchange: &Exchange) {
        let repeatable = repeatable(step);
        let cut = exchange.answer.is_none();
        let end = begin + exchange.took;
        let ok = exchange.passed();
        self.push(Request {
            begin,
            end,
            ok,
            repeatable,
            cut,
        });
        if !ok {
            let kind = exchange.misses.first().map(|miss| miss.kind.clone());
            self.fail(
                begin,
                Failed {
                    at: Timestamp::now(),
                    what: exchange.what.clone(),
                    kind: kind.unwrap_or_default(),
                    trace_id: exchange.trace_id().map(str::to_owned),
                    took_ms: exchange.took.as_secs_f64() * 1e3,
                    repeatable,
                    cut,
                    class: Class::Failed,
                },
            );
        }
    }

    fn push(&mut self, request: Request) {
        if self.requests.len() < KEPT_MAX {
            self.requests.push(request);
        } else {
            self.overflow = true;
        }
    }

    fn fail(&mut self, begin: Instant, failed: Failed) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(Told { begin, failed });
        }
    }

    fn ended(&mut self, scenario: usize, well: bool, values: Values) {
        if self.rounds.len() >= KEPT_MAX {
            self.overflow = true;
            return;
        }
        self.rounds.push(Instant::now());
        if well {
            self.done.push((scenario, values));
        }
    }

    /// The system holds so many rounds back that one more has no place.
    fn no_place(&mut self, due: Instant) {
        self.push(Request {
            begin: due,
            end: due,
            ok: false,
            repeatable: true,
            cut: false,
        });
    }
}

/// Whether a request may be sent twice: its method says so (RFC 9110 §9.2.2), or a key.
fn repeatable(step: &Step) -> bool {
    let keyed = step
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("idempotency-key"));
    keyed || step.post.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_was_under_way_and_cannot_be_sent_twice_is_excused() {
        let from = Instant::now();
        let ms = Duration::from_millis;
        let gone = from + ms(5);
        let check = |begin: u64, end: u64, repeatable: bool, cut: bool, edge: bool, expect: Class| {
            let request = Request {
                begin: from + ms(begin),
                end: from + ms(end),
                ok: false,
                repeatable,
                cut,
            };
            let cuts = [Cut { gone, edge }];
            assert_eq!(class(&request, from, &cuts), expect, "{request:?}, edge {edge}");
        };
        check(1, 9, false, false, false, Class::InFlight);
        check(1, 9, true, false, false, Class::Failed);
        check(6, 9, false, false, false, Class::Failed);
        check(1, 9, true, true, true, Class::InFlight);
        check(1, 9, true, false, true, Class::Failed);
        check(6, 9, true, true, true, Class::Failed);
    }

    #[test]
    fn a_post_may_be_sent_twice_only_with_a_key() {
        let mut step = Step {
            post: Some("/orders".to_owned()),
            ..Step::default()
        };
        assert!(!repeatable(&step));
        step.headers
            .insert("Idempotency-Key".to_owned(), "{uuid}".to_owned());
        assert!(repeatable(&step));
    }
}
