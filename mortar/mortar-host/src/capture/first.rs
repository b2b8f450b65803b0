//! The first bytes of a connection, looked at and left where they are.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::gate::DOMAIN;

/// How long the first bytes may take: protocols in which the other side speaks first wait this long, once.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often a head that began is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const BYTES_MAX: usize = 4 * 1024;
const FIELDS_MAX: usize = 64;

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// HTTP/1 for `NAME.brick`.
    Brick,
    /// Anything else.
    Other,
    /// It may become either.
    Unsaid,
}

/// Whether what the client says first is HTTP for a brick. Nothing is taken off the connection.
pub(super) async fn is_for_a_brick(stream: &TcpStream) -> bool {
    let until = Instant::now() + PATIENCE;
    let mut bytes = [0; BYTES_MAX];
    let mut seen = 0;
    loop {
        let Ok(Ok(found)) = tokio::time::timeout_at(until, stream.peek(&mut bytes)).await else {
            return false;
        };
        match kind(&bytes[..found]) {
            Kind::Brick => return true,
            Kind::Other => return false,
            // The end of what comes, or as much as is looked at.
            Kind::Unsaid if found == BYTES_MAX || Instant::now() >= until => return false,
            Kind::Unsaid if found == seen => tokio::time::sleep(LOOK_EVERY).await,
            Kind::Unsaid => seen = found,
        }
    }
}

fn kind(bytes: &[u8]) -> Kind {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let whole = match request.parse(bytes) {
        Ok(status) => status.is_complete(),
        Err(_) => return Kind::Other,
    };
    let target = request.path.and_then(of_target);
    let host = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("host"));
    let host = host.and_then(|field| std::str::from_utf8(field.value).ok());
    match target.or(host) {
        Some(authority) if is_brick(authority) => Kind::Brick,
        Some(_) => Kind::Other,
        None if whole => Kind::Other,
        None => Kind::Unsaid,
    }
}

/// The authority of a target in absolute form, or of CONNECT.
fn of_target(target: &str) -> Option<&str> {
    match target.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?']).next(),
        None => (!target.starts_with(['/', '*'])).then_some(target),
    }
}

fn is_brick(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim();
    let domain = host.len().checked_sub(DOMAIN.len()).and_then(|at| host.get(at..));
    domain.is_some_and(|domain| domain.eq_ignore_ascii_case(DOMAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_for_a_brick_is_known_by_target_or_host() {
        let check = |bytes: &[u8], expect: Kind| {
            assert_eq!(kind(bytes), expect, "{:?}", String::from_utf8_lossy(bytes));
        };
        check(b"GET / HTTP/1.1\r\nHost: stamp.brick\r\n\r\n", Kind::Brick);
        check(
            b"GET / HTTP/1.1\r\nhost: Stamp.Brick:80\r\nAccept: */*\r\n\r\n",
            Kind::Brick,
        );
        check(
            b"GET http://stamp.brick/a HTTP/1.1\r\nHost: other\r\n\r\n",
            Kind::Brick,
        );
        check(b"CONNECT vault.brick:6379 HTTP/1.1\r\n\r\n", Kind::Brick);
        check(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", Kind::Other);
        check(
            b"GET http://example.org/?stamp.brick HTTP/1.1\r\n\r\n",
            Kind::Other,
        );
        check(b"GET / HTTP/1.0\r\n\r\n", Kind::Other);
        check(b"\x16\x03\x01\x02\x00\x01\x00", Kind::Other);
        check(b"*1\r\n$4\r\nPING\r\n", Kind::Other);
        check(b"GET / HTTP/1.1\r\nAcc", Kind::Unsaid);
        check(b"", Kind::Unsaid);
    }
}
