//! Exchanges against instances that are played byte by byte.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection, and the instance's side of it.
async fn pair() -> (Http1, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    far.set_nodelay(true).unwrap();
    (Http1::new(Socket::Plain(near)), far)
}

fn get() -> Request<RequestBody> {
    let request = Request::get("/a?b=c").header("host", "product");
    request.body(RequestBody::Empty).unwrap()
}

fn post(body: &'static [u8]) -> Request<RequestBody> {
    let body = RequestBody::whole(Bytes::from_static(body));
    Request::post("/orders")
        .header("host", "order")
        .body(body)
        .unwrap()
}

async fn ask(connection: &mut Http1, request: Request<RequestBody>) -> Result<Response<()>, Failed> {
    let (head, mut body) = request.into_parts();
    connection
        .exchange(&Request::from_parts(head, ()), &mut body)
        .await
}

/// Reads until the far side has seen `end`.
async fn seen(far: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        assert!(
            far.read_buf(&mut all).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&all)
        );
    }
    String::from_utf8(all).unwrap()
}

/// The body, and its trailers as text.
async fn collected(connection: &mut Http1) -> io::Result<(Vec<u8>, String)> {
    let (mut body, mut trailers) = (Vec::new(), String::new());
    while let Some(frame) = poll_fn(|cx| connection.poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = format!("{:?}", frame.trailers_ref().unwrap()),
        }
    }
    Ok((body, trailers))
}

/// What becomes of an answer that is sent in these pieces, and whether the connection may go on.
async fn answered(
    request: Request<RequestBody>,
    pieces: &[&[u8]],
) -> io::Result<(u16, Vec<u8>, String, bool)> {
    let (mut connection, mut far) = pair().await;
    let ask = async {
        let response = match ask(&mut connection, request).await {
            Ok(response) => response,
            Err(Failed::Died(error)) => return Err(error),
            Err(Failed::Unsent) => return Err(io::ErrorKind::NotConnected.into()),
        };
        let (body, trailers) = collected(&mut connection).await?;
        Ok((
            response.status().as_u16(),
            body,
            trailers,
            connection.is_reusable(),
        ))
    };
    let answer = async {
        seen(&mut far, "\r\n\r\n").await;
        for piece in pieces {
            if far.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(far);
    };
    let (asked, ()) = tokio::join!(ask, answer);
    asked
}

#[tokio::test]
async fn a_request_is_written_as_it_is_and_its_connection_serves_the_next() {
    let (mut connection, mut far) = pair().await;
    let far_side = async {
        let first = seen(&mut far, "\r\n\r\n").await;
        far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
            .await
            .unwrap();
        let second = seen(&mut far, "four").await;
        far.write_all(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n",
        )
        .await
        .unwrap();
        (first, second, far)
    };
    let near_side = async {
        assert_eq!(ask(&mut connection, get()).await.unwrap().status(), 200);
        assert_eq!(collected(&mut connection).await.unwrap().0, b"hi");
        assert!(connection.is_reusable() && connection.is_open());
        assert_eq!(ask(&mut connection, post(b"four")).await.unwrap().status(), 201);
        let (body, trailers) = collected(&mut connection).await.unwrap();
        assert_eq!(
            (&body[..], trailers.as_str()),
            (&b"abc"[..], r#"{"x-end": "yes"}"#)
        );
        assert!(connection.is_reusable() && connection.is_open());
    };
    let ((first, second, _far), ()) = tokio::join!(far_side, near_side);
    assert_eq!(first, "GET /a?b=c HTTP/1.1\r\nhost: product\r\n\r\n");
    assert_eq!(
        second,
        "POST /orders HTTP/1.1\r\nhost: order\r\ncontent-length: 4\r\n\r\nfour"
    );
}

#[tokio::test]
async fn the_end_of_a_body_is_found_by_every_framing_there_is() {
    let end = |text: &'static [u8]| async move { answered(get(), &[text]).await.unwrap() };
    let none = String::new();
    let length = end(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(length, (200, b"abc".to_vec(), none.clone(), true));
    let twice = end(b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(twice, (200, b"abc".to_vec(), none.clone(), true));
    let chunked =
        end(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\n\r\n").await;
    assert_eq!(chunked, (200, b"abc".to_vec(), none.clone(), true));
    let closed = end(b"HTTP/1.1 200 OK\r\n\r\nabc").await;
    assert_eq!(closed, (200, b"abc".to_vec(), none.clone(), false));
    let old = end(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(old, (200, b"abc".to_vec(), none.clone(), false));
    let kept = end(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(kept, (200, b"abc".to_vec(), none.clone(), true));
    let last = end(b"HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(last, (200, b"abc".to_vec(), none.clone(), false));
    let empty = end(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n").await;
    assert_eq!(empty, (204, Vec::new(), none.clone(), true));
    let interim = end(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n").await;
    assert_eq!(interim, (304, Vec::new(), none.clone(), true));
    let more = end(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc").await;
    assert_eq!(
        more,
        (200, b"a".to_vec(), none, false),
        "what follows belongs to nobody"
    );
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let head = Request::head("/")
        .header("host", "product")
        .body(RequestBody::Empty)
        .unwrap();
    let answer = answered(head, &[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"])
        .await
        .unwrap();
    assert_eq!(answer, (200, Vec::new(), String::new(), true));
}

#[tokio::test]
async fn an_answer_with_more_than_one_meaning_is_refused() {
    let heads: [&[u8]; 12] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
    ];
    for head in heads {
        let answer = answered(get(), &[head]).await;
        assert!(
            answer.is_err(),
            "{} gave {answer:?}",
            String::from_utf8_lossy(head)
        );
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_is_an_error() {
    for text in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ] {
        let error = answered(get(), &[text]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{text:?}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let long = [b"x-long: ".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
    let error = answered(get(), &[b"HTTP/1.1 200 OK\r\n", &long])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_takes_no_request() {
    let (mut connection, far) = pair().await;
    assert!(connection.is_open());
    drop(far);
    let Socket::Plain(stream) = &connection.socket else {
        unreachable!("it is plain")
    };
    stream.readable().await.unwrap();
    assert!(!connection.is_open());
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_sent_counts() {
    let (mut connection, mut far) = pair().await;
    // More than the sockets hold, so that the instance cannot have read it.
    let body = RequestBody::whole(vec![b'x'; 32 << 20].into());
    let request = Request::put("/large").header("host", "order").body(body).unwrap();
    let far_side = async {
        far.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        far
    };
    let near_side = async {
        assert_eq!(ask(&mut connection, request).await.unwrap().status(), 413);
        assert_eq!(collected(&mut connection).await.unwrap().0, b"no");
        assert!(
            !connection.is_reusable(),
            "the rest of the request is still to be sent"
        );
    };
    let (_far, ()) = tokio::join!(far_side, near_side);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let body = vec![b'y'; 3 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = answered(get(), &[head.as_bytes(), &body]).await.unwrap();
    assert_eq!((answer.1.len(), answer.3), (body.len(), true));
    assert!(answer.1 == body);
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut connection, mut far) = pair().await;
    let body = vec![b'z'; 1 << 20];
    let far_side = async {
        seen(&mut far, "\r\n\r\n").await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        far.write_all(head.as_bytes()).await.unwrap();
        far.write_all(&body).await.unwrap();
        far
    };
    let near_side = async {
        ask(&mut connection, get()).await.unwrap();
        assert_eq!(collected(&mut connection).await.unwrap().0.len(), body.len());
        assert!(connection.is_reusable() && connection.is_open());
        assert_eq!(connection.input.capacity(), 0);
    };
    let (_far, ()) = tokio::join!(far_side, near_side);
}

/// A body as chunks of these sizes.
fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    for size in sizes.iter().chain([&usize::MAX]) {
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        if !chunk.is_empty() {
            out.extend_from_slice(format!("{:X};k=v\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        rest = after;
    }
    out.extend_from_slice(b"0\r\nx-sum: 7\r\n\r\n");
    out
}

proptest! {
    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut(
        body in prop::collection::vec(any::<u8>(), 0..600),
        sizes in prop::collection::vec(1usize..200, 0..6),
        cuts in prop::collection::vec(1usize..60, 1..40),
    ) {
        let text = chunked(&body, &sizes);
        let (mut decoder, mut input) = (Decoder::Size, BytesMut::new());
        let (mut got, mut trailers) = (Vec::new(), None);
        let mut rest = &text[..];
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            input.extend_from_slice(piece);
            rest = after;
            while let Some(frame) = decoder.next(&mut input).unwrap() {
                match frame.into_data() {
                    Ok(data) => got.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            prop_assert!(rest.is_empty() || !decoder.is_end());
        }
        prop_assert!(decoder.is_end() && input.is_empty());
        prop_assert_eq!(got, body);
        let sum = trailers.and_then(|trailers| trailers.get("x-sum").cloned());
        prop_assert_eq!(sum.unwrap(), "7");
    }

    #[test]
    fn foreign_bytes_never_give_more_body_than_there_is(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for mut decoder in [Decoder::Size, Decoder::Trailers, Decoder::DataEnd, Decoder::Length(50)] {
            let mut input = BytesMut::from(&bytes[..]);
            let mut got = 0;
            while let Ok(Some(frame)) = decoder.next(&mut input) {
                got += frame.data_ref().map_or(0, Bytes::len);
            }
            prop_assert!(got <= bytes.len());
        }
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = head::parse(&mut input, &Method::GET) {}
    }

    #[test]
    fn a_request_body_is_sent_as_chunks_that_give_it_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
        let mut framing = Framing::Chunked;
        let mut output = Output::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sent = runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(64);
            let write = async {
                for piece in &pieces {
                    framing.encode(Frame::data(piece.clone().into()), &mut output).unwrap();
                    poll_fn(|cx| output.poll(cx, &mut near)).await.unwrap();
                }
                framing.end(&mut output).unwrap();
                poll_fn(|cx| output.poll(cx, &mut near)).await.unwrap();
                drop(near);
            };
            let read = async {
                let mut all = BytesMut::new();
                while far.read_buf(&mut all).await.unwrap() > 0 {}
                all
            };
            tokio::join!(write, read).1
        });
        let (mut decoder, mut input, mut got) = (Decoder::Size, sent, Vec::new());
        while let Some(frame) = decoder.next(&mut input).unwrap() {
            got.extend_from_slice(frame.data_ref().unwrap());
        }
        prop_assert!(decoder.is_end());
        prop_assert_eq!(got, pieces.concat());
    }
}
