//! The origin: it reads requests by the strictest reading of RFC 9112 and says where another reading were possible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a connection may go without a byte before its story is taken as told.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Why another parser might see something else.
    pub(super) trouble: Option<String>,
}

/// A running origin.
pub(super) struct Recorder {
    pub(super) addr: SocketAddr,
    seen: Arc<std::sync::Mutex<Vec<Seen>>>,
}

impl Seen {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// Whether whoever decodes and normalises the path ends below `prefix`.
    pub(super) fn resolves_to(&self, prefix: &str) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        let codes = [
            ("%2e", "."),
            ("%2E", "."),
            ("%2f", "/"),
            ("%2F", "/"),
            ("%5c", "/"),
            ("%5C", "/"),
            ("\\", "/"),
        ];
        let decoded = codes
            .iter()
            .fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain));
        let mut parts = Vec::new();
        for part in decoded.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => {
                    parts.pop();
                }
                _ => parts.push(part),
            }
        }
        let path = format!("/{}/", parts.join("/"));
        path.starts_with(&format!("{prefix}/"))
    }

    fn broken(trouble: String) -> Self {
        Self {
            target: String::new(),
            fields: Vec::new(),
            body: Vec::new(),
            trouble: Some(trouble),
        }
    }
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self {
            addr: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let seen = Arc::clone(&recorder.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        recorder
    }

    pub(super) fn clear(&self) {
        self.seen.lock().unwrap().clear();
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<std::sync::Mutex<Vec<Seen>>>) {
    let mut input = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match parse(&input) {
            Parsed::More => match stream.read(&mut buffer).await {
                Ok(n @ 1..) => input.extend_from_slice(&buffer[..n]),
                _ => {
                    // A message that was begun and not finished is no trouble: nobody acts on half of one.
                    return;
                }
            },
            Parsed::Whole(request, length) => {
                input.drain(..length);
                seen.lock().unwrap().push(request);
                if stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Parsed::Broken(why) => {
                seen.lock().unwrap().push(Seen::broken(why));
                return;
            }
        }
    }
}

enum Parsed {
    More,
    Whole(Seen, usize),
    Broken(String),
}

fn parse(input: &[u8]) -> Parsed {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Parsed::More;
    };
    match head(&input[..end]) {
        Err(why) => Parsed::Broken(format!("{why}: {:?}", String::from_utf8_lossy(&input[..end]))),
        Ok((target, fields)) => match body(&fields, &input[end + 4..]) {
            Err(why) => Parsed::Broken(why),
            Ok(None) => Parsed::More,
            Ok(Some((body, length))) => Parsed::Whole(
                Seen {
                    target,
                    fields,
                    body,
                    trouble: None,
                },
                end + 4 + length,
            ),
        },
    }
}

type Fields = Vec<(String, String)>;

fn head(bytes: &[u8]) -> Result<(String, Fields), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "bytes above ASCII".to_owned())?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let [_, target, "HTTP/1.1" | "HTTP/1.0"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("request line {line:?}"));
    };
    if !target.starts_with('/') {
        return Err(format!("target {target:?}"));
    }
    let mut fields = Vec::new();
    for line in lines {
        if line.contains(['\r', '\n', '\0']) || line.starts_with([' ', '\t']) {
            return Err(format!("line {line:?}"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("line {line:?}"))?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!("name {name:?}"));
        }
        fields.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let count = |name: &str| fields.iter().filter(|(known, _)| known == name).count();
    if count("host") != 1 {
        return Err("not one Host".to_owned());
    }
    if count("content-length") + count("transfer-encoding") > 1 {
        return Err("more than one length".to_owned());
    }
    let lookalike = |name: &str| name.contains("length") || name.contains("encoding");
    let known = [
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "content-encoding",
    ];
    if let Some((name, _)) = fields
        .iter()
        .find(|(name, _)| lookalike(name) && !known.contains(&name.as_str()))
    {
        return Err(format!("a field that reads like a length, {name:?}"));
    }
    Ok((target.to_owned(), fields))
}

/// The body and its length on the wire; none while more is to come.
fn body(fields: &Fields, rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let value = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    if let Some(encoding) = value("transfer-encoding") {
        return match encoding {
            "chunked" => chunked(rest),
            other => Err(format!("transfer-encoding {other:?}")),
        };
    }
    let Some(length) = value("content-length") else {
        return Ok(Some((Vec::new(), 0)));
    };
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("content-length {length:?}"));
    }
    let length: usize = length.parse().map_err(|_| format!("content-length {length:?}"))?;
    Ok(rest.get(..length).map(|body| (body.to_vec(), length)))
}

fn chunked(rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut at, mut whole) = (0, Vec::new());
    loop {
        let Some(end) = rest[at..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = &rest[at..at + end];
        if line.is_empty() || !line.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("chunk size {:?}", String::from_utf8_lossy(line)));
        }
        let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
        let size = usize::from_str_radix(text, 16).map_err(|e| e.to_string())?;
        at += end + 2;
        let Some(after) = rest.get(at + size..at + size + 2) else {
            return Ok(None);
        };
        if after != b"\r\n" {
            return Err("a chunk that is longer than it says".to_owned());
        }
        whole.extend_from_slice(&rest[at..at + size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((whole, at)));
        }
    }
}
