//! A brick of the acceptance tests that needs nothing but the environment contract: it counts on its output and
//! answers HTTP with how far it came.
//!
//! `acceptance-brick count EVERY_MS` writes `counted 1`, `counted 2` and so on, as long as it lives, and never stops
//! for a full disk; `acceptance-brick unready` says that its kiln is cold and answers 503 to whoever asks;
//! `acceptance-brick serve` answers any number of requests without a body on each connection, `/large` with 1 MiB.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .ok_or_else(|| std::io::Error::other("PORT is not a port"))?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let counted = Arc::new(AtomicU64::new(0));
    let status = match arguments.first().map(String::as_str) {
        Some("count") => {
            let every = arguments
                .get(1)
                .and_then(|every| every.parse().ok())
                .unwrap_or(10);
            let counter = Arc::clone(&counted);
            std::thread::spawn(move || count(&counter, Duration::from_millis(every)));
            "200 OK"
        }
        Some("unready") => {
            println!("the kiln is cold");
            "503 Service Unavailable"
        }
        Some("serve") => {
            for stream in listener.incoming() {
                std::thread::spawn(move || stream.and_then(serve));
            }
            return Ok(());
        }
        _ => {
            return Err(std::io::Error::other(
                "say `count EVERY_MS`, `unready` or `serve`",
            ));
        }
    };
    for stream in listener.incoming() {
        // A caller that went away is its own affair.
        let _ = stream.and_then(|stream| answer(stream, status, counted.load(Ordering::SeqCst)));
    }
    Ok(())
}

/// A number is published after its line was written: whoever reads it may expect that line and all before it.
fn count(counted: &AtomicU64, every: Duration) {
    let mut output = std::io::stdout().lock();
    loop {
        let number = counted.load(Ordering::SeqCst) + 1;
        // Where the disk is full the line is lost; the next one may find room.
        let _ = output
            .write_all(format!("counted {number}\n").as_bytes())
            .and_then(|()| output.flush());
        counted.store(number, Ordering::SeqCst);
        std::thread::sleep(every);
    }
}

/// Reads one request's head and answers it.
fn answer(mut stream: TcpStream, status: &str, counted: u64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let body = counted.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Answers requests until the caller has no more.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let large = "x".repeat(1024 * 1024);
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(first) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let body = if first.contains(" /large ") {
            &large
        } else {
            "served"
        };
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
    }
    Ok(())
}
