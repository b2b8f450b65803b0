//! WebSocket through the edge, by the list of the Autobahn test suite (cases 1 to 7, 9 and 10): each case is sent raw
//! to an echo server, once straight and once through the gateway, whole and chopped. What comes back, to the last
//! byte and the end of the connection, must be the same.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::*;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Frames of one connection, as bytes.
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// Bytes that are sent at a time; 0 sends all at once.
    chop: usize,
}

/// A masked frame (RFC 6455 §5.2). `first` is the byte of flags and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// A whole message in one frame.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x80 | opcode, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    message(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// The message in fragments of this size.
fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.chunks(size).count();
    let parts = payload.chunks(size).enumerate().map(|(at, part)| {
        let opcode = if at == 0 { opcode } else { 0 };
        frame(if at + 1 == count { 0x80 | opcode } else { opcode }, part)
    });
    parts.flatten().collect()
}

/// All cases; every connection ends with a close, which a server that failed it before does not see.
fn cases() -> Vec<Case> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    sizes_and_pings(&mut all);
    reserved(&mut all);
    fragmentation(&mut all);
    unicode(&mut all);
    closes(&mut all);
    let mut cases = Vec::new();
    for (name, bytes) in all {
        let whole = [bytes, close(1000, b"done")].concat();
        // Byte by byte takes long for long messages, and shows nothing that short ones do not.
        let chops: &[usize] = if whole.len() < 2_000 {
            &[0, 1, 7]
        } else {
            &[0, 997]
        };
        cases.extend(chops.iter().map(|chop| Case {
            name: name.clone(),
            bytes: whole.clone(),
            chop: *chop,
        }));
    }
    cases
}

fn sizes_and_pings(all: &mut Vec<(String, Vec<u8>)>) {
    for size in [0, 125, 126, 127, 128, 65_535, 65_536, 262_144, 1_048_576] {
        all.push((format!("1, 9: text of {size}"), message(TEXT, &vec![b'*'; size])));
        all.push((
            format!("1, 9: binary of {size}"),
            message(BINARY, &vec![0xfe; size]),
        ));
    }
    for (size, fragment) in [(65_536, 64), (262_144, 1024), (262_144, 65_536), (65_536, 1300)] {
        let payload = vec![b'*'; size];
        all.push((
            format!("9, 10: text of {size} in fragments of {fragment}"),
            fragments(TEXT, &payload, fragment),
        ));
        all.push((
            format!("9: binary of {size} in fragments of {fragment}"),
            fragments(BINARY, &payload, fragment),
        ));
    }
    for payload in [
        &b""[..],
        b"Hello, world!",
        &[0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff],
        &[0xfe; 125],
        &[0xfe; 126],
    ] {
        all.push((format!("2: ping of {}", payload.len()), message(PING, payload)));
        all.push((
            format!("2: pong nobody asked for, of {}", payload.len()),
            message(PONG, payload),
        ));
    }
    all.push((
        "2: ten pings".to_owned(),
        (0..10).flat_map(|n: u8| message(PING, &[n])).collect(),
    ));
    let pong_then_ping = [message(PONG, b"unsolicited"), message(PING, b"ping")].concat();
    all.push(("2: pong, then ping".to_owned(), pong_then_ping));
    let many: Vec<u8> = (0..500)
        .flat_map(|n: u32| message(TEXT, n.to_string().as_bytes()))
        .collect();
    all.push(("9: five hundred messages".to_owned(), many));
}

fn reserved(all: &mut Vec<(String, Vec<u8>)>) {
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let odd = frame(0x80 | bits << 4 | opcode, b"Hello");
            all.push((
                format!("3: reserved bits {bits} of opcode {opcode}"),
                [message(TEXT, b"before"), odd].concat(),
            ));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let odd = [
            message(TEXT, b"before"),
            message(opcode, b"x"),
            message(PING, b""),
        ]
        .concat();
        all.push((format!("4: opcode {opcode}"), odd));
    }
}

fn fragmentation(all: &mut Vec<(String, Vec<u8>)>) {
    let (first, last) = (frame(TEXT, b"fragment1"), frame(0x80, b"fragment2"));
    let mut add = |name: &str, parts: &[&[u8]]| all.push((format!("5: {name}"), parts.concat()));
    add("ping in fragments", &[&frame(PING, b"a"), &frame(0x80, b"b")]);
    add("pong in fragments", &[&frame(PONG, b"a"), &frame(0x80, b"b")]);
    add("text in two", &[&first, &last]);
    add("a ping between", &[&first, &message(PING, b"ping"), &last]);
    add("a close between", &[&first, &close(1000, b""), &last]);
    add(
        "text in five",
        &[&first, &frame(0, b"2"), &frame(0, b""), &frame(0, b"4"), &last],
    );
    add("nothing to continue, last", &[&last, &message(TEXT, b"x")]);
    add(
        "nothing to continue, more",
        &[&frame(0, b"x"), &message(TEXT, b"x")],
    );
    add("a text inside a text", &[&first, &message(TEXT, b"x"), &last]);
    add("a first inside a text", &[&first, &first, &last]);
    add(
        "empty fragments",
        &[&frame(TEXT, b""), &frame(0, b""), &frame(0x80, b"")],
    );
    add(
        "twice, pings between",
        &[
            &first,
            &message(PING, b"1"),
            &last,
            &first,
            &message(PING, b"2"),
            &last,
        ],
    );
    add("control frame too long", &[&message(PING, &[0; 200])]);
}

fn unicode(all: &mut Vec<(String, Vec<u8>)>) {
    let good = [
        "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
        "\u{0}",
        "\u{7f}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        "\u{fffd}\u{fffe}",
    ];
    for text in good {
        all.push((format!("6: {text:?}"), message(TEXT, text.as_bytes())));
        for size in [1, 2, 3] {
            all.push((
                format!("6: {text:?} in fragments of {size}"),
                fragments(TEXT, text.as_bytes(), size),
            ));
        }
    }
    let bad: [&[u8]; 22] = [
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0 ",
        b"\xe0 \xe1 ",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf7\xbf\xbf",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited",
    ];
    for bytes in bad {
        all.push((format!("6: not UTF-8, {bytes:x?}"), message(TEXT, bytes)));
        all.push((
            format!("6: not UTF-8 in fragments, {bytes:x?}"),
            fragments(TEXT, bytes, 1),
        ));
        all.push((format!("6: binary {bytes:x?}"), message(BINARY, bytes)));
    }
}

fn closes(all: &mut Vec<(String, Vec<u8>)>) {
    let mut add = |name: String, bytes: Vec<u8>| all.push((format!("7: {name}"), bytes));
    add("text, then close".to_owned(), message(TEXT, b"Hello"));
    add(
        "close twice".to_owned(),
        [close(1000, b""), close(1000, b"")].concat(),
    );
    add(
        "ping after close".to_owned(),
        [close(1000, b""), message(PING, b"late")].concat(),
    );
    add(
        "text after close".to_owned(),
        [close(1000, b""), message(TEXT, b"late")].concat(),
    );
    add(
        "a message without its end, close".to_owned(),
        [frame(TEXT, b"begin"), close(1000, b""), frame(0x80, b"end")].concat(),
    );
    add("close without code".to_owned(), message(CLOSE, b""));
    add("close with half a code".to_owned(), message(CLOSE, &[3]));
    add(
        "close with the longest reason".to_owned(),
        close(1000, &[b'*'; 123]),
    );
    add(
        "close with too long a reason".to_owned(),
        close(1000, &[b'*'; 124]),
    );
    add(
        "close with a reason that is not UTF-8".to_owned(),
        close(1000, b"\xce\xba\xed\xa0\x80"),
    );
    let codes = [
        0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
        1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535,
    ];
    for code in codes {
        add(format!("code {code}"), close(code, b"why"));
    }
}

/// An echo of every message, on a path of its own.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let upgrade = |upgrade: WebSocketUpgrade| async move {
        upgrade
            .max_message_size(4 << 20)
            .on_upgrade(|mut socket| async move {
                while let Some(Ok(message)) = socket.recv().await {
                    if matches!(message, Message::Text(_) | Message::Binary(_))
                        && socket.send(message).await.is_err()
                    {
                        return;
                    }
                }
            })
    };
    let router = Router::new().route("/ws", any(upgrade));
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// Everything that comes back after the switch of protocols.
async fn play(addr: SocketAddr, case: &Case) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut head =
        String::from("GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    head.write_str("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let answered = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.1 101"), "{answered:?}");
    let (mut reader, mut writer) = stream.into_split();
    let (bytes, chop) = (case.bytes.clone(), case.chop);
    // Both ways at once: a large echo would otherwise fill the buffers between the two.
    let writing = tokio::spawn(async move {
        let size = if chop == 0 { bytes.len() } else { chop };
        for part in bytes.chunks(size) {
            // A server that failed the connection reads no further.
            if writer.write_all(part).await.is_err() {
                break;
            }
        }
        writer
    });
    let mut out = Vec::new();
    let read = tokio::time::timeout(LIMIT, reader.read_to_end(&mut out)).await;
    // A reset after the close frame is an end too: what came before it has been read.
    let _ = read.unwrap_or_else(|_| {
        panic!(
            "{}, chopped by {}: the connection was not closed",
            case.name, case.chop
        )
    });
    writing.abort();
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_the_list_comes_to_the_same_through_the_gateway() {
    let origin = echo_server().await;
    let mut through = route("/ws", "storefront", "public");
    through["websocket"] = true.into();
    let resources = vec![routes(vec![through]), endpoints("storefront", &[origin])];
    let gateway = Gateway::start(origin, resources).await;
    let cases = cases();
    assert!(cases.len() > 500, "{} cases", cases.len());
    for case in &cases {
        let (straight, passed) = tokio::join!(play(origin, case), play(gateway.handle.edge(), case));
        let show = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert!(
            straight == passed,
            "{}, chopped by {}: straight {} bytes {:?}, through the gateway {} bytes {:?}",
            case.name,
            case.chop,
            straight.len(),
            show(&straight),
            passed.len(),
            show(&passed)
        );
    }
}
