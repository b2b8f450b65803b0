//! The corpus.

/// Bytes of one connection, and what is odd about them.
pub(super) struct Attack {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const MARKER: &str = "GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What every proxy passes on: the way from client to origin works, with each framing.
pub(super) fn honest() -> Vec<Attack> {
    [
        (
            "a request without body",
            "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        ("a body of known length", post("Content-Length: 5\r\n", "hello")),
        (
            "a body in chunks",
            post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ),
        ("a body of length 0", post("Content-Length: 0\r\n", "")),
        ("a body that looks like a request", post(&length(HIDDEN), HIDDEN)),
    ]
    .map(|(name, text)| followed(name, &text))
    .into()
}

/// Everything else.
pub(super) fn attacks() -> Vec<Attack> {
    let mut all = Vec::new();
    lengths(&mut all);
    encodings(&mut all);
    chunks(&mut all);
    lines(&mut all);
    targets(&mut all);
    hops(&mut all);
    all
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /attack HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn length(body: &str) -> String {
    format!("Content-Length: {}\r\n", body.len())
}

fn followed(name: &str, text: &str) -> Attack {
    Attack {
        name: name.to_owned(),
        bytes: format!("{text}{MARKER}").into_bytes(),
    }
}

/// More than one length, and lengths that are none.
fn lengths(all: &mut Vec<Attack>) {
    let long = HIDDEN.len();
    let values = [
        "+5",
        "-5",
        "0x5",
        "5;",
        "5 5",
        "5,5",
        "5, 6",
        " 5 ,",
        "",
        "five",
        "5.0",
        "5e0",
        "\u{665}",
        "00000000000000000000000000000000005",
        "18446744073709551621",
        "99999999999999999999",
        "\"5\"",
    ];
    for value in values {
        all.push(followed(
            &format!("Content-Length {value:?}"),
            &post(&format!("Content-Length: {value}\r\n"), "hello"),
        ));
    }
    let fields = [
        format!("Content-Length: 0\r\nContent-Length: {long}\r\n"),
        format!("Content-Length: {long}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0\r\ncontent-length: {long}\r\n"),
        format!("Content-Length: 0\r\nX: y\r\nCONTENT-LENGTH: {long}\r\n"),
        format!("Content-Length: 0, {long}\r\n"),
        format!("Content-Length:0\r\nContent_Length: {long}\r\n"),
        format!("Content-Length : {long}\r\n"),
        format!("Content-Length\t: {long}\r\n"),
        format!(" Content-Length: {long}\r\n"),
        format!("Content-Length:\u{b}{long}\r\n"),
        format!("Content-Length: {long}\u{c}\r\n"),
        format!("Content-Length: {long}\0\r\n"),
        format!("X: y\rContent-Length: {long}\r\n"),
        format!("X: y\nContent-Length: {long}\r\n"),
        format!("X: y\r\n Content-Length: {long}\r\n"),
        format!("Content-Length:\r\n {long}\r\n"),
    ];
    for fields in fields {
        all.push(followed(&format!("lengths {fields:?}"), &post(&fields, HIDDEN)));
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        let text = format!(
            "{method} /attack HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: {long}\r\n\r\n{HIDDEN}"
        );
        all.push(followed(&format!("{method} of two lengths"), &text));
    }
}

/// A length and chunks at once, and encodings that one parser knows and the other does not.
fn encodings(all: &mut Vec<Attack>) {
    let clte = format!("0\r\n\r\n{HIDDEN}");
    let both = [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", clte.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", clte.len()),
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {}\r\ntransfer-encoding: CHUNKED\r\n", clte.len()),
    ];
    for fields in &both {
        all.push(followed(&format!("both {fields:?}"), &post(fields, &clte)));
    }
    let values = [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "identity",
        "chunked, chunked",
        "gzip, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "'chunked'",
        "\u{b}chunked",
        "chunked\u{c}",
        "chunked\0",
        ",chunked",
        "chunked,",
        "cow",
        "ch\u{fc}nked",
        "chunked\t x",
        "",
    ];
    for value in values {
        for extra in ["", &length(&clte)] {
            let fields = format!("{extra}Transfer-Encoding: {value}\r\n");
            all.push(followed(&format!("encoding {fields:?}"), &post(&fields, &clte)));
        }
    }
    let names = [
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        " Transfer-Encoding",
        "\tTransfer-Encoding",
        "Transfer_Encoding",
        "Transfer Encoding",
        "Transfer-Encoding\u{b}",
        "Transfer\u{2010}Encoding",
        "\0Transfer-Encoding",
        "X:y\rTransfer-Encoding",
        "X:y\nTransfer-Encoding",
        "X: y\r\n\tTransfer-Encoding",
        "Transfer-Encoding\0",
        ":Transfer-Encoding",
    ];
    for name in names {
        let fields = format!("{}{name}: chunked\r\n", length(&clte));
        all.push(followed(&format!("name {fields:?}"), &post(&fields, &clte)));
    }
    let twice = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: x\r\n chunked\r\n",
        "Transfer-Encoding:\n chunked\r\n",
    ];
    for fields in twice {
        all.push(followed(&format!("encodings {fields:?}"), &post(fields, &clte)));
    }
    let old = format!(
        "POST /attack HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{clte}"
    );
    all.push(followed("chunks of HTTP/1.0", &old));
}

/// Chunks whose size or end is read differently.
fn chunks(all: &mut Vec<Attack>) {
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\t5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n00\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "100000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b\r\nc\"\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\u{b}\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n-0\r\n\r\n",
        "5\r\nhello\r\n0;\nX\r\n\r\n",
        "zz\r\nhello\r\n0\r\n\r\n",
        ";5\r\nhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let text = post("Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}"));
        let cut = text.replace(HIDDEN, "");
        all.push(followed(&format!("chunks {body:?}"), &cut));
        // The same with a request inside that a parser which stops earlier would see.
        let inner = HIDDEN.len();
        let nested = post(
            "Transfer-Encoding: chunked\r\n",
            &format!("{body}{inner:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
        );
        if !body.ends_with("0\r\n\r\n") {
            all.push(followed(
                &format!("chunks {body:?} with a request behind"),
                &nested,
            ));
        }
    }
}

/// Line ends, request lines, hosts.
fn lines(all: &mut Vec<Attack>) {
    let texts = [
        "GET /attack HTTP/1.1\nHost: a\n\n",
        "GET /attack HTTP/1.1\r\nHost: a\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\n\n",
        "GET /attack HTTP/1.1\rHost: a\r\r",
        "GET /attack HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
        "GET  /attack HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/attack\tHTTP/1.1\r\nHost: a\r\n\r\n",
        " GET /attack HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /attack HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "GET /attack\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /attack http/1.1\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/01.1\r\nHost: a\r\n\r\n",
        "G\0T /attack HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /att\0ack HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /att\rack HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T /attack HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/1.1\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a/smuggled\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET /attack HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET /attack HTTP/1.1\r\nX: y\r\n Host: b\r\nHost: a\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n",
        "GET /attack HTTP/1.1\r\nHost: a\r\nX: GET /smuggled HTTP/1.1\r\n\r\n",
        "\r\n\r\nGET /attack HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for text in texts {
        all.push(followed(&format!("lines {text:?}"), text));
    }
}

/// Request targets that two parsers read as two paths.
fn targets(all: &mut Vec<Attack>) {
    let targets = [
        "http://a/attack",
        "http://a/private/x",
        "http://b/attack",
        "https://a/attack",
        "HTTP://A/attack",
        "http://a@b/attack",
        "http://a",
        "ftp://a/attack",
        "//a/attack",
        "attack",
        "*",
        "a:80",
        "?x",
        "#x",
        "/attack#/private",
        "/attack?/../private/x",
        "/public/../private/x",
        "/public/./../private/x",
        "/public/..%2fprivate/x",
        "/public/..%2Fprivate/x",
        "/public/%2e%2e/private/x",
        "/public/%2E./private/x",
        "/public/..;/private/x",
        "/public/..\\private/x",
        "/public/%5c..%5cprivate/x",
        "/public%2f..%2fprivate/x",
        "/%70rivate/x",
        "/%50rivate/x",
        "/private%2fx",
        "/%2fprivate/x",
        "//private/x",
        "/./private/x",
        "/private/./x",
        "/private//x",
        "/public/%252e%252e/private/x",
        "/public/%c0%ae%c0%ae/private/x",
        "/public/%u002e%u002e/private/x",
        "/public/%",
        "/public/%2",
        "/public/%zz",
        "/public/%00/../private/x",
        "/pri\u{7f}vate/x",
        "/private;x/y",
        "/PRIVATE/x",
    ];
    for target in targets {
        for method in ["GET", "POST", "OPTIONS", "CONNECT"] {
            let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            all.push(followed(&format!("target {method} {target:?}"), &text));
        }
    }
}

/// Fields of one hop that name what the gateway adds, and upgrades that nobody granted.
fn hops(all: &mut Vec<Attack>) {
    let fields = [
        "Connection: x-brick-identity\r\n",
        "Connection: close, X-Brick-Identity\r\n",
        "Connection: host\r\n",
        "Connection: content-length\r\n",
        "Connection: keep-alive, transfer-encoding\r\n",
        "Connection: x-forwarded-for, traceparent\r\n",
        "Connection: \"x-brick-identity\"\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: h2c\r\nConnection: upgrade\r\n",
        "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
        "TE: trailers\r\nConnection: TE\r\n",
        "Expect: 100-continue\r\n",
        "Expect: something\r\n",
        "X-Brick-Identity: forged\r\n",
        "x-brick-identity: one\r\nX-BRICK-IDENTITY: two\r\n",
        "Proxy-Connection: keep-alive\r\n",
        "Keep-Alive: timeout=1\r\n",
        "Trailer: Content-Length\r\n",
        "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n",
    ];
    for fields in fields {
        let text = format!("GET /attack HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        all.push(followed(&format!("hop {fields:?}"), &text));
        let body = format!(
            "POST /attack HTTP/1.1\r\nHost: a\r\n{fields}{}\r\n{HIDDEN}",
            length(HIDDEN)
        );
        all.push(followed(&format!("hop with a body {fields:?}"), &body));
    }
}
