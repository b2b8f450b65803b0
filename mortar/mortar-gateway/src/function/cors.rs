//! Cross-origin resource sharing (Fetch standard, section 3.2): which pages may read answers, and preflights, which are
//! answered here, before anybody is asked for a token.

use brick_bus::routes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use mortar_proxy::Body;

/// What an answer may say of other origins, compiled.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    methods: HeaderValue,
    headers: Headers,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

#[derive(Debug)]
enum Origins {
    All,
    /// These, and those that begin and end like this, with at least one label in between.
    Some {
        exact: Vec<HeaderValue>,
        below: Vec<(String, String)>,
    },
}

#[derive(Debug)]
enum Headers {
    /// Whatever is asked for.
    Asked,
    These(HeaderValue),
}

const STAR: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

impl Cors {
    /// Compiles; what is no field value is left out.
    pub(crate) fn new(told: &routes::Cors) -> Self {
        let list = |items: &[String]| HeaderValue::from_str(&items.join(", ")).ok();
        let empty = HeaderValue::from_static("");
        let (mut exact, mut below) = (Vec::new(), Vec::new());
        for origin in &told.origins {
            match origin.split_once("*.") {
                Some((scheme, suffix)) => below.push((scheme.to_owned(), format!(".{suffix}"))),
                None => exact.extend(HeaderValue::from_str(origin)),
            }
        }
        Self {
            origins: match told.origins.iter().any(|origin| origin == "*") {
                true => Origins::All,
                false => Origins::Some { exact, below },
            },
            methods: list(&told.methods).unwrap_or_else(|| empty.clone()),
            headers: match told.headers.iter().any(|name| name == "*") {
                true => Headers::Asked,
                false => Headers::These(list(&told.headers).unwrap_or(empty)),
            },
            expose: list(&told.expose).filter(|value| !value.is_empty()),
            credentials: told.credentials,
            max_age: HeaderValue::from(told.max_age_s),
        }
    }

    /// The request's origin, where pages of it may call: what the answer names.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match &self.origins {
            Origins::All if !self.credentials => Some(STAR),
            Origins::All => None,
            Origins::Some { exact, below } => {
                let text = origin.to_str().ok()?;
                let within = |(scheme, suffix): &(String, String)| {
                    let rest = text.strip_prefix(scheme.as_str());
                    rest.and_then(|rest| rest.strip_suffix(suffix.as_str()))
                        .is_some_and(|label| !label.is_empty() && !label.contains('/'))
                };
                (exact.contains(origin) || below.iter().any(within)).then(|| origin.clone())
            }
        }
    }

    /// The answer to a preflight; none where the request is none.
    pub(crate) fn preflight(&self, head: &Parts) -> Option<Response<Body>> {
        let asks = head.method == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fields = response.headers_mut();
        if self.allowed(&head.headers).is_some() {
            fields.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            fields.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            let asked = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
            let headers = match &self.headers {
                Headers::Asked => asked.cloned(),
                Headers::These(names) => Some(names.clone()),
            };
            if let Some(headers) = headers {
                fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
            }
        }
        vary(fields, ACCESS_CONTROL_REQUEST_METHOD);
        vary(fields, ACCESS_CONTROL_REQUEST_HEADERS);
        Some(response)
    }

    /// Says in an answer who may read it. What the brick itself said is replaced: the route decides.
    pub(crate) fn mark(&self, allowed: Option<HeaderValue>, fields: &mut HeaderMap) {
        if !matches!(self.origins, Origins::All) {
            vary(fields, ORIGIN);
        }
        for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS] {
            fields.remove(name);
        }
        let Some(origin) = allowed else { return };
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = &self.expose {
            fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// Says that the answer depends on a field of the request.
pub(crate) fn vary(fields: &mut HeaderMap, name: HeaderName) {
    let named = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(name.as_str()) || one.trim() == "*")
    };
    if !fields.get_all(VARY).iter().any(named) {
        fields.append(VARY, HeaderValue::from(name));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors::new(&routes::Cors {
            origins: origins.iter().map(|o| (*o).to_owned()).collect(),
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            headers: vec!["x-a".to_owned()],
            expose: vec!["x-b".to_owned()],
            credentials,
            max_age_s: 60,
        })
    }

    fn request(method: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_origin_is_allowed_as_a_whole_or_below_its_star() {
        let check = |origins: &[&str], origin: &str, expect: Option<&str>| {
            let head = request("GET", &[("origin", origin)]);
            let allowed = cors(origins, false).allowed(&head.headers);
            assert_eq!(
                allowed.as_ref().map(|v| v.to_str().unwrap()),
                expect,
                "{origins:?} {origin}"
            );
        };
        let some = ["https://shop.test", "https://*.shop.test"];
        check(&some, "https://shop.test", Some("https://shop.test"));
        check(&some, "https://a.b.shop.test", Some("https://a.b.shop.test"));
        check(&some, "http://shop.test", None);
        check(&some, "https://.shop.test", None);
        check(&some, "https://evilshop.test", None);
        check(&some, "https://shop.test.evil", None);
        check(&some, "https://evil/.shop.test", None);
        check(&some, "null", None);
        check(&["*"], "https://any.test", Some("*"));
        // All origins with credentials is refused by the manifest; were it told, nobody is allowed.
        let head = request("GET", &[("origin", "https://any.test")]);
        assert_eq!(cors(&["*"], true).allowed(&head.headers), None);
    }

    #[test]
    fn a_preflight_is_answered_and_anything_else_is_not() {
        let cors = cors(&["https://shop.test"], true);
        assert!(
            cors.preflight(&request("OPTIONS", &[("origin", "https://shop.test")]))
                .is_none()
        );
        assert!(
            cors.preflight(&request("GET", &[("access-control-request-method", "PUT")]))
                .is_none()
        );
        let asked = [
            ("origin", "https://shop.test"),
            ("access-control-request-method", "PUT"),
        ];
        let mut response = cors.preflight(&request("OPTIONS", &asked)).unwrap();
        let head = request("OPTIONS", &asked);
        cors.mark(cors.allowed(&head.headers), response.headers_mut());
        let field = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(response.status(), 204);
        assert_eq!(field("access-control-allow-origin"), Some("https://shop.test"));
        assert_eq!(field("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(field("access-control-allow-headers"), Some("x-a"));
        assert_eq!(field("access-control-allow-credentials"), Some("true"));
        assert_eq!(field("access-control-max-age"), Some("60"));
        let foreign = [
            ("origin", "https://evil.test"),
            ("access-control-request-method", "PUT"),
        ];
        let response = cors.preflight(&request("OPTIONS", &foreign)).unwrap();
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }

    #[test]
    fn an_answer_names_who_may_read_it_and_what_it_depends_on() {
        let cors = cors(&["https://shop.test"], false);
        let mut fields = HeaderMap::new();
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, STAR);
        fields.insert(VARY, HeaderValue::from_static("Accept, origin"));
        cors.mark(None, &mut fields);
        assert!(!fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(fields.get_all(VARY).iter().count(), 1);
    }
}
