//! `routes/edge`: what the manifest says of the edge, as the gateway reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_bus::routes;
use brick_bus::{External, ExternalTls, Route, RouteAuth, RouteTable};
use brick_core::BrickName;
use brick_core::duration::Span;
use brick_model::{
    Auth, Cache, Cors, Model, Part, Protocol, Rate, RateBy, ResolvedRoute, ResolvedView, Rewrite,
};

/// Routes and views.
pub(super) fn table(model: &Model) -> RouteTable {
    RouteTable {
        routes: model.routes().into_iter().map(route).collect(),
        views: model.views().into_iter().map(view).collect(),
        cache_bytes_max: Some(model.edge.cache.bytes_max.0),
        rate_store: model.edge.rate_store.clone(),
        externals: externals(model),
    }
}

/// Where the edge leads outside the system.
fn externals(model: &Model) -> BTreeMap<BrickName, External> {
    let led = model.links().into_iter();
    let led = led.filter(|link| link.caller.as_str() == brick_model::link::EDGE);
    led.filter_map(|link| {
        let brick = model.bricks.get(&link.callee)?;
        let tls = brick.tls.clone().unwrap_or_default();
        let external = External {
            url: brick.external.clone()?,
            h2c: brick.protocol == Protocol::H2c,
            tls: ExternalTls {
                ca: tls.ca,
                cert: tls.cert,
                key: tls.key,
                name: tls.name,
            },
        };
        Some((link.callee, external))
    })
    .collect()
}

fn route(resolved: ResolvedRoute) -> Route {
    let route = resolved.route;
    Route {
        name: resolved.name,
        path: resolved.path.as_str().to_owned(),
        conditions: routes::Conditions {
            host: route.host,
            methods: route.methods,
            headers: route.headers,
            query: route.query,
        },
        to: resolved.to,
        auth: auth(resolved.auth),
        scopes: route.scopes,
        audience: route.audience,
        websocket: resolved.websocket,
        connect: route.connect,
        // A route that says no limit of its own follows the link's, which travels as a resource of its own.
        timeout_ms: route.timeout.map(ms),
        body_bytes_max: resolved.body_bytes_max,
        rewrite: route.rewrite.map(|rewrite| match rewrite {
            Rewrite::Prefix(prefix) => routes::Rewrite::Prefix(prefix),
            Rewrite::Path(path) => routes::Rewrite::Path(path),
        }),
        weights: route.weights,
        mirror: route.mirror.map(|mirror| routes::Mirror {
            to: mirror.to.brick,
            version: mirror.to.version,
            per_million: mirror.share.0,
        }),
        functions: routes::Functions {
            cors: resolved.cors.map(cors),
            rate: route.rate.as_ref().map(rate),
            cache: resolved.cache.as_ref().map(cache),
            compress: route.compress,
        },
    }
}

fn view(resolved: ResolvedView) -> routes::View {
    let (bff, view) = (resolved.bff, resolved.view);
    let conditions = routes::Conditions {
        host: bff.host,
        methods: vec!["GET".to_owned()],
        ..routes::Conditions::default()
    };
    let parts = view.parts.into_iter();
    routes::View {
        name: resolved.name,
        path: resolved.path,
        conditions,
        auth: auth(resolved.auth),
        scopes: view.scopes,
        timeout_ms: millis(resolved.timeout),
        query: view.query,
        parts: parts.map(|(name, told)| (name, part(told))).collect(),
        say: view.say.map(|say| routes::Say {
            text: say.text,
            words: say.words,
            otherwise: say.otherwise,
        }),
        functions: routes::Functions {
            cors: resolved.cors.map(cors),
            rate: bff.rate.as_ref().map(rate),
            cache: None,
            compress: bff.compress,
        },
    }
}

fn part(part: Part) -> routes::Part {
    routes::Part {
        from: part.from,
        get: part.get,
        each: part.each,
        limit: part.limit,
        fields: part.fields,
        timeout_ms: part.timeout.map(ms),
        fallback: part.fallback,
    }
}

fn auth(auth: Auth) -> RouteAuth {
    match auth {
        Auth::Public => RouteAuth::Public,
        Auth::Jwt => RouteAuth::Jwt,
        Auth::ApiKey => RouteAuth::ApiKey,
    }
}

fn cors(cors: Cors) -> routes::Cors {
    routes::Cors {
        origins: cors.origins,
        methods: cors.methods,
        headers: cors.headers,
        expose: cors.expose,
        credentials: cors.credentials,
        max_age_s: cors.max_age.0.as_secs(),
    }
}

fn rate(rate: &Rate) -> routes::Rate {
    routes::Rate {
        per_kilosecond: rate.per_second.0,
        burst: rate.burst(),
        by: match rate.by {
            RateBy::Client => routes::RateBy::Client,
            RateBy::Route => routes::RateBy::Route,
            RateBy::Token => routes::RateBy::Token,
        },
    }
}

fn cache(cache: &Cache) -> routes::Cache {
    routes::Cache {
        bytes_max: cache.bytes_max.0,
        default_ttl_ms: ms(cache.default_ttl),
        stale_while_revalidate_ms: ms(cache.stale_while_revalidate),
        stale_if_error_ms: ms(cache.stale_if_error),
    }
}

fn ms(span: Span) -> u64 {
    millis(span.0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
