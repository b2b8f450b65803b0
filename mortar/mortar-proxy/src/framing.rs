//! Where requests begin and end on a connection, judged before any parser that acts on them sees a byte.
//!
//! Request smuggling needs two parsers that disagree about where a message ends. This machine is the strict one: it
//! takes only framing that RFC 9112 gives one meaning, and refuses the rest, also where the RFC would let a lenient
//! recipient repair it. It performs no I/O: [`Framing::accept`] is shown the bytes that were not passed on yet and
//! says how many of them may be. What always holds: no byte of a head is passed on before its whole head was judged,
//! and the verdict does not depend on how the stream was cut.

mod head;
mod refusal;
#[cfg(test)]
mod tests;

use head::{Head, Payload};
use memchr::memchr;

pub use refusal::Refusal;

/// A chunk-size line with its extensions is at most this long.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// All trailer lines of one request together are at most this long.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Request line and fields with their line ends, in bytes.
    pub head_bytes_max: usize,
    /// Number of fields.
    pub fields_max: usize,
}

/// The machine: one for each connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    limits: Limits,
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head(Head),
    /// Bytes of a body of known length that are still to come.
    Length(u64),
    ChunkSize,
    /// Bytes of the current chunk that are still to come.
    ChunkData(u64),
    ChunkEnd,
    /// Bytes of trailer lines seen.
    Trailers(usize),
    /// A head asked for an upgrade: nothing more passes until it is known whether it was granted.
    Undecided,
    Tunnel,
    /// Why, and where.
    Refused(Refusal, Phase),
}

/// What the connection is doing, for whoever keeps its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In or before a head.
    Head,
    /// In a body.
    Body,
    /// After a head that asked for an upgrade.
    Undecided,
    /// After an upgrade.
    Tunnel,
}

impl Default for Limits {
    /// 16 KiB and 100 fields.
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            fields_max: 100,
        }
    }
}

impl Framing {
    /// Before the first request.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Head(Head::default()),
            limits,
            heads: 0,
        }
    }

    /// How many bytes at the front of `bytes` may be passed on. `bytes` is everything that was not passed on yet;
    /// 0 means that more is needed. After a refusal every call refuses.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut passed = 0;
        loop {
            match self.step(&bytes[passed..]) {
                Ok(0) => return Ok(passed),
                Ok(n) => passed += n,
                Err(refusal) => {
                    self.state = State::Refused(refusal, self.phase());
                    // What was found good goes first; the next call refuses.
                    return if passed > 0 { Ok(passed) } else { Err(refusal) };
                }
            }
        }
    }

    /// How many bytes may be passed on without being shown to [`Self::accept`]; tell [`Self::passed`].
    pub fn free(&self) -> u64 {
        match self.state {
            State::Length(left) | State::ChunkData(left) => left,
            State::Tunnel => u64::MAX,
            _ => 0,
        }
    }

    /// `count` bytes, at most [`Self::free`], were passed on unseen.
    pub fn passed(&mut self, count: u64) {
        match &mut self.state {
            State::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.state = State::Head(Head::default());
                }
            }
            State::ChunkData(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
            }
            _ => {}
        }
    }

    /// The upgrade that the last head asked for was granted, or not.
    pub fn decide(&mut self, upgraded: bool) {
        if matches!(self.state, State::Undecided) {
            self.state = if upgraded {
                State::Tunnel
            } else {
                State::Head(Head::default())
            };
        }
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Head(_) => Phase::Head,
            State::Refused(_, phase) => phase,
            State::Undecided => Phase::Undecided,
            State::Tunnel => Phase::Tunnel,
            _ => Phase::Body,
        }
    }

    /// How many heads were passed on.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match &mut self.state {
            State::Head(_) => self.step_head(bytes),
            State::Length(left) | State::ChunkData(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.passed(count as u64);
                Ok(count)
            }
            State::ChunkSize => self.step_chunk_size(bytes),
            State::ChunkEnd => self.step_chunk_end(bytes),
            State::Trailers(_) => self.step_trailer(bytes),
            State::Undecided => Ok(0),
            State::Tunnel => Ok(bytes.len()),
            State::Refused(refusal, _) => Err(*refusal),
        }
    }

    fn step_head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let State::Head(head) = &mut self.state else {
            return Ok(0);
        };
        let Some(end) = head.advance(bytes, &self.limits)? else {
            return Ok(0);
        };
        let Some(payload) = end.payload else {
            return Ok(end.bytes);
        };
        self.heads += 1;
        self.state = match payload {
            Payload::None => State::Head(Head::default()),
            Payload::Length(length) => State::Length(length),
            Payload::Chunked => State::ChunkSize,
            Payload::Upgrade => State::Undecided,
        };
        Ok(end.bytes)
    }

    fn step_chunk_size(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let Some((size, count)) = chunk_line(bytes)? else {
            return Ok(0);
        };
        self.state = match size {
            0 => State::Trailers(0),
            size => State::ChunkData(size),
        };
        Ok(count)
    }

    fn step_chunk_end(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = State::ChunkSize;
                Ok(2)
            }
            [b'\r'] => Ok(0),
            _ => Err(Refusal::CHUNK_END),
        }
    }

    fn step_trailer(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let State::Trailers(seen) = &mut self.state else {
            return Ok(0);
        };
        let Some(line) = line(bytes, TRAILER_BYTES_MAX, Refusal::HEAD_TOO_LARGE)? else {
            return Ok(0);
        };
        *seen += line.len() + 2;
        if *seen > TRAILER_BYTES_MAX {
            return Err(Refusal::HEAD_TOO_LARGE);
        }
        if line.is_empty() {
            self.state = State::Head(Head::default());
        } else {
            head::trailer(line)?;
        }
        Ok(line.len() + 2)
    }
}

/// The line before a chunk: the chunk's size, and how many bytes the line takes; none while it is incomplete.
pub(crate) fn chunk_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, Refusal> {
    let Some(line) = line(bytes, CHUNK_LINE_BYTES_MAX, Refusal::CHUNK_SIZE)? else {
        return Ok(None);
    };
    Ok(Some((chunk_size(line)?, line.len() + 2)))
}

/// The first line of `bytes` without its CRLF; none while it is incomplete.
fn line(bytes: &[u8], bytes_max: usize, too_long: Refusal) -> Result<Option<&[u8]>, Refusal> {
    match memchr(b'\n', bytes) {
        None if bytes.len() > bytes_max => Err(too_long),
        None => Ok(None),
        Some(0) => Err(Refusal::BARE_LF),
        Some(at) if at > bytes_max => Err(too_long),
        Some(at) if bytes[at - 1] != b'\r' => Err(Refusal::BARE_LF),
        Some(at) => Ok(Some(&bytes[..at - 1])),
    }
}

/// `chunk-size [ chunk-ext ]` (RFC 9112 §7.1): hexadecimal digits, then nothing or `;` and visible text. White space
/// around the size is refused although a recipient may take it: parsers differ there.
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 16 {
        return Err(Refusal::CHUNK_SIZE);
    }
    match line.get(digits) {
        None => {}
        Some(b';') if line[digits..].iter().all(|b| head::is_field_byte(*b)) => {}
        Some(_) => return Err(Refusal::CHUNK_SIZE),
    }
    let mut size: u64 = 0;
    for digit in &line[..digits] {
        let value = (*digit as char).to_digit(16).ok_or(Refusal::CHUNK_SIZE)?;
        size = size << 4 | u64::from(value);
    }
    if size > u64::MAX >> 1 {
        return Err(Refusal::CHUNK_SIZE);
    }
    Ok(size)
}
