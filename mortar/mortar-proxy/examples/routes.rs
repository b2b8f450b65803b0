//! What a match costs among many routes: `cargo run --release -p mortar-proxy --example routes -- 10000`. Prints
//! nanoseconds for each match, the median of rounds, as one number; `cargo xtask bench routes` reads it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Uri};
use mortar_proxy::{Conditions, Route, Routes, Sought, Target, canonical};

const ROUNDS: usize = 11;
const REQUESTS: usize = 4_096;

fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let routes = match Routes::new((0..count).map(route).collect()) {
        Ok(routes) => routes,
        Err(error) => return eprintln!("{error}"),
    };
    let requests: Vec<(Uri, HeaderMap)> = (0..REQUESTS).map(|n| request(n * 7_919 % count.max(1))).collect();
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&routes, &requests)).collect();
    rounds.sort_by(f64::total_cmp);
    println!("{:.1}", rounds[ROUNDS / 2]);
}

/// A third is led by host, a third asks for a method, half are prefixes; all have four segments.
fn route(n: usize) -> Route {
    let target = Target::Here { name: "x".into() };
    let tail = if n.is_multiple_of(2) { "/**" } else { "" };
    let pattern = format!("/api/tenant{}/service{}/v{}{tail}", n / 100, n / 10 % 10, n % 10);
    let mut route = Route::new(&pattern, target, Duration::from_secs(1), 1);
    route.conditions = Conditions {
        host: n
            .is_multiple_of(3)
            .then(|| format!("t{}.shop.test", n / 100).into()),
        methods: if n % 3 == 1 { vec![Method::GET] } else { vec![] },
        ..Conditions::default()
    };
    route
}

fn request(n: usize) -> (Uri, HeaderMap) {
    let tail = if n.is_multiple_of(2) { "/orders/7" } else { "" };
    let path = format!("/api/tenant{}/service{}/v{}{tail}", n / 100, n / 10 % 10, n % 10);
    let host = format!("t{}.shop.test:8080", n / 100);
    let host = host.parse().unwrap_or(http::HeaderValue::from_static("x"));
    let headers = [(http::header::HOST, host)].into_iter().collect();
    (path.parse().unwrap_or_default(), headers)
}

/// Nanoseconds for each match, making the path canonical included.
fn round(routes: &Routes, requests: &[(Uri, HeaderMap)]) -> f64 {
    let begun = Instant::now();
    let mut found = 0;
    for (uri, headers) in requests {
        let path = canonical(uri.path()).unwrap_or_default();
        let sought = Sought::of(&Method::GET, uri, headers, &path);
        found += usize::from(black_box(routes.find(&sought)).is_some());
    }
    let took = begun.elapsed();
    assert_eq!(found, requests.len(), "every request fits a route");
    took.as_nanos() as f64 / requests.len() as f64
}
