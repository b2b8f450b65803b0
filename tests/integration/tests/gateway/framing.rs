//! Requests whose end two parsers might see in two places never reach a brick.

use super::harness::*;

#[tokio::test]
async fn ambiguous_requests_are_refused_over_real_sockets() {
    let brick = Brick::start("storefront").await;
    let resources = vec![
        routes(vec![route("/**", "storefront", "public")]),
        endpoints("storefront", &[brick.addr]),
    ];
    let gateway = Gateway::start(brick.addr, resources).await;
    let post = |fields: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let inner = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, code) in [
        (post(both, &format!("0\r\n\r\n{inner}")), "ambiguous_length"),
        (
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"),
            "ambiguous_length",
        ),
        (
            post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde"),
            "invalid_content_length",
        ),
        (
            post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"),
            "invalid_content_length",
        ),
        (post("Content-Length: 4, 4\r\n", "abcd"), "invalid_content_length"),
        (post("Content-Length: +4\r\n", "abcd"), "invalid_content_length"),
        (post("Content-Length: -4\r\n", "abcd"), "invalid_content_length"),
        (post("Content-Length: 0x4\r\n", "abcd"), "invalid_content_length"),
        (post("Content-Length: 4 \u{b}\r\n", "abcd"), "invalid_field"),
        (
            post("Content-Length: 99999999999999999999\r\n", "abcd"),
            "invalid_content_length",
        ),
        (post("Content-Length : 4\r\n", "abcd"), "invalid_field"),
        (post("Content_Length: 4\r\n", "abcd"), "invalid_content_length"),
        (
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            "invalid_field",
        ),
        (
            post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            "invalid_transfer_encoding",
        ),
        (
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            "invalid_transfer_encoding",
        ),
        (
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            "invalid_transfer_encoding",
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                "0\r\n\r\n",
            ),
            "invalid_transfer_encoding",
        ),
        (
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            "invalid_transfer_encoding",
        ),
        (post("X: a\r\n b\r\n", ""), "folded_field"),
        (post("X: a\0b\r\n", ""), "invalid_field"),
        (post("X: a\rContent-Length: 4\r\n", "abcd"), "invalid_field"),
        (post("X: a\nContent-Length: 4\r\n", "abcd"), "bare_line_feed"),
        (post("Host: b\r\n", ""), "invalid_host"),
        (post("no colon\r\n", ""), "invalid_field"),
        (post(chunked, "5\nhello\r\n0\r\n\r\n"), "invalid_chunk"),
        (post(chunked, "zz\r\n"), "invalid_chunk"),
        (post(chunked, "+5\r\nhello\r\n0\r\n\r\n"), "invalid_chunk"),
        (post(chunked, "5 \r\nhello\r\n0\r\n\r\n"), "invalid_chunk"),
        (post(chunked, "5\r\nhelloworld\r\n0\r\n\r\n"), "invalid_chunk"),
        (post(chunked, "ffffffffffffffff\r\nhello"), "invalid_chunk"),
        (post(chunked, "10000000000000000\r\nhello"), "invalid_chunk"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "invalid_host"),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), "bare_line_feed"),
        (
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "invalid_request_line",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "invalid_transfer_encoding",
        ),
    ] {
        let text = raw(gateway.handle.edge(), request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 400"), "{request:?} gave {text:?}");
        let said = format!("\"code\":\"{code}\"");
        assert!(
            text.contains(&said) && text.contains("trace_id"),
            "{request:?} gave {text:?}"
        );
        assert!(text.to_lowercase().contains("connection: close"), "{text:?}");
        assert_eq!(
            text.matches("content-length:").count(),
            1,
            "{request:?} gave {text:?}"
        );
    }
    assert!(
        brick.calls() <= 7,
        "only requests whose body was malformed reach a brick, and end there"
    );
}

#[tokio::test]
async fn a_good_request_is_answered_before_the_bad_one_behind_it_is_refused() {
    let brick = Brick::start("storefront").await;
    let resources = vec![
        routes(vec![route("/**", "storefront", "public")]),
        endpoints("storefront", &[brick.addr]),
    ];
    let gateway = Gateway::start(brick.addr, resources).await;
    let stream = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst\
                  POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n\
                  POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nthird";
    let text = raw(gateway.handle.edge(), stream.as_bytes()).await;
    let at = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("{what} is not in {text:?}"))
    };
    assert!(
        at("first") < at("second") && at("second") < at("invalid_content_length"),
        "{text:?}"
    );
    assert!(!text.contains("third"));
}

#[tokio::test]
async fn heads_are_bounded_in_size_number_and_time() {
    let brick = Brick::start("storefront").await;
    let resources = vec![
        routes(vec![route("/**", "storefront", "public")]),
        endpoints("storefront", &[brick.addr]),
    ];
    let change = |options: &mut mortar_gateway::Options| {
        options.head_timeout_ms = 100;
        options.idle_timeout_ms = 150;
    };
    let gateway = Gateway::with(brick.addr, resources, change).await;
    let large = get_with("/", &format!("X: {}\r\n", "a".repeat(20_000)));
    assert_eq!(gateway.edge(&large).await.status, 431);
    assert_eq!(
        gateway.edge(&get_with("/", &"X: a\r\n".repeat(101))).await.status,
        431
    );
    let slow = raw(gateway.handle.edge(), b"GET / HTTP/1.1\r\nHost: a\r\nX-").await;
    assert!(
        slow.starts_with("HTTP/1.1 408") && slow.contains("head_timeout"),
        "{slow:?}"
    );
    assert_eq!(
        raw(gateway.handle.edge(), b"").await,
        "",
        "a silent connection is closed without a word"
    );
    let idle = raw(gateway.handle.edge(), get_with("/", "").as_bytes()).await;
    assert_eq!(
        idle.matches("HTTP/1.1 200").count(),
        1,
        "an idle connection is closed after its answer"
    );
}
