use http::header::{HOST, HeaderName};
use http::{HeaderMap, Uri};
use rand::rngs::StdRng;
use rand::{Rng, RngExt as _, SeedableRng as _};

use super::*;

fn route(pattern: &str) -> Route {
    let target = Target::Here { name: "x".into() };
    Route::new(pattern, target, Duration::from_secs(1), 1)
}

struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Request {
    fn new(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        Self {
            method: method.parse().unwrap(),
            uri: target.parse().unwrap(),
            headers: fields.iter().map(field).collect(),
        }
    }

    fn sought(&self) -> Sought<'_> {
        Sought::of(&self.method, &self.uri, &self.headers, self.uri.path())
    }
}

fn found<'r>(routes: &'r Routes, request: &Request) -> Option<&'r str> {
    routes.find(&request.sought()).map(|route| &*route.pattern)
}

#[test]
fn exact_goes_before_prefix_and_the_longest_prefix_first() {
    let patterns = [
        "/**",
        "/api/**",
        "/api/orders/**",
        "/api/orders",
        "/health",
        "/api/{kind}/all",
        "/api/{kind}",
    ];
    let routes = Routes::new(patterns.map(route).to_vec()).unwrap();
    for (path, expect) in [
        ("/", "/**"),
        ("/apiary", "/**"),
        ("/api", "/api/**"),
        ("/api/x", "/api/{kind}"),
        ("/api/", "/api/**"),
        ("/api/x/all", "/api/{kind}/all"),
        ("/api/x/y", "/api/**"),
        ("/api/orders", "/api/orders"),
        ("/api/orders/", "/api/orders/**"),
        ("/api/orders/1", "/api/orders/**"),
        ("/api/orders2/1", "/api/**"),
        ("/health", "/health"),
        ("/health/live", "/**"),
    ] {
        let request = Request::new("GET", path, &[]);
        assert_eq!(found(&routes, &request), Some(expect), "{path}");
    }
    assert_eq!(found(&Routes::default(), &Request::new("GET", "/", &[])), None);
    assert_eq!(found(&routes, &Request::new("OPTIONS", "*", &[])), None);
}

#[test]
fn a_named_host_goes_first_and_what_it_does_not_have_is_sought_further_out() {
    let on = |host: &str, pattern: &str| {
        let mut route = route(pattern);
        route.conditions.host = Some(host.into());
        route
    };
    let routes = vec![
        route("/**"),
        on("shop.test", "/a"),
        on("*.shop.test", "/b/**"),
        on("*.eu.shop.test", "/c"),
        route("/c"),
    ];
    let routes = Routes::new(routes).unwrap();
    for (host, path, expect) in [
        ("shop.test", "/a", (Some("shop.test"), "/a")),
        ("SHOP.test.:8080", "/a", (Some("shop.test"), "/a")),
        ("shop.test", "/b", (None, "/**")),
        ("x.shop.test", "/b", (Some("*.shop.test"), "/b/**")),
        ("x.eu.shop.test", "/b/1", (Some("*.shop.test"), "/b/**")),
        ("x.eu.shop.test", "/c", (Some("*.eu.shop.test"), "/c")),
        ("eu.shop.test", "/c", (None, "/c")),
        ("[::1]:80", "/c", (None, "/c")),
    ] {
        let request = Request::new("GET", path, &[("host", host)]);
        let route = routes.find(&request.sought()).unwrap();
        assert_eq!(
            (route.conditions.host.as_deref(), &*route.pattern),
            expect,
            "{host}{path}"
        );
    }
    let absolute = Request::new("GET", "http://shop.test:80/a", &[("host", "other")]);
    assert_eq!(found(&routes, &absolute), Some("/a"));
}

#[test]
fn further_conditions_go_first_and_what_they_refuse_falls_through() {
    let mut writes = route("/o/**");
    writes.conditions.methods = vec![Method::POST, Method::GET];
    let mut beta = route("/o/**");
    beta.conditions.methods = vec![Method::GET];
    beta.conditions.headers = vec![(HeaderName::from_static("x-beta"), Some("1".into()))];
    let mut search = route("/o/**");
    search.conditions.query = vec![("q".into(), None), ("kind".into(), Some("a b".into()))];
    let expect_beta = beta.conditions.clone();
    let expect_search = search.conditions.clone();
    let expect_writes = writes.conditions.clone();
    let routes = Routes::new(vec![writes, beta, search]).unwrap();
    let check = |method: &str, target: &str, fields: &[(&str, &str)], expect: Option<&Conditions>| {
        let request = Request::new(method, target, fields);
        let found = routes.find(&request.sought()).map(|route| &route.conditions);
        assert_eq!(found, expect, "{method} {target} {fields:?}");
    };
    check("GET", "/o/1", &[("x-beta", "1")], Some(&expect_beta));
    check(
        "HEAD",
        "/o/1",
        &[("x-beta", "0"), ("x-beta", "1")],
        Some(&expect_beta),
    );
    check("GET", "/o/1", &[("x-beta", "2")], Some(&expect_writes));
    check("DELETE", "/o?kind=a+b&q=", &[], Some(&expect_search));
    check("DELETE", "/o?kind=a%20b&q", &[], Some(&expect_search));
    check("DELETE", "/o?kind=a", &[], None);
    // A preflight is sought as what it asks for, whose fields it cannot have.
    let preflight = [
        ("origin", "https://a.test"),
        ("access-control-request-method", "GET"),
    ];
    check("OPTIONS", "/o/1", &preflight, Some(&expect_beta));
    let refused = Request::new("DELETE", "/o/1", &[]);
    assert_eq!(routes.allowed(&refused.sought()), [Method::POST, Method::GET]);
}

#[test]
fn patterns_that_mean_nothing_are_refused() {
    for bad in [
        "", "api", "/a*", "/**/x", "/a?b", "*", "a/**", "/{}", "/{a", "/{a}/**", "/a{b}", "/{a}//b",
    ] {
        assert!(Routes::new(vec![route(bad)]).is_err(), "{bad}");
    }
    for twice in ["/a/**", "/a", "/a/{x}"] {
        assert!(Routes::new(vec![route(twice), route(twice)]).is_err(), "{twice}");
    }
    assert!(Routes::new(vec![route("/a/{x}"), route("/a/{y}")]).is_err());
}

/// The rules without any cleverness: every route that covers the request, the most specific of them.
fn naive<'r>(routes: &'r [Route], request: &Request) -> Option<&'r Route> {
    let covers = |route: &&Route| {
        let conditions = &route.conditions;
        let host = request.headers.get(HOST).map(|host| host.to_str().unwrap());
        let host_fits = match conditions.host.as_deref() {
            None => true,
            Some(wanted) => host.is_some_and(|host| match wanted.strip_prefix('*') {
                Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
                None => host == wanted,
            }),
        };
        let path = request.uri.path();
        let path_fits = match route.pattern.strip_suffix("/**") {
            Some(base) => path == base || path.starts_with(&format!("{base}/")),
            None => {
                let (wanted, found) = (route.pattern.split('/'), path.split('/'));
                wanted.clone().count() == found.clone().count()
                    && wanted.zip(found).all(|(wanted, found)| {
                        wanted == found || (wanted.starts_with('{') && !found.is_empty())
                    })
            }
        };
        let method = conditions.methods.is_empty()
            || conditions.methods.iter().any(|wanted| {
                *wanted == request.method || (request.method == Method::HEAD && *wanted == Method::GET)
            });
        let fields = conditions.headers.iter().all(|(name, wanted)| {
            let mut values = request.headers.get_all(name).iter();
            values.any(|value| wanted.as_deref().is_none_or(|wanted| wanted == value))
        });
        let query: Vec<&str> = request.uri.query().unwrap_or_default().split('&').collect();
        let asked = conditions.query.iter().all(|(name, wanted)| match wanted {
            Some(wanted) => query.contains(&&*format!("{name}={wanted}")),
            None => query.iter().any(|pair| pair.split('=').next() == Some(name)),
        });
        host_fits && path_fits && method && fields && asked
    };
    let covering = routes.iter().enumerate().filter(|(_, route)| covers(route));
    let best = covering.max_by_key(|(at, route)| {
        (
            Rank::new(&route.pattern, &route.conditions),
            std::cmp::Reverse(*at),
        )
    });
    best.map(|(_, route)| route)
}

const WORDS: [&str; 5] = ["a", "b", "api", "orders", ""];
const HOSTS: [&str; 4] = ["shop.test", "eu.shop.test", "x.eu.shop.test", "other"];
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::DELETE];

fn one<'t>(rng: &mut impl Rng, of: &[&'t str]) -> &'t str {
    of[rng.random_range(0..of.len())]
}

fn random_path(rng: &mut impl Rng, words: &[&str]) -> String {
    let depth = rng.random_range(1..4);
    (0..depth).map(|_| format!("/{}", one(rng, words))).collect()
}

fn random_route(rng: &mut impl Rng) -> Route {
    let path = match rng.random_range(0..10) {
        0 => "/**".to_owned(),
        1..4 => random_path(rng, &WORDS[..4]),
        4..7 => random_path(rng, &["a", "api", "{x}", "{y}"]),
        _ => format!("{}/**", random_path(rng, &WORDS[..4])),
    };
    let mut route = route(&path);
    let conditions = &mut route.conditions;
    if rng.random_range(0..4) == 0 {
        conditions.host = Some(one(rng, &["shop.test", "*.shop.test", "*.eu.shop.test", "other"]).into());
    }
    if rng.random_range(0..4) == 0 {
        conditions.methods = vec![METHODS[rng.random_range(0..METHODS.len())].clone()];
    }
    let value = |rng: &mut dyn Rng| {
        rng.next_u32()
            .is_multiple_of(2)
            .then(|| Box::from(["0", "1"][rng.next_u32() as usize % 2]))
    };
    if rng.random_range(0..4) == 0 {
        conditions.headers = vec![(HeaderName::from_static("x-a"), value(rng))];
    }
    if rng.random_range(0..4) == 0 {
        conditions.query = vec![("q".into(), value(rng))];
    }
    route
}

fn random_request(rng: &mut impl Rng) -> Request {
    let mut target = random_path(rng, &WORDS);
    match rng.random_range(0..4) {
        0 => target.push_str("?q=1&x"),
        1 => target.push_str("?x=1&q=0&q=2"),
        _ => {}
    }
    let mut request = Request::new("GET", &target, &[("host", one(rng, &HOSTS))]);
    request.method = METHODS[rng.random_range(0..METHODS.len())].clone();
    for value in ["0", "1"] {
        if rng.random_range(0..3) == 0 {
            request.headers.append("x-a", value.parse().unwrap());
        }
    }
    request
}

/// A million random requests, each against one of two thousand random tables.
#[test]
fn the_compiled_routes_are_the_naive_ones() {
    const TABLES: u64 = 2_000;
    const REQUESTS: usize = 500;
    let mut matched = 0;
    for seed in 0..TABLES {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut table: Vec<Route> = Vec::new();
        for _ in 0..rng.random_range(1..40) {
            let route = random_route(&mut rng);
            let same = |other: &Route| {
                let plain = |pattern: &str| pattern.replace("{y}", "{x}");
                plain(&other.pattern) == plain(&route.pattern) && other.conditions == route.conditions
            };
            if !table.iter().any(same) {
                table.push(route);
            }
        }
        let routes = Routes::new(table.clone()).unwrap();
        for _ in 0..REQUESTS {
            let request = random_request(&mut rng);
            let expect = naive(&table, &request).map(|route| (&route.pattern, &route.conditions));
            let found = routes
                .find(&request.sought())
                .map(|route| (&route.pattern, &route.conditions));
            assert_eq!(
                found, expect,
                "seed {seed}: {} {} {:?}",
                request.method, request.uri, request.headers
            );
            matched += usize::from(found.is_some());
        }
    }
    assert!(matched > 100_000, "only {matched} requests met a route at all");
}
