//! What RFC 9111 says of storing and using an answer in a cache that many share. Pure functions of fields and times.

use std::time::{Duration, SystemTime};

use brick_bus::routes;
use http::header::{
    AGE, CACHE_CONTROL, COOKIE, DATE, ETAG, EXPIRES, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};
use http::{HeaderMap, StatusCode};

/// The directives of `Cache-Control` that count here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) min_fresh: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

/// For how long an answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// How old it was when it came.
    pub(super) age: Duration,
    /// Until which age it is fresh.
    pub(super) fresh: Duration,
    /// How much longer it may be used while a fresh one is fetched (RFC 5861).
    pub(super) while_revalidate: Duration,
    /// How much longer it may be used where none can be had.
    pub(super) if_error: Duration,
}

impl Directives {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for directive in split(value.to_str().unwrap_or_default()) {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                found.read(name.trim(), argument.trim().trim_matches('"'));
            }
        }
        found
    }

    fn read(&mut self, name: &str, argument: &str) {
        // What is no number of seconds makes the answer stale at once (section 4.2.1).
        let seconds = || Some(Duration::from_secs(argument.parse::<u32>().unwrap_or(0).into()));
        match &*name.to_ascii_lowercase() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = seconds(),
            "s-maxage" => self.s_maxage = seconds(),
            "min-fresh" => self.min_fresh = seconds(),
            "stale-while-revalidate" => self.stale_while_revalidate = seconds(),
            "stale-if-error" => self.stale_if_error = seconds(),
            _ => {}
        }
    }

    /// Those of a request; HTTP/1.0 said it with `Pragma` (section 5.4).
    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        let mut found = Self::of(headers);
        if !headers.contains_key(CACHE_CONTROL) {
            let pragma = headers.get(PRAGMA).map(HeaderValue::as_bytes);
            found.no_cache = pragma.is_some_and(|value| value.eq_ignore_ascii_case(b"no-cache"));
        }
        found
    }
}

/// At commas that stand in no quotes.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|directive| !directive.is_empty())
}

/// For how long the answer may be used; none where it may not be stored at all (section 3). `asked` are the fields of
/// the request, `authorized` says whether it showed who it is.
pub(super) fn lifetime(
    status: StatusCode,
    answer: &HeaderMap,
    asked: &HeaderMap,
    authorized: bool,
    told: &routes::Cache,
    now: SystemTime,
) -> Option<Lifetime> {
    // Those that mean the same to everybody (RFC 9110 section 15.1).
    const STORABLE: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];
    let said = Directives::of(answer);
    let for_all = said.public || said.must_revalidate || said.s_maxage.is_some();
    if !STORABLE.contains(&status.as_u16())
        || said.no_store
        || said.private
        || (authorized && !for_all)
        || answer.contains_key(SET_COOKIE)
        || answer
            .get_all(VARY)
            .iter()
            .any(|value| value.as_bytes().contains(&b'*'))
    {
        return None;
    }
    let date = date(answer, &DATE).unwrap_or(now);
    // What is no date means the past (section 5.3).
    let expires = || {
        let told = answer.contains_key(EXPIRES);
        told.then(|| self::date(answer, &EXPIRES).map_or(Duration::ZERO, |at| since(at, date)))
    };
    let explicit = said.s_maxage.or(said.max_age).or_else(expires);
    let told_ttl = Duration::from_millis(told.default_ttl_ms);
    let fresh = match explicit {
        Some(_) if said.no_cache => Duration::ZERO,
        Some(fresh) => fresh,
        None if said.no_cache => Duration::ZERO,
        // Nobody said that it is for everybody, and the request may say whom it is for.
        None if asked.contains_key(COOKIE) || authorized => return None,
        None => told_ttl,
    };
    let named = answer
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse::<u32>().ok());
    let stale = |own: Option<Duration>, told_ms: u64| match said.must_revalidate
        || said.no_cache
        || said.s_maxage.is_some()
    {
        true => Duration::ZERO,
        false => own.unwrap_or(Duration::from_millis(told_ms)),
    };
    let lifetime = Lifetime {
        age: Duration::from_secs(named.unwrap_or(0).into()).max(since(now, date)),
        fresh,
        while_revalidate: stale(said.stale_while_revalidate, told.stale_while_revalidate_ms),
        if_error: stale(said.stale_if_error, told.stale_if_error_ms),
    };
    let stale_is_of_use = !lifetime.if_error.is_zero() || !lifetime.while_revalidate.is_zero();
    let of_use = fresh > lifetime.age || has_validator(answer) || stale_is_of_use;
    of_use.then_some(lifetime)
}

/// Whether it can be asked whether the answer still holds.
pub(super) fn has_validator(answer: &HeaderMap) -> bool {
    answer.contains_key(ETAG) || answer.contains_key(LAST_MODIFIED)
}

/// Names of the request's fields that the answer depends on.
pub(super) fn varies_by(answer: &HeaderMap) -> Vec<HeaderName> {
    let values = answer.get_all(VARY).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

/// Whether the client has the answer already (RFC 9110 section 13.2.2).
pub(super) fn is_known(asked: &HeaderMap, answer: &HeaderMap) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        let Some(tag) = answer.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
            return false;
        };
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let values = asked
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        return values
            .flat_map(|value| value.split(','))
            .any(|one| one.trim() == "*" || weak(one) == weak(tag));
    }
    let since = date(asked, &IF_MODIFIED_SINCE);
    let modified = date(answer, &LAST_MODIFIED);
    since
        .zip(modified)
        .is_some_and(|(since, modified)| modified <= since)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    fn told() -> routes::Cache {
        routes::Cache {
            bytes_max: 1024,
            default_ttl_ms: 5_000,
            stale_while_revalidate_ms: 1_000,
            stale_if_error_ms: 2_000,
        }
    }

    /// Age and freshness in seconds.
    fn check(
        status: u16,
        answer: &[(&str, &str)],
        asked: &[(&str, &str)],
        authorized: bool,
        expect: Option<(u64, u64)>,
    ) {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let found = lifetime(status, &fields(answer), &fields(asked), authorized, &told(), now);
        let found = found.map(|l| (l.age.as_secs(), l.fresh.as_secs()));
        assert_eq!(found, expect, "{status} {answer:?} {asked:?} {authorized}");
    }

    #[test]
    fn an_answer_is_stored_as_it_says_and_for_no_longer() {
        let cc = "cache-control";
        check(200, &[(cc, "max-age=60")], &[], false, Some((0, 60)));
        check(200, &[(cc, "max-age=60, s-maxage=10")], &[], false, Some((0, 10)));
        check(
            200,
            &[(cc, "max-age=60"), ("age", "20")],
            &[],
            false,
            Some((20, 60)),
        );
        check(
            200,
            &[(cc, "max-age=60"), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")],
            &[],
            false,
            Some((30, 60)),
        );
        check(
            200,
            &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")],
            &[],
            false,
            Some((0, 60)),
        );
        check(
            200,
            &[("expires", "0"), ("etag", "\"1\"")],
            &[],
            false,
            Some((0, 0)),
        );
        check(
            200,
            &[(cc, "no-cache"), ("etag", "\"1\"")],
            &[],
            false,
            Some((0, 0)),
        );
        check(200, &[], &[], false, Some((0, 5)));
        check(404, &[(cc, "max-age=1")], &[], false, Some((0, 1)));
        check(
            200,
            &[(cc, "max-age=\"60\", foo=\"a,no-store\"")],
            &[],
            false,
            Some((0, 60)),
        );
        for (status, answer) in [
            (200, (cc, "no-store")),
            (200, (cc, "private, max-age=60")),
            (200, ("set-cookie", "a=b")),
            (200, ("vary", "*")),
            (206, (cc, "max-age=60")),
            (500, (cc, "max-age=60")),
            (302, (cc, "max-age=60")),
        ] {
            check(status, &[answer], &[], false, None);
        }
    }

    #[test]
    fn what_was_shown_to_one_is_kept_for_all_only_where_it_says_so() {
        let cc = "cache-control";
        check(200, &[(cc, "max-age=60")], &[], true, None);
        check(200, &[], &[], true, None);
        check(200, &[(cc, "public, max-age=60")], &[], true, Some((0, 60)));
        check(200, &[(cc, "s-maxage=60")], &[], true, Some((0, 60)));
        check(200, &[], &[("cookie", "a=b")], false, None);
        check(
            200,
            &[(cc, "max-age=60")],
            &[("cookie", "a=b")],
            false,
            Some((0, 60)),
        );
    }

    #[test]
    fn a_stale_answer_is_used_as_long_as_it_or_the_route_says() {
        let now = SystemTime::now();
        let of = |value: &str| {
            let answer = fields(&[("cache-control", value)]);
            let found = lifetime(StatusCode::OK, &answer, &HeaderMap::new(), false, &told(), now).unwrap();
            (found.while_revalidate.as_secs(), found.if_error.as_secs())
        };
        assert_eq!(of("max-age=1"), (1, 2));
        assert_eq!(
            of("max-age=1, stale-while-revalidate=30, stale-if-error=60"),
            (30, 60)
        );
        assert_eq!(of("max-age=1, must-revalidate, stale-if-error=60"), (0, 0));
    }

    #[test]
    fn a_client_that_has_the_answer_is_told_so() {
        let check = |asked: &[(&str, &str)], answer: &[(&str, &str)], expect: bool| {
            assert_eq!(
                is_known(&fields(asked), &fields(answer)),
                expect,
                "{asked:?} {answer:?}"
            );
        };
        check(&[("if-none-match", "\"a\", W/\"b\"")], &[("etag", "\"b\"")], true);
        check(&[("if-none-match", "*")], &[("etag", "\"b\"")], true);
        check(&[("if-none-match", "\"a\"")], &[("etag", "\"b\"")], false);
        check(&[("if-none-match", "\"a\"")], &[], false);
        let (early, late) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
        check(&[("if-modified-since", late)], &[("last-modified", early)], true);
        check(&[("if-modified-since", early)], &[("last-modified", late)], false);
        check(&[], &[("etag", "\"b\"")], false);
    }
}
