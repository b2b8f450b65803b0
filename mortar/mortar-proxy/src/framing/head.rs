//! One head: request line and fields, judged line by line as they become whole.

use memchr::memchr;

use super::{Limits, Refusal};

/// What is known of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes at the front that hold whole lines, already judged.
    judged: usize,
    /// Request line and fields seen.
    lines: usize,
    /// An empty line came before the request line; RFC 9112 §2.2 lets one pass.
    leading_line: bool,
    http10: bool,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    /// It asks for another protocol, or for a tunnel.
    upgrade: bool,
    connect: bool,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    None,
    Length(u64),
    Chunked,
    Upgrade,
}

/// A whole head, or an empty line before it.
#[derive(Debug)]
pub(super) struct End {
    /// How many bytes it takes.
    pub(super) bytes: usize,
    /// None for an empty line before the request line.
    pub(super) payload: Option<Payload>,
}

impl Head {
    /// Judges the lines that are whole; gives the end once the head is.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<End>, Refusal> {
        loop {
            let rest = &bytes[self.judged..];
            // A first byte that begins no method (TLS to a plain port, say) need not wait for a line end.
            if self.lines == 0 && rest.first().is_some_and(|b| *b != b'\r' && !is_token_byte(*b)) {
                return Err(Refusal::REQUEST_LINE);
            }
            let Some(at) = memchr(b'\n', rest) else {
                if bytes.len() > limits.head_bytes_max {
                    return Err(Refusal::HEAD_TOO_LARGE);
                }
                return Ok(None);
            };
            if self.judged + at + 1 > limits.head_bytes_max {
                return Err(Refusal::HEAD_TOO_LARGE);
            }
            let Some((b'\r', line)) = rest[..at].split_last() else {
                return Err(Refusal::BARE_LF);
            };
            self.judged += at + 1;
            if line.is_empty() {
                return self.end().map(Some);
            }
            if self.lines == 0 {
                self.request_line(line)?;
            } else if self.lines > limits.fields_max {
                return Err(Refusal::HEAD_TOO_LARGE);
            } else {
                self.field(line)?;
            }
            self.lines += 1;
        }
    }

    fn end(&mut self) -> Result<End, Refusal> {
        let bytes = self.judged;
        if self.lines == 0 {
            if self.leading_line {
                return Err(Refusal::REQUEST_LINE);
            }
            self.leading_line = true;
            self.judged = 0;
            return Ok(End { bytes, payload: None });
        }
        if self.hosts > 1 || (self.hosts == 0 && !self.http10) {
            return Err(Refusal::HOST);
        }
        // What follows a granted CONNECT is no body (RFC 9110 §9.3.6).
        if self.connect && (self.chunked || self.length.is_some()) {
            return Err(Refusal::CONNECT_BODY);
        }
        let payload = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Refusal::BOTH_LENGTHS),
            (true, None) if self.http10 => return Err(Refusal::TRANSFER_ENCODING),
            (true, None) => Payload::Chunked,
            (false, Some(length)) if length > 0 => Payload::Length(length),
            (false, _) if self.upgrade => Payload::Upgrade,
            (false, _) => Payload::None,
        };
        Ok(End {
            bytes,
            payload: Some(payload),
        })
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::REQUEST_LINE);
        };
        let method_good = !method.is_empty() && method.iter().all(|b| is_token_byte(*b));
        let target_good = !target.is_empty() && target.iter().all(|b| *b > b' ' && *b != 0x7f);
        if !method_good || !target_good {
            return Err(Refusal::REQUEST_LINE);
        }
        self.connect = method == b"CONNECT";
        self.upgrade = self.connect;
        match version {
            b"HTTP/1.1" => is_target(method, target),
            b"HTTP/1.0" => {
                self.http10 = true;
                is_target(method, target)
            }
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(Refusal::VERSION)
            }
            _ => Err(Refusal::REQUEST_LINE),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = split_field(line)?;
        match name.len() {
            4 if is(name, b"host") => {
                self.hosts += 1;
                if !is_authority(value) {
                    return Err(Refusal::HOST);
                }
            }
            7 if is(name, b"upgrade") => self.upgrade = true,
            14 if looks_like(name, b"content-length") => {
                if self.length.is_some() || !is(name, b"content-length") {
                    return Err(Refusal::CONTENT_LENGTH);
                }
                self.length = Some(decimal(value)?);
            }
            17 if looks_like(name, b"transfer-encoding") => {
                if self.chunked || !is(name, b"transfer-encoding") || !is(value, b"chunked") {
                    return Err(Refusal::TRANSFER_ENCODING);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Judges a trailer line: a field, and none that would change what was already decided.
pub(super) fn trailer(line: &[u8]) -> Result<(), Refusal> {
    const FORBIDDEN: [&[u8]; 8] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"connection",
        b"upgrade",
        b"authorization",
        b"cookie",
        b"trailer",
    ];
    let (name, _) = split_field(line)?;
    if FORBIDDEN
        .iter()
        .any(|forbidden| name.len() == forbidden.len() && looks_like(name, forbidden))
    {
        return Err(Refusal::TRAILER);
    }
    Ok(())
}

/// `name: value` with the white space around the value taken off.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::FOLDED);
    }
    let colon = memchr(b':', line).ok_or(Refusal::FIELD)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let name_good = !name.is_empty() && name.iter().all(|b| is_token_byte(*b));
    if !name_good || !value.iter().all(|b| is_field_byte(*b)) {
        return Err(Refusal::FIELD);
    }
    Ok((name, value.trim_ascii()))
}

/// A target has one of four forms, each for its methods alone (RFC 9112 section 3.2).
fn is_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    if target.first() == Some(&b'/') && method != b"CONNECT" {
        return Ok(());
    }
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| {
            target
                .split_at_checked(scheme.len())
                .filter(|(start, _)| is(start, scheme))
        })
        .map(|(_, rest)| rest);
    match (method, rest) {
        (b"CONNECT", None) if is_authority(target) => Ok(()),
        (b"OPTIONS", None) if target == b"*" => Ok(()),
        (b"CONNECT", _) | (_, None) => Err(Refusal::TARGET),
        (_, Some(rest)) => {
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
            let authority = &rest[..end.unwrap_or(rest.len())];
            match is_authority(authority) && !authority.is_empty() {
                true => Ok(()),
                false => Err(Refusal::TARGET),
            }
        }
    }
}

/// `host[:port]` without what ends or splits it: user information is an error in HTTP (RFC 9110 section 4.2.4).
fn is_authority(text: &[u8]) -> bool {
    !text.iter().any(|b| {
        matches!(
            b,
            b'@' | b'/' | b'?' | b'#' | b'\\' | b',' | b' ' | b'\t' | b'"' | b'<' | b'>'
        )
    })
}

fn is(text: &[u8], lower: &[u8]) -> bool {
    text.eq_ignore_ascii_case(lower)
}

/// Equal, with `_` taken for `-`: some servers (CGI, WSGI) turn both into the same name.
fn looks_like(name: &[u8], lower: &[u8]) -> bool {
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
    name.iter().zip(lower).all(same)
}

/// `1*DIGIT` that fits into 63 bits; no sign, no list, no white space.
fn decimal(text: &[u8]) -> Result<u64, Refusal> {
    let mut number: u64 = 0;
    if text.is_empty() {
        return Err(Refusal::CONTENT_LENGTH);
    }
    for byte in text {
        if !byte.is_ascii_digit() {
            return Err(Refusal::CONTENT_LENGTH);
        }
        number = number
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(byte - b'0')))
            .filter(|n| *n <= u64::MAX >> 1)
            .ok_or(Refusal::CONTENT_LENGTH)?;
    }
    Ok(number)
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// What a field value or a chunk extension may hold: no control character but the tab (RFC 9110 §5.5).
pub(super) fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric();
        at += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};
