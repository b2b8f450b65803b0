//! A brick of the acceptance tests that needs nothing but the environment contract: it counts on its output and
//! answers HTTP with how far it came.
//!
//! `acceptance-brick count EVERY_MS` writes `counted 1`, `counted 2` and so on, as long as it lives, and never stops
//! for a full disk; `acceptance-brick unready` says that its kiln is cold and answers 503 to whoever asks;
//! `acceptance-brick measured FAIL_EVERY DELAY_MS [ONCE]` answers with its version after a delay, 500 to every so many
//! (0 is to none), and tells at `/metrics` how many and how long; where the file ONCE is there it ends at once, else it
//! writes it: so it starts once only;
//! `acceptance-brick serve` answers any number of requests without a body on each connection, `/large` with 1 MiB.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Width of a bucket of the histogram in milliseconds, and how many there are.
const BUCKET_MS: u64 = 5;
const BUCKETS: usize = 60;

/// What `serve` answers at `/large`.
static LARGE: [u8; 1024 * 1024] = [b'x'; 1024 * 1024];

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
        Some("measured") => return measured(&listener, &arguments),
        _ => {
            return Err(std::io::Error::other(
                "say `count EVERY_MS`, `unready`, `measured FAIL_EVERY DELAY_MS` or `serve`",
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
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(first) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let body = if first.contains(" /large ") {
            &LARGE[..]
        } else {
            b"served"
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
    }
    Ok(())
}

/// What was answered: how many went wrong, and how many took how long.
struct Measured {
    calls: AtomicU64,
    errors: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

fn measured(listener: &TcpListener, arguments: &[String]) -> std::io::Result<()> {
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
    let (fail_every, delay) = (number(1), Duration::from_millis(number(2)));
    if let Some(once) = arguments.get(3) {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(once)?;
    }
    let figures = Arc::new(Measured {
        calls: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        buckets: std::array::from_fn(|_| AtomicU64::new(0)),
    });
    for stream in listener.incoming() {
        let figures = Arc::clone(&figures);
        std::thread::spawn(move || {
            stream.and_then(|stream| answer_measured(stream, &figures, fail_every, delay))
        });
    }
    Ok(())
}

/// Answers requests until the caller has no more.
fn answer_measured(
    mut stream: TcpStream,
    figures: &Measured,
    fail_every: u64,
    delay: Duration,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let version = std::env::var("BRICK_VERSION").unwrap_or_default();
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(first) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let (status, body) = if first.contains(" /health") {
            ("200 OK", "up".to_owned())
        } else if first.contains(" /metrics") {
            ("200 OK", figures.text())
        } else {
            let begin = Instant::now();
            std::thread::sleep(delay);
            let number = figures.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let fails = fail_every > 0 && number.is_multiple_of(fail_every);
            figures.errors.fetch_add(u64::from(fails), Ordering::SeqCst);
            let bucket = usize::try_from(begin.elapsed().as_millis() as u64 / BUCKET_MS).unwrap_or(BUCKETS);
            if let Some(bucket) = figures.buckets.get(bucket) {
                bucket.fetch_add(1, Ordering::SeqCst);
            }
            let status = if fails {
                "500 Internal Server Error"
            } else {
                "200 OK"
            };
            (status, version.clone())
        };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
    }
    Ok(())
}

impl Measured {
    fn text(&self) -> String {
        const NAME: &str = "http_server_request_duration_seconds";
        let (calls, errors) = (
            self.calls.load(Ordering::SeqCst),
            self.errors.load(Ordering::SeqCst),
        );
        let label = |code: u16| format!("http_route=\"/x\",http_response_status_code=\"{code}\"");
        let good = calls.saturating_sub(errors);
        let mut text = format!(
            "{NAME}_count{{{}}} {good}\n{NAME}_count{{{}}} {errors}\n",
            label(200),
            label(500)
        );
        let mut sum = 0;
        for (number, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::SeqCst);
            let bound = (number as u64 + 1) * BUCKET_MS;
            text.push_str(&format!(
                "{NAME}_bucket{{{},le=\"{:.3}\"}} {sum}\n",
                label(200),
                bound as f64 / 1e3
            ));
        }
        text
    }
}
