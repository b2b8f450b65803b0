//! `[edge]`.

use std::net::{IpAddr, SocketAddr};

use brick_core::duration::Span;

use super::{Item, Reader, Table, bff, route, short};
use crate::model::listener::WORKERS_MAX;
use crate::model::{AccessLog, Auth, BrickTls, Edge, EdgeCert, EdgeTls, Inbound, Protocol, TlsVersion};
use crate::size::Bytes;

const KEYS: [&str; 15] = [
    "listen",
    "auth",
    "workers",
    "tls",
    "http2",
    "proxy_protocol",
    "trusted",
    "connections_max",
    "head_timeout",
    "idle_timeout",
    "access_log",
    "cors",
    "cache",
    "rate_store",
    "bff",
];
const WAIT_MIN: Span = Span::from_millis(10);
const WAIT_MAX: Span = Span::from_secs(3_600);

pub(super) fn edge(reader: &mut Reader, item: &Item<'_>, edge: &mut Edge) {
    let Some(table) = reader.table(item, &KEYS) else {
        return;
    };
    if let Some(item) = table.get("listen")
        && let Some(address) = address(reader, &item, "127.0.0.1:8080")
    {
        edge.listen = address;
    }
    if let Some(item) = table.get("auth")
        && let Some(auth) = auth(reader, &item)
    {
        edge.auth = auth;
    }
    if let Some(item) = table.get("workers") {
        let count = reader.integer(&item, 1..=i64::from(WORKERS_MAX));
        edge.workers = count.and_then(|count| u32::try_from(count).ok());
    }
    edge.tls = table.get("tls").and_then(|item| tls(reader, &item));
    for (key, value) in [
        ("http2", &mut edge.http2),
        ("proxy_protocol", &mut edge.proxy_protocol),
    ] {
        if let Some(item) = table.get(key)
            && let Some(yes) = reader.boolean(&item)
        {
            *value = yes;
        }
    }
    bounds(reader, &table, edge);
    functions(reader, &table, edge);
    if let Some(item) = table.get("trusted") {
        edge.trusted = networks(reader, &item);
    }
    let levels = [
        ("errors", AccessLog::Errors),
        ("all", AccessLog::All),
        ("off", AccessLog::Off),
    ];
    if let Some(item) = table.get("access_log")
        && let Some(level) = one_of(reader, &item, &levels)
    {
        edge.access_log = level;
    }
}

/// What holds for all routes.
fn functions(reader: &mut Reader, table: &Table<'_>, edge: &mut Edge) {
    edge.cors = table.get("cors").and_then(|item| route::cors(reader, &item));
    if let Some(item) = table.get("cache")
        && let Some(table) = reader.table(&item, &["bytes_max"])
        && let Some(item) = table.get("bytes_max")
        && let Some(bytes) = reader.within(&item, Bytes(64 << 10)..=Bytes(16 << 30))
    {
        edge.cache.bytes_max = bytes;
    }
    if let Some(item) = table.get("rate_store")
        && let Some(text) = reader.text(&item)
    {
        let rest = text.strip_prefix("redis://").unwrap_or_default();
        if rest.is_empty() || rest.contains(char::is_whitespace) {
            let why = format!(
                "expected a URL such as \"redis://127.0.0.1:6379/0\", found \"{}\"",
                short(text)
            );
            reader.bad_value(&item, why);
        }
        edge.rate_store = Some(text.to_owned());
    }
    if let Some(item) = table.get("bff") {
        edge.bff = bff::all(reader, &item);
    }
}

fn bounds(reader: &mut Reader, table: &Table<'_>, edge: &mut Edge) {
    if let Some(item) = table.get("connections_max")
        && let Some(count) = reader.integer(&item, 1..=1_000_000)
    {
        edge.connections_max = u32::try_from(count).unwrap_or(edge.connections_max);
    }
    for (key, value) in [
        ("head_timeout", &mut edge.head_timeout),
        ("idle_timeout", &mut edge.idle_timeout),
    ] {
        if let Some(item) = table.get(key)
            && let Some(span) = reader.within(&item, WAIT_MIN..=WAIT_MAX)
        {
            *value = span;
        }
    }
}

fn tls(reader: &mut Reader, item: &Item<'_>) -> Option<EdgeTls> {
    let table = reader.table(item, &["listen", "certs", "min"])?;
    let listen = match table.get("listen") {
        Some(item) => address(reader, &item, "127.0.0.1:8443"),
        None => {
            reader.missing(&table, "listen", "add listen = \"127.0.0.1:8443\"");
            None
        }
    };
    let certs = match table.get("certs") {
        Some(item) => {
            let items = reader.list(&item, "a list of certificates");
            items.iter().filter_map(|item| cert(reader, item)).collect()
        }
        None => Vec::new(),
    };
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min = table.get("min").and_then(|item| one_of(reader, &item, &versions));
    Some(EdgeTls {
        listen: listen?,
        certs,
        min: min.unwrap_or_default(),
    })
}

fn cert(reader: &mut Reader, item: &Item<'_>) -> Option<EdgeCert> {
    let table = reader.table(item, &["cert", "key", "hosts"])?;
    let mut file = |key: &str, hint: &str| match table.get(key) {
        Some(item) => reader.text(&item).map(str::to_owned),
        None => {
            reader.missing(&table, key, hint);
            None
        }
    };
    let chain = file("cert", "add cert = \"….pem\", the chain with the leaf first");
    let key = file("key", "add key = \"….pem\", the private key");
    let hosts = match table.get("hosts") {
        Some(item) => {
            let items = reader.list(&item, "a list of hosts");
            items.iter().filter_map(|item| host(reader, item)).collect()
        }
        None => {
            reader.missing(
                &table,
                "hosts",
                "add hosts = [\"…\"], the names that it is shown to",
            );
            return None;
        }
    };
    Some(EdgeCert {
        cert: chain?,
        key: key?,
        hosts,
    })
}

/// `[brick.NAME.tls]`.
pub(super) fn client_tls(reader: &mut Reader, item: &Item<'_>) -> Option<BrickTls> {
    let table = reader.table(item, &["ca", "cert", "key", "name"])?;
    let mut text = |key: &str| {
        let item = table.get(key)?;
        reader.text(&item).map(str::to_owned)
    };
    let (ca, cert, key) = (text("ca"), text("cert"), text("key"));
    for (there, other, hint) in [
        (&cert, "key", "add key = \"….pem\", the private key of cert"),
        (
            &key,
            "cert",
            "add cert = \"….pem\", the chain of key with the leaf first",
        ),
    ] {
        if there.is_some() && table.get(other).is_none() {
            reader.missing(&table, other, hint);
        }
    }
    let name = table.get("name").and_then(|item| host(reader, &item));
    Some(BrickTls { ca, cert, key, name })
}

/// Whether a certificate may be for it: `shop.test`, `*.shop.test`.
pub fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_good)
}

fn host(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item)?;
    if !is_host(text) {
        let why = format!(
            "expected a host such as \"shop.test\" or \"*.shop.test\", found \"{}\"",
            short(text)
        );
        reader.bad_value(item, why);
        return None;
    }
    Some(text.to_owned())
}

fn networks(reader: &mut Reader, item: &Item<'_>) -> Vec<String> {
    let items = reader.list(item, "a list of networks");
    let network = |item: &Item<'_>| {
        let text = reader.text(item)?;
        let (address, length) = text.split_once('/').unwrap_or((text, "0"));
        let fits = address.parse().is_ok_and(|ip: IpAddr| {
            let width = if ip.is_ipv4() { 32 } else { 128 };
            length.parse::<u8>().is_ok_and(|length| length <= width)
        });
        if !fits {
            let why = format!(
                "expected a network such as \"10.0.0.0/8\" or an address, found \"{}\"",
                short(text)
            );
            reader.bad_value(item, why);
            return None;
        }
        Some(text.to_owned())
    };
    items.iter().filter_map(network).collect()
}

fn address(reader: &mut Reader, item: &Item<'_>, example: &str) -> Option<SocketAddr> {
    let text = reader.text(item)?;
    let address = text.parse().ok();
    if address.is_none() {
        let why = format!(
            "expected an address and a port such as \"{example}\", found \"{}\"",
            short(text)
        );
        reader.bad_value(item, why);
    }
    address
}

/// `"http1"`, `"h2c"` or `"tcp"`.
pub(super) fn protocol(reader: &mut Reader, item: &Item<'_>) -> Option<Protocol> {
    let known = [
        ("http1", Protocol::Http1),
        ("h2c", Protocol::H2c),
        ("tcp", Protocol::Tcp),
    ];
    one_of(reader, item, &known)
}

/// Whom the host proxy lets through.
pub(super) fn inbound(reader: &mut Reader, item: &Item<'_>) -> Option<Inbound> {
    let known = [
        ("public", Inbound::Public),
        ("users", Inbound::Users),
        ("bricks", Inbound::Bricks),
        ("users or bricks", Inbound::UsersOrBricks),
    ];
    one_of(reader, item, &known)
}

/// `"jwt"` or `"public"`.
pub(super) fn auth(reader: &mut Reader, item: &Item<'_>) -> Option<Auth> {
    let known = [
        ("jwt", Auth::Jwt),
        ("public", Auth::Public),
        ("api-key", Auth::ApiKey),
    ];
    one_of(reader, item, &known)
}

fn one_of<T: Copy>(reader: &mut Reader, item: &Item<'_>, known: &[(&str, T)]) -> Option<T> {
    let text = reader.text(item)?;
    let found = known.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let names = match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        };
        reader.bad_value(item, format!("expected {names}, found \"{}\"", short(text)));
    }
    found.map(|(_, value)| *value)
}
