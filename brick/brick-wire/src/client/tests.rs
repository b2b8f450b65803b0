use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// Answers one connection with `answer` and gives the address.
fn answer_once(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0_u8; 1024];
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
            let n = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    });
    url
}

#[tokio::test]
async fn a_problem_answer_becomes_an_error_that_says_it() {
    let url = answer_once(
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nContent-Length: 62\r\n\r\n{\"title\":\"taken\",\"status\":409,\"detail\":\"slot 1\",\"code\":\"taken\"}",
    );
    let error = Client::new()
        .get(url)
        .json::<serde_json::Value>()
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::CONFLICT));
    assert!(error.to_string().contains("taken"), "{error}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let url = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    let error = Client::new().get(url).bytes_max(9).send().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { bytes_max: 9, .. }), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new().get(url).send().await.unwrap_err();
    assert!(error.is_unreachable());
    assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionRefused));
}

/// Goes to one address, whatever is asked for.
#[derive(Debug)]
struct Elsewhere(String);

impl Dial for Elsewhere {
    fn dial(&self, uri: Uri) -> Dialling {
        let address = self.0.clone();
        Box::pin(async move {
            if uri.host() != Some("brick.example") {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "that is somebody else",
                ));
            }
            let stream = tokio::net::TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[tokio::test]
async fn somebody_else_may_open_the_connections() {
    let url = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches("/x")
        .to_owned();
    let client = Client::dialled(Arc::new(Elsewhere(address)));
    let answer = client.get("https://brick.example/x").send().await.unwrap();
    assert_eq!(answer.body, "ok");
    let error = client.get("https://other.example/x").send().await.unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::InvalidData));
    assert_eq!(
        brick_core::chain(&error),
        "cannot reach https://other.example/x: that is somebody else"
    );
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named() {
    let error = Client::new()
        .get("http://127.0.0.1:1/")
        .bearer("a\nb")
        .send()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Request { .. }), "{error}");
}
