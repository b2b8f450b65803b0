//! The path that a brick is asked for, where it is another than the client's.

use brick_bus::routes;
use http::Uri;
use http::uri::PathAndQuery;
use mortar_proxy::canonical;

/// How a path becomes another.
#[derive(Debug)]
pub(crate) enum Rewrite {
    /// The first bytes of the canonical path give way to this.
    Prefix { cut: usize, with: Box<str> },
    /// The path gives way to this.
    Path(Box<str>),
}

impl Rewrite {
    /// For a route of this pattern.
    pub(crate) fn new(told: &routes::Rewrite, pattern: &str) -> Self {
        match told {
            routes::Rewrite::Path(path) => Self::Path(path.as_str().into()),
            routes::Rewrite::Prefix(with) => Self::Prefix {
                cut: pattern.strip_suffix("/**").unwrap_or(pattern).len(),
                with: with.as_str().into(),
            },
        }
    }

    /// The target as the brick gets it; the query stays. What a prefix leaves is the path as routes are matched by it. None where nothing sensible comes of it.
    pub(crate) fn apply(&self, uri: &Uri) -> Option<Uri> {
        let mut target = match self {
            Self::Path(path) => path.to_string(),
            Self::Prefix { cut, with } => {
                let path = canonical(uri.path())?;
                format!("{with}{}", path.get(*cut..)?)
            }
        };
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        if let Some(query) = uri.query() {
            target.push('?');
            target.push_str(query);
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target.parse::<PathAndQuery>().ok()?);
        Uri::from_parts(parts).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_or_the_whole_path_gives_way_and_the_query_stays() {
        let check = |told: &routes::Rewrite, pattern: &str, target: &str, expect: &str| {
            let rewritten = Rewrite::new(told, pattern).apply(&target.parse().unwrap());
            assert_eq!(rewritten.unwrap().to_string(), expect, "{pattern} {target}");
        };
        let v1 = routes::Rewrite::Prefix("/v1".to_owned());
        check(&v1, "/api/orders/**", "/api/orders/7?a=%20b", "/v1/7?a=%20b");
        check(&v1, "/api/orders/**", "/api/orders", "/v1");
        check(&v1, "/api/orders/**", "/%61pi//orders/a%2Fb%20", "/v1/a/b%20");
        check(&v1, "/**", "/x", "/v1/x");
        check(
            &v1,
            "/api/**",
            "http://shop.test/api/x?y",
            "http://shop.test/v1/x?y",
        );
        let none = routes::Rewrite::Prefix(String::new());
        check(&none, "/api/**", "/api/orders", "/orders");
        check(&none, "/api/**", "/api", "/");
        check(
            &routes::Rewrite::Path("/now".to_owned()),
            "/a/**",
            "/a/b?c",
            "/now?c",
        );
    }
}
