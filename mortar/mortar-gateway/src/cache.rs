//! Keeping answers and using them again: a cache that many share, by RFC 9111, with stale answers while a fresh one is
//! fetched or none can be had (RFC 5861). What it did stands in `Cache-Status` (RFC 9211).

mod flight;
mod rules;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use brick_bus::routes;
use bytes::{Bytes, BytesMut};
use http::header::{
    AGE, AUTHORIZATION, CONTENT_LENGTH, ETAG, HOST, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use mortar_proxy::{Answer, Body, Caller, Filter, Target};
use tokio::sync::watch;

use flight::{Flight, Joined};
use rules::{Directives, Lifetime};
pub(crate) use store::{Store, Stored};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const HIT: HeaderValue = HeaderValue::from_static("brickwork; hit");
const STALE: HeaderValue = HeaderValue::from_static("brickwork; hit; detail=stale");
const MISS: HeaderValue = HeaderValue::from_static("brickwork; fwd=uri-miss");
const COLLAPSED: HeaderValue = HeaderValue::from_static("brickwork; fwd=uri-miss; collapsed");
/// Longest wait for an answer that another request fetches.
const WAIT_MAX: Duration = Duration::from_secs(2);
const REVALIDATED: HeaderValue = HeaderValue::from_static("brickwork; hit; fwd=stale; fwd-status=304");

/// How the answers of a route are kept.
#[derive(Debug, Clone)]
pub(crate) struct Policy(routes::Cache);

/// What the answer to a request is to be used for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// It may be kept.
    Keep(Box<Keep>),
    /// Where it says that it worked, what is kept is void (RFC 9111 section 4.4).
    Forget(Arc<str>),
}

/// What is needed to keep an answer.
#[derive(Debug)]
pub(crate) struct Keep {
    policy: Policy,
    key: Arc<str>,
    /// Fields of the request, as far as answers may depend on them.
    asked: HeaderMap,
    authorized: bool,
    /// What is kept and no longer fresh.
    stale: Option<Arc<Stored>>,
    /// The request asks whether that still holds, where the client's own did not.
    revalidates: bool,
    /// Others wait for what comes.
    flight: Option<Flight>,
    /// Set where what somebody else fetched was used after all.
    served: Option<Arc<AtomicBool>>,
}

/// A wait for an answer that another request fetches.
#[derive(Debug)]
pub(crate) struct Waiting {
    over: watch::Receiver<()>,
    key: Arc<str>,
    asked: HeaderMap,
    served: Arc<AtomicBool>,
}

/// What becomes of a request to a route with a cache.
#[derive(Debug)]
pub(crate) enum Step {
    /// The cache has nothing to do with it.
    Pass,
    /// It goes on; its answer is of interest.
    Fetch(Pending),
    /// It waits for an answer that another request fetches, and goes on where that is of no use to it.
    Wait(Pending, Waiting),
    /// This is its answer.
    Answer(Box<Response<Body>>),
    /// This is its answer; meanwhile a fresh one is to be fetched.
    AnswerAndRefresh(Box<Response<Body>>, Box<Keep>),
}

impl Policy {
    pub(crate) fn new(told: &routes::Cache) -> Self {
        Self(told.clone())
    }

    /// Looks for an answer. A request that goes on may get fields by which the brick can say that the kept one holds.
    pub(crate) fn admit(&self, store: &Store, head: &mut Parts) -> Result<Step, Answer> {
        let key = key(head);
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let is_safe = matches!(head.method, Method::OPTIONS | Method::TRACE);
            return Ok(if is_safe {
                Step::Pass
            } else {
                Step::Fetch(Pending::Forget(key))
            });
        }
        let wish = Directives::of_request(&head.headers);
        if wish.no_store || head.headers.contains_key(RANGE) {
            return Ok(Step::Pass);
        }
        let found = store.get(&key, &head.headers);
        if let Some(stored) = found.as_ref().filter(|_| !wish.no_cache) {
            let now = Instant::now();
            let age = stored.age(now);
            let Lifetime {
                fresh,
                while_revalidate,
                ..
            } = stored.lifetime;
            let young = wish.max_age.is_none_or(|max| age <= max);
            if young && age + wish.min_fresh.unwrap_or_default() < fresh {
                return Ok(Step::Answer(Box::new(stored.answer(
                    &head.method,
                    &head.headers,
                    age,
                    HIT,
                ))));
            }
            if young && wish.min_fresh.is_none() && age < fresh + while_revalidate {
                let answer = Box::new(stored.answer(&head.method, &head.headers, age, STALE));
                if stored.refreshing.swap(true, Ordering::AcqRel) {
                    return Ok(Step::Answer(answer));
                }
                let keep = self.keep(key, head, None, false);
                return Ok(Step::AnswerAndRefresh(answer, Box::new(keep)));
            }
        }
        if wish.only_if_cached {
            let detail = "nothing fresh is kept, and the request wants nothing else";
            return Err(Answer::new(StatusCode::GATEWAY_TIMEOUT, "not_cached", detail));
        }
        if head.method == Method::HEAD {
            return Ok(Step::Pass);
        }
        if found.is_none() {
            return Ok(self.fetch(store, key, head));
        }
        let revalidates = found
            .as_ref()
            .is_some_and(|stored| ask_whether_it_holds(&stored.headers, head));
        let keep = self.keep(key, head, found, revalidates);
        Ok(Step::Fetch(Pending::Keep(Box::new(keep))))
    }

    /// Nothing is kept: one of those who want it fetches it for all. What is shown to one user alone is not waited for.
    fn fetch(&self, store: &Store, key: Arc<str>, head: &Parts) -> Step {
        let mut keep = Box::new(self.keep(Arc::clone(&key), head, None, false));
        if keep.authorized {
            return Step::Fetch(Pending::Keep(keep));
        }
        match store.flights.join(&key, Instant::now()) {
            Joined::Alone => Step::Fetch(Pending::Keep(keep)),
            Joined::First(flight) => {
                keep.flight = Some(flight);
                Step::Fetch(Pending::Keep(keep))
            }
            Joined::Wait(over) => {
                let served = Arc::<AtomicBool>::default();
                let waiting = Waiting {
                    over,
                    key,
                    asked: head.headers.clone(),
                    served: Arc::clone(&served),
                };
                keep.served = Some(served);
                Step::Wait(Pending::Keep(keep), waiting)
            }
        }
    }

    fn keep(&self, key: Arc<str>, head: &Parts, stale: Option<Arc<Stored>>, revalidates: bool) -> Keep {
        Keep {
            policy: self.clone(),
            key,
            authorized: head.headers.contains_key(AUTHORIZATION),
            asked: head.headers.clone(),
            stale,
            revalidates,
            flight: None,
            served: None,
        }
    }
}

impl Waiting {
    /// The answer, once who fetches it has it; none where it is of no use here, or does not come in time.
    pub(crate) async fn answer(mut self, store: &Store, limit: Duration) -> Option<Response<Body>> {
        // It is over when the sender is gone.
        let over = tokio::time::timeout(limit.min(WAIT_MAX), self.over.changed()).await;
        over.is_ok().then_some(())?;
        let stored = store.get(&self.key, &self.asked)?;
        let age = stored.age(Instant::now());
        (age < stored.lifetime.fresh).then_some(())?;
        self.served.store(true, Ordering::Release);
        Some(stored.answer(&Method::GET, &self.asked, age, COLLAPSED))
    }
}

impl Pending {
    /// Sees the answer: keeps it, or uses what is kept in its place.
    pub(crate) fn respond(self, store: &Arc<Store>, response: Response<Body>) -> Response<Body> {
        match self {
            Self::Keep(keep) => keep.respond(store, response),
            Self::Forget(key) => {
                let status = response.status();
                if status.is_success() || status.is_redirection() {
                    store.forget(&key);
                }
                response
            }
        }
    }
}

impl Keep {
    fn respond(mut self, store: &Arc<Store>, mut response: Response<Body>) -> Response<Body> {
        if self
            .served
            .as_ref()
            .is_some_and(|served| served.load(Ordering::Acquire))
        {
            return response;
        }
        let status = response.status();
        if let Some(stale) = &self.stale {
            let age = stale.age(Instant::now());
            if status == StatusCode::NOT_MODIFIED && self.revalidates {
                return self.revalidated(store, stale, response.headers());
            }
            if status.is_server_error() && age < stale.lifetime.fresh + stale.lifetime.if_error {
                return stale.whole(age, STALE);
            }
        }
        let lifetime = self.lifetime(status, response.headers());
        response.headers_mut().insert(CACHE_STATUS, MISS);
        let Some(lifetime) = lifetime else {
            if let Some(flight) = self.flight.filter(|_| !status.is_server_error()) {
                flight.in_vain(Instant::now());
            }
            return response;
        };
        let bytes_max = usize::try_from(self.policy.0.bytes_max).unwrap_or(usize::MAX);
        let declared = response
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > bytes_max) {
            return response;
        }
        let collect = Collect {
            stored: Some(self.stored(status, response.headers(), lifetime)),
            key: Arc::clone(&self.key),
            store: Arc::clone(store),
            body: BytesMut::new(),
            bytes_max,
            declared,
            flight: self.flight.take(),
        };
        response.map(|body| body.filtered(Box::new(collect)))
    }

    /// The brick says that what is kept holds (RFC 9111 section 4.3.4).
    fn revalidated(&self, store: &Store, stale: &Stored, said: &HeaderMap) -> Response<Body> {
        let mut headers = stale.headers.clone();
        for (name, value) in said {
            if *name != CONTENT_LENGTH {
                headers.insert(name, value.clone());
            }
        }
        let lifetime = self.lifetime(stale.status, &headers);
        let mut fresh = self.stored(stale.status, &headers, lifetime.unwrap_or(stale.lifetime));
        fresh.body = stale.body.clone();
        let answer = fresh.whole(fresh.lifetime.age, REVALIDATED);
        match lifetime {
            Some(_) => store.put(&self.key, Arc::new(fresh)),
            None => store.forget(&self.key),
        }
        answer
    }

    /// Fetches a fresh answer while the stale one is in use.
    pub(crate) async fn refresh(
        self,
        store: Arc<Store>,
        caller: Caller,
        target: Target,
        head: Request<()>,
        limit: Duration,
    ) {
        let bytes_max = usize::try_from(self.policy.0.bytes_max).unwrap_or(usize::MAX);
        let fetched = caller
            .call(&target, head.map(|()| Bytes::new()), limit, bytes_max)
            .await;
        let good = fetched
            .ok()
            .filter(|response| !response.status().is_server_error());
        let kept = good.and_then(|response| {
            let lifetime = self.lifetime(response.status(), response.headers())?;
            let (head, body) = response.into_parts();
            let mut stored = self.stored(head.status, &head.headers, lifetime);
            stored.body = body;
            store.put(&self.key, Arc::new(stored));
            Some(())
        });
        // Where none came, the next request tries again.
        if kept.is_none()
            && let Some(stale) = store.get(&self.key, &self.asked)
        {
            stale.refreshing.store(false, Ordering::Release);
        }
    }

    fn lifetime(&self, status: StatusCode, answer: &HeaderMap) -> Option<Lifetime> {
        rules::lifetime(
            status,
            answer,
            &self.asked,
            self.authorized,
            &self.policy.0,
            SystemTime::now(),
        )
    }

    fn stored(&self, status: StatusCode, headers: &HeaderMap, lifetime: Lifetime) -> Stored {
        let names = rules::varies_by(headers).into_iter();
        let mut headers = headers.clone();
        headers.remove(AGE);
        headers.remove(CACHE_STATUS);
        Stored {
            status,
            headers,
            body: Bytes::new(),
            vary: names
                .map(|name| (name.clone(), self.asked.get(&name).cloned()))
                .collect(),
            lifetime,
            since: Instant::now(),
            refreshing: AtomicBool::new(false),
        }
    }
}

impl Stored {
    /// The answer to a request, or that the client has it already.
    fn answer(
        &self,
        method: &Method,
        asked: &HeaderMap,
        age: Duration,
        status: HeaderValue,
    ) -> Response<Body> {
        let mut response = self.whole(age, status);
        if self.status == StatusCode::OK && rules::is_known(asked, &self.headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(CONTENT_LENGTH);
            *response.body_mut() = Body::empty();
        } else if *method == Method::HEAD {
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
            *response.body_mut() = Body::empty();
        }
        response
    }

    fn whole(&self, age: Duration, status: HeaderValue) -> Response<Body> {
        let mut response = Response::new(Body::whole(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
            .headers_mut()
            .insert(AGE, HeaderValue::from(age.as_secs()));
        response.headers_mut().insert(CACHE_STATUS, status);
        response
    }
}

/// Asks the brick whether what is kept still holds, unless the client asks something like that itself.
fn ask_whether_it_holds(kept: &HeaderMap, head: &mut Parts) -> bool {
    let asks = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
    if asks.iter().any(|name| head.headers.contains_key(name)) || !rules::has_validator(kept) {
        return false;
    }
    for (ask, validator) in asks.into_iter().zip([ETAG, LAST_MODIFIED]) {
        if let Some(value) = kept.get(validator) {
            head.headers.insert(ask, value.clone());
        }
    }
    true
}

/// What answers are kept by: host and target, as the client named them.
fn key(head: &Parts) -> Arc<str> {
    let host = head.uri.authority().map(|authority| authority.as_str());
    let named = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(named).unwrap_or_default().to_ascii_lowercase();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    format!("{host}{target}").into()
}

/// Keeps an answer once it has passed as a whole.
#[derive(Debug)]
struct Collect {
    stored: Option<Stored>,
    key: Arc<str>,
    store: Arc<Store>,
    body: BytesMut,
    bytes_max: usize,
    declared: Option<usize>,
    /// Over once the answer is kept, or will not be.
    flight: Option<Flight>,
}

impl Collect {
    fn keep(&mut self) {
        if let Some(mut stored) = self.stored.take() {
            stored.body = std::mem::take(&mut self.body).freeze();
            self.store.put(&self.key, Arc::new(stored));
        }
        self.flight = None;
    }
}

impl Filter for Collect {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        if self.body.len() + piece.len() > self.bytes_max {
            self.stored = None;
            self.body = BytesMut::new();
            if let Some(flight) = self.flight.take() {
                flight.in_vain(Instant::now());
            }
        }
        if self.stored.is_some() {
            self.body.extend_from_slice(&piece);
        }
        // Whoever sends it on asks for nothing more once the declared length is there.
        if self.declared == Some(self.body.len()) {
            self.keep();
        }
        piece
    }

    fn end(&mut self) -> Bytes {
        if self.declared.is_none_or(|declared| declared == self.body.len()) {
            self.keep();
        }
        Bytes::new()
    }
}
