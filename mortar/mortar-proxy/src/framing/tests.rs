use proptest::prelude::*;

use super::*;

/// Feeds the stream in two pieces and gives what was passed on, and the code of the refusal.
fn feed(stream: &[u8], cut: usize) -> (usize, Option<&'static str>) {
    let mut framing = Framing::new(Limits::default());
    let mut passed = 0;
    for end in [cut, stream.len()] {
        loop {
            match framing.accept(&stream[passed..end]) {
                Ok(0) => break,
                Ok(n) => passed += n,
                Err(refusal) => return (passed, Some(refusal.code)),
            }
        }
    }
    (passed, None)
}

fn check(stream: &str, expect: Option<&str>) {
    let whole = feed(stream.as_bytes(), stream.len());
    assert_eq!(whole.1, expect, "{stream:?}");
    if expect.is_none() {
        assert_eq!(whole.0, stream.len(), "{stream:?}");
    }
    for cut in 0..stream.len() {
        assert_eq!(feed(stream.as_bytes(), cut), whole, "{stream:?} cut at {cut}");
    }
}

#[test]
fn good_requests_pass_whole_wherever_they_are_cut() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None);
    check("GET / HTTP/1.0\r\n\r\n", None);
    check("\r\nGET / HTTP/1.1\r\nhost:a\r\n\r\n", None);
    check(
        "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    );
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    );
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n000a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    );
    check("GET /ü HTTP/1.1\r\nHost: a\r\nX: ü\t \r\n\r\n", None);
}

#[test]
fn ambiguous_or_malformed_framing_is_refused() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for (fields, code) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "ambiguous_length",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "ambiguous_length",
        ),
        ("Content-Length: 5\r\nContent-Length: 5", "invalid_content_length"),
        ("Content-Length: 5\r\nContent-Length: 6", "invalid_content_length"),
        ("Content-Length: 5, 5", "invalid_content_length"),
        ("Content-Length: +5", "invalid_content_length"),
        ("Content-Length: -5", "invalid_content_length"),
        ("Content-Length: 0x5", "invalid_content_length"),
        ("Content-Length: 5 5", "invalid_content_length"),
        ("Content-Length:", "invalid_content_length"),
        ("Content-Length: 99999999999999999999", "invalid_content_length"),
        ("Content_Length: 5", "invalid_content_length"),
        ("Content-Length : 5", "invalid_field"),
        ("Transfer-Encoding : chunked", "invalid_field"),
        ("Transfer-Encoding: gzip, chunked", "invalid_transfer_encoding"),
        ("Transfer-Encoding: xchunked", "invalid_transfer_encoding"),
        ("Transfer-Encoding: identity", "invalid_transfer_encoding"),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "invalid_transfer_encoding",
        ),
        ("Transfer-Encoding: \"chunked\"", "invalid_transfer_encoding"),
        ("Transfer-Encoding: \u{b}chunked", "invalid_field"),
        ("Transfer_Encoding: chunked", "invalid_transfer_encoding"),
        ("Transfer-Encoding:\r\n chunked", "invalid_transfer_encoding"),
        ("X: a\r\n b", "folded_field"),
        ("X: a\0b", "invalid_field"),
        ("X: a\rb", "invalid_field"),
        ("X: a\nContent-Length: 5", "bare_line_feed"),
        ("no colon", "invalid_field"),
        (": empty", "invalid_field"),
        ("Host: b", "invalid_host"),
    ] {
        check(&post(fields), Some(code));
    }
    check("GET / HTTP/1.1\r\n\r\n", Some("invalid_host"));
    for host in ["a@b", "a, b", "a b", "a/b", "a?b", "a\\b"] {
        check(
            &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Some("invalid_host"),
        );
    }
    for line in [
        "GET http://a@b/",
        "GET ftp://a/",
        "GET http:///",
        "GET a",
        "GET *",
        "GET a:80",
        "CONNECT /",
        "CONNECT http://a/",
    ] {
        check(
            &format!("{line} HTTP/1.1\r\nHost: b\r\n\r\n"),
            Some("invalid_target"),
        );
    }
    for line in ["CONNECT a:80", "OPTIONS *", "GET HTTP://a", "GET http://a:80/x?y"] {
        check(&format!("{line} HTTP/1.1\r\nHost: b\r\n\r\n"), None);
    }
    check("GET http://b/a@b HTTP/1.1\r\nHost: b\r\n\r\n", None);
    check("GET /x?at=http://a@b/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", None);
    check("GET / HTTP/1.1\nHost: a\n\n", Some("bare_line_feed"));
    check("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Some("invalid_request_line"));
    check("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Some("invalid_request_line"));
    check("GET / \r\nHost: a\r\n\r\n", Some("invalid_request_line"));
    check("GET /\r\n", Some("invalid_request_line"));
    check("GET /\0 HTTP/1.1\r\n", Some("invalid_request_line"));
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some("version_not_supported"));
    check("\r\n\r\nGET / HTTP/1.1\r\n", Some("invalid_request_line"));
    check("\u{16}\u{3}\u{1}", Some("invalid_request_line"));
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Some("invalid_transfer_encoding"),
    );
}

#[test]
fn malformed_chunks_and_trailers_are_refused() {
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for (body, code) in [
        ("5\nhello\r\n0\r\n\r\n", "bare_line_feed"),
        ("g\r\n", "invalid_chunk"),
        ("\r\n", "invalid_chunk"),
        ("+5\r\nhello\r\n", "invalid_chunk"),
        ("0x5\r\nhello\r\n", "invalid_chunk"),
        ("5 \r\nhello\r\n", "invalid_chunk"),
        (" 5\r\nhello\r\n", "invalid_chunk"),
        ("5;a\0\r\nhello\r\n", "invalid_chunk"),
        ("5;a\rb\r\nhello\r\n", "invalid_chunk"),
        ("ffffffffffffffff\r\n", "invalid_chunk"),
        ("00000000000000005\r\nhello\r\n", "invalid_chunk"),
        ("5\r\nhelloX\r\n", "invalid_chunk"),
        ("5\r\nhello\n0\r\n\r\n", "invalid_chunk"),
        ("0\r\nContent-Length: 5\r\n\r\n", "invalid_trailer"),
        ("0\r\nTransfer_Encoding: chunked\r\n\r\n", "invalid_trailer"),
        ("0\r\n folded\r\n\r\n", "folded_field"),
        ("0\r\n\n", "bare_line_feed"),
    ] {
        check(&chunked(body), Some(code));
    }
}

#[test]
fn a_second_request_behind_a_body_is_judged_too() {
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        Some("invalid_content_length"),
    );
}

#[test]
fn a_head_has_a_size_and_a_number_of_fields() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(17 * 1024));
    assert_eq!(feed(long.as_bytes(), 100).1, Some("head_too_large"));
    let mut many = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    many.push_str(&"x: y\r\n".repeat(100));
    many.push_str("\r\n");
    assert_eq!(feed(many.as_bytes(), 100).1, Some("head_too_large"));
}

#[test]
fn nothing_passes_behind_an_upgrade_until_it_is_decided() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    let mut stream = head.to_vec();
    stream.extend_from_slice(b"\x81\x00\0\n");
    for upgraded in [true, false] {
        let mut framing = Framing::new(Limits::default());
        assert_eq!(framing.accept(&stream), Ok(head.len()));
        assert_eq!(framing.accept(&stream[head.len()..]), Ok(0));
        framing.decide(upgraded);
        assert_eq!(framing.accept(&stream[head.len()..]).is_ok(), upgraded);
    }
}

/// One valid request.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let name = "[a-z]{1,12}-[a-z]{1,4}";
    let fields = proptest::collection::vec((name, "[ -~]{0,24}"), 0..6);
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    (fields, body, any::<bool>(), 1_usize..64).prop_map(|(fields, body, chunked, size)| {
        let mut out = b"POST /x HTTP/1.1\r\nHost: h\r\n".to_vec();
        for (name, value) in fields {
            out.extend_from_slice(format!("x-{name}: {value}\r\n").as_bytes());
        }
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(size) {
                out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            out.extend_from_slice(&body);
        }
        out
    })
}

proptest! {
    #[test]
    fn any_sequence_of_valid_requests_passes_whatever_the_cut(
        requests in proptest::collection::vec(request(), 1..4), cut in any::<proptest::sample::Index>(),
    ) {
        let stream = requests.concat();
        let cut = cut.index(stream.len() + 1);
        prop_assert_eq!(feed(&stream, cut), (stream.len(), None));
    }

    #[test]
    fn no_bytes_make_it_panic_and_the_cut_never_changes_the_verdict(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' ')], 0..200),
        prefix in any::<bool>(), cut in any::<proptest::sample::Index>(),
    ) {
        let mut stream = if prefix { b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n".to_vec() } else { vec![] };
        stream.extend_from_slice(&bytes);
        let cut = cut.index(stream.len() + 1);
        prop_assert_eq!(feed(&stream, cut), feed(&stream, stream.len()));
    }
}
