//! The edge's rules: who may pass, and what else a route's [functions](crate::function) do with a request and its
//! answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brick_auth::{Claims, Verifier};
use brick_bus::routes::ApiKey;
use brick_discovery::Pools;
use brick_telemetry::metrics::{Kind, Registry};
use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use mortar_proxy::{Access, Answer, Body, Gate, Passing, Route, Verdict};

use crate::cache::{Pending, Step, Store, Waiting};
use crate::figures::Figures;
use crate::function::rate::Who;
use crate::function::{Functions, compress, mirror};
use crate::keys::{self, Keys};
use crate::shared_rate::SharedRate;
use mortar_proxy::token;

use crate::{cookie, page, synthetic};

/// Size of the cache until the routes say one.
const CACHE_BYTES_MAX: u64 = 32 << 20;

/// Checks tokens and keys, which tokens travel on unchanged: bricks verify them again. Tells synthetic traffic from
/// the rest.
#[derive(Debug)]
pub struct EdgeGate {
    verifier: Verifier,
    pub(crate) parts: EdgeParts,
    pools: Pools,
}

/// What the edge's gate shares with whoever follows the bus for it.
#[derive(Debug, Clone)]
pub(crate) struct EdgeParts {
    pub(crate) figures: Figures,
    pub(crate) keys: Keys,
    pub(crate) store: Arc<Store>,
    pub(crate) shared_rate: SharedRate,
}

/// What the answer has to know of its request.
#[derive(Debug, Default)]
pub struct Note {
    origin: Option<HeaderValue>,
    takes_gzip: bool,
    is_head: bool,
    pending: Option<Pending>,
}

/// Who asks, as shown.
#[derive(Debug)]
enum Shown {
    Nobody,
    User(Arc<Claims>),
    Key(Arc<ApiKey>),
}

impl EdgeGate {
    /// With the keys of the system's issuer.
    pub fn new(verifier: Verifier, pools: Pools, registry: &Registry) -> Self {
        let figures = Figures::new(registry);
        let store = Arc::new(Store::new(CACHE_BYTES_MAX));
        let counted = Arc::clone(&store);
        registry.collect(move |out| {
            let (bytes, evicted) = counted.figures();
            out.gauge("gateway_cache_bytes", "size of kept answers", bytes as f64);
            let mut family = out.family(
                "gateway_cache_evicted_total",
                Kind::Counter,
                "kept answers that had to go to make room",
            );
            family.sample(&[], evicted as f64);
        });
        Self {
            verifier,
            pools,
            parts: EdgeParts {
                shared_rate: SharedRate::new(figures.clone()),
                figures,
                keys: Keys::default(),
                store,
            },
        }
    }

    fn authenticate(&self, passing: &mut Passing<'_>) -> Result<Shown, Answer> {
        let headers = &mut passing.head.headers;
        match passing.route.access {
            Access::Public => Ok(Shown::Nobody),
            Access::User => {
                let text = token::bearer(headers).map_err(|e| token::refused(&e))?;
                let claims = self.verifier.user(text).map_err(|e| token::refused(&e))?;
                Ok(Shown::User(claims))
            }
            Access::Key => {
                let key = self.parts.keys.check(headers)?;
                keys::conceal(headers);
                Ok(Shown::Key(key))
            }
            Access::Operator => Err(token::scope_missing("admin")),
        }
    }

    /// What the route's functions make of a request whose token is good.
    fn function(
        &self,
        functions: &Functions,
        passing: &mut Passing<'_>,
        note: &mut Note,
        shown: &Shown,
    ) -> Result<Verdict, Answer> {
        shown.check(functions)?;
        let mut waits = None;
        if let Some(limiter) = &functions.rate {
            let who = Who::of(limiter.told().by, passing.client.ip, shown.name());
            let taken = limiter.take(who, Instant::now());
            taken.map_err(|wait| self.limited(functions, wait))?;
            waits = self.parts.shared_rate.ask(&functions.name, limiter, &who);
        }
        note.takes_gzip = functions.compress && compress::is_taken(&passing.head.headers);
        note.is_head = passing.head.method == Method::HEAD;
        let copy = functions.mirror.as_ref().and_then(|mirror| {
            let caller = || passing.caller();
            mirror.copy(passing.head, caller)
        });
        let verdict = self.lead(functions, passing, note, shown)?;
        let copy = match (copy, &verdict) {
            (Some(copy), Verdict::Forward) if has_body(&passing.head.headers) => {
                passing.filter = Some(copy.with_body());
                None
            }
            (copy, Verdict::Forward) => copy,
            // What is answered here is no traffic of the brick.
            _ => None,
        };
        match waits {
            None => {
                copy.into_iter().for_each(|copy| copy.send(Bytes::new()));
                Ok(verdict)
            }
            Some(waits) => Ok(self.later(functions, waits, verdict, copy)),
        }
    }

    /// Where the request goes, or its answer.
    fn lead(
        &self,
        functions: &Functions,
        passing: &mut Passing<'_>,
        note: &mut Note,
        shown: &Shown,
    ) -> Result<Verdict, Answer> {
        if let Some(view) = &functions.view {
            let asked = view.ask(
                passing.head,
                shown.name(),
                passing.caller(),
                self.parts.figures.clone(),
            )?;
            let later = async move { Ok(Verdict::Answer(Box::new(asked.answer().await?))) };
            return Ok(Verdict::Later(Box::pin(later)));
        }
        let step = match &functions.cache {
            Some(policy) => policy.admit(&self.parts.store, passing.head)?,
            None => Step::Pass,
        };
        if let Some(rewrite) = &functions.rewrite {
            passing.head.uri = rewrite.apply(&passing.head.uri).ok_or_else(|| {
                let detail = "the path cannot be rewritten as the route says";
                Answer::new(StatusCode::BAD_REQUEST, "invalid_path", detail)
            })?;
        }
        let count = |outcome| self.parts.figures.cached.with(&[&functions.name, outcome]).inc();
        match step {
            Step::Pass => {
                if functions.cache.is_some() {
                    count("pass");
                }
            }
            Step::Fetch(pending) => {
                count("miss");
                note.pending = Some(pending);
            }
            Step::Wait(pending, waiting) => {
                count("collapsed");
                note.pending = Some(pending);
                return Ok(self.collapsed(waiting, passing.route.timeout));
            }
            Step::Answer(response) => {
                count("hit");
                return Ok(Verdict::Answer(response));
            }
            Step::AnswerAndRefresh(response, keep) => {
                count("stale");
                let (caller, target) = (passing.caller(), passing.route.target.clone());
                let mut head = Request::new(());
                *head.uri_mut() = passing
                    .head
                    .uri
                    .path_and_query()
                    .cloned()
                    .map(Uri::from)
                    .unwrap_or_default();
                *head.headers_mut() = passing.head.headers.clone();
                for name in [http::header::IF_NONE_MATCH, http::header::IF_MODIFIED_SINCE] {
                    head.headers_mut().remove(name);
                }
                let (store, limit) = (Arc::clone(&self.parts.store), passing.route.timeout);
                tokio::spawn(keep.refresh(store, caller, target, head, limit));
                return Ok(Verdict::Answer(response));
            }
        }
        Ok(Verdict::Forward)
    }

    /// What another request fetches, or the way on. Half of the time is left to whoever has to ask after all.
    fn collapsed(&self, waiting: Waiting, limit: Duration) -> Verdict {
        let store = Arc::clone(&self.parts.store);
        Verdict::Later(Box::pin(async move {
            Ok(match waiting.answer(&store, limit / 2).await {
                Some(response) => Verdict::Answer(Box::new(response)),
                None => Verdict::Forward,
            })
        }))
    }

    /// The verdict, once the store that gateways share has let the request pass.
    fn later(
        &self,
        functions: &Functions,
        waits: Pin<Box<dyn Future<Output = Result<(), Duration>> + Send>>,
        verdict: Verdict,
        copy: Option<mirror::Copy>,
    ) -> Verdict {
        let (name, figures) = (functions.name.clone(), self.parts.figures.clone());
        Verdict::Later(Box::pin(async move {
            waits.await.map_err(|wait| limited(&name, wait, &figures))?;
            copy.into_iter().for_each(|copy| copy.send(Bytes::new()));
            Ok(verdict)
        }))
    }

    fn limited(&self, functions: &Functions, wait: Duration) -> Answer {
        limited(&functions.name, wait, &self.parts.figures)
    }
}

/// 429 that says when there will be room.
fn limited(name: &str, wait: Duration, figures: &Figures) -> Answer {
    figures.limited.with(&[name]).inc();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Answer::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        format!("more requests than route \"{name}\" takes; come back in {seconds} s"),
    )
    .with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

fn has_body(headers: &HeaderMap) -> bool {
    use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
    let empty = headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| length.as_bytes() == b"0");
    !empty && (headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING))
}

impl Shown {
    /// Who it is, for buckets of its own and for views.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::User(claims) => Some(&claims.sub),
            Self::Key(key) => Some(&key.id),
        }
    }

    fn check(&self, functions: &Functions) -> Result<(), Answer> {
        let has = |scope: &str| match self {
            Self::Nobody => false,
            Self::User(claims) => claims.has_scope(scope),
            Self::Key(key) => key.scopes.iter().any(|granted| granted == scope),
        };
        if let Some(missing) = functions.scopes.iter().find(|scope| !has(scope)) {
            return Err(token::scope_missing(missing));
        }
        match (&functions.audience, self) {
            (Some(wanted), Self::User(claims)) if !claims.aud.contains(wanted) => {
                Err(token::audience_missing(wanted))
            }
            _ => Ok(()),
        }
    }
}

impl Gate for EdgeGate {
    type Note = Note;

    fn admit(&self, passing: &mut Passing<'_>, note: &mut Note) -> Result<Verdict, Answer> {
        let headers = &mut passing.head.headers;
        cookie::take(headers);
        keys::clean(headers);
        if let Some(synthetic) = synthetic::claimed(headers, &self.verifier) {
            passing.head.extensions.insert(synthetic);
        }
        let route = passing.route;
        let functions = route.attached.get::<Functions>();
        if let Some(cors) = functions.and_then(|functions| functions.cors.as_ref()) {
            note.origin = cors.allowed(&passing.head.headers);
            if let Some(response) = cors.preflight(passing.head) {
                return Ok(Verdict::Answer(Box::new(response)));
            }
        }
        let shown = self.authenticate(passing)?;
        match functions {
            None => Ok(Verdict::Forward),
            Some(functions) => self.function(functions, passing, note, &shown),
        }
    }

    fn lead(&self, headers: &mut HeaderMap) {
        self.pools.decide(headers);
    }

    fn respond(&self, route: Option<&Arc<Route>>, note: Note, response: Response<Body>) -> Response<Body> {
        let Some(functions) = route.and_then(|route| route.attached.get::<Functions>()) else {
            return response;
        };
        let mut response = match note.pending {
            Some(pending) => pending.respond(&self.parts.store, response),
            None => response,
        };
        if let Some(cors) = &functions.cors {
            cors.mark(note.origin, response.headers_mut());
        }
        if functions.compress && !note.is_head {
            response = compress::answer(response, note.takes_gzip);
        }
        response
    }

    fn page(
        &self,
        accept: Option<&HeaderValue>,
        answer: &Answer,
        trace_id: &str,
    ) -> Option<(HeaderValue, Bytes)> {
        page::of(accept, answer, trace_id)
    }
}
