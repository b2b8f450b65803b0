//! Who may call through a listener, and what may be called.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_bus::Watch;
use brick_core::host::Secret;
use http::header::{HOST, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use mortar_proxy::{Answer, Gate, Passing, Verdict};
use subtle::ConstantTimeEq as _;

/// What names of bricks end in.
pub(crate) const DOMAIN: &str = ".brick";
/// Longest credential that is looked at, as text.
const CREDENTIAL_BYTES_MAX: usize = 512;

/// Marks the route of what is no brick that the caller needs.
#[derive(Debug)]
pub(crate) struct Elsewhere;

/// The rules of one caller's listener.
#[derive(Debug)]
pub(crate) struct HostGate {
    caller: String,
    secret: Secret,
    watch: Watch,
}

impl HostGate {
    pub(crate) fn new(caller: &str, secret: Secret, watch: Watch) -> Self {
        Self {
            caller: caller.to_owned(),
            secret,
            watch,
        }
    }

    /// 407 unless the request shows the secret (RFC 9110 §11.7, RFC 7617).
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let mut shown = headers.get_all(PROXY_AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return Err(self.refused("expected the credential of BRICK_PROXY_URL in Proxy-Authorization"));
        };
        match secret(value) {
            Some(found) if bool::from(found.as_bytes().ct_eq(self.secret.0.as_bytes())) => Ok(()),
            _ => Err(self.refused("this credential is not the one of BRICK_PROXY_URL")),
        }
    }

    fn refused(&self, what: &str) -> Answer {
        let detail = format!("{what}: this proxy takes calls of {} alone", self.caller);
        Answer::new(
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            "proxy_credential",
            detail,
        )
        .with_header(
            PROXY_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"brick\""),
        )
    }

    /// Why a request leads nowhere.
    fn nowhere(&self, head: &Parts) -> Answer {
        let named = head.uri.authority().map(|authority| authority.as_str());
        let named = named.or_else(|| head.headers.get(HOST)?.to_str().ok());
        let shown: String = named.unwrap_or_default().chars().take(100).collect();
        let host = shown.rsplit_once(':').map_or(shown.as_str(), |(host, _)| host);
        let Some(brick) = host.strip_suffix(DOMAIN) else {
            return Answer::new(
                StatusCode::FORBIDDEN,
                "not_a_brick",
                format!(
                    "expected http://NAME.brick/…, found {host:?}: this proxy leads to bricks alone; add what else is called to NO_PROXY"
                ),
            );
        };
        if self.watch.get(&format!("endpoints/{brick}")).is_none() {
            return Answer::new(
                StatusCode::NOT_FOUND,
                "brick_unknown",
                format!("there is no brick {brick:?} in this system"),
            );
        }
        Answer::new(
            StatusCode::FORBIDDEN,
            "not_needed",
            format!(
                "{caller} does not need {brick:?}; add it to `needs` of [brick.{caller}]",
                caller = self.caller
            ),
        )
    }
}

/// The password of a Basic credential.
fn secret(value: &HeaderValue) -> Option<String> {
    let text = value
        .to_str()
        .ok()
        .filter(|text| text.len() <= CREDENTIAL_BYTES_MAX)?;
    let (scheme, credential) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(credential.trim()).ok()?;
    let pair = String::from_utf8(bytes).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

impl Gate for HostGate {
    type Note = ();

    fn admit(&self, passing: &mut Passing<'_>, (): &mut ()) -> Result<Verdict, Answer> {
        // Whose connection it is the kernel knows, where it led it here.
        if passing.client.bound_for.is_none() {
            self.authenticate(&passing.head.headers)?;
        }
        match passing.route.attached.get::<Elsewhere>() {
            Some(Elsewhere) => Err(self.nowhere(passing.head)),
            None => Ok(Verdict::Forward),
        }
    }
}

#[cfg(test)]
mod tests {
    use brick_bus::Resource;

    use super::*;

    fn gate() -> HostGate {
        let pool = Resource {
            name: "endpoints/payment".to_owned(),
            revision: 1,
            value: serde_json::json!({ "instances": [] }),
        };
        HostGate::new("order", Secret("s3cret".to_owned()), Watch::fixed(vec![pool]))
    }

    #[test]
    fn exactly_the_secret_lets_a_caller_through() {
        let check = |shown: &[&str], expect: bool| {
            let mut headers = HeaderMap::new();
            for value in shown {
                headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(gate().authenticate(&headers).is_ok(), expect, "{shown:?}");
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        check(&[&basic("order:s3cret")], true);
        check(&[&basic("anybody:s3cret")], true);
        check(&[&basic("order:wrong")], false);
        check(&[&basic("order")], false);
        check(&["Bearer s3cret"], false);
        check(&["Basic ???"], false);
        check(&[], false);
        check(&[&basic("order:s3cret"), &basic("order:s3cret")], false);
        assert!(!format!("{:?}", gate()).contains("s3cret"));
    }

    #[test]
    fn what_leads_nowhere_is_told_why() {
        let check = |host: &str, status: u16, code: &str| {
            let request = http::Request::get("/").header(HOST, host).body(()).unwrap();
            let answer = gate().nowhere(&request.into_parts().0);
            assert_eq!((answer.status.as_u16(), answer.code), (status, code), "{host}");
        };
        check("example.org", 403, "not_a_brick");
        check("payment.brick:80", 403, "not_needed");
        check("nobody.brick", 404, "brick_unknown");
    }
}
