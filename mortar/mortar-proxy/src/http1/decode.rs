//! The body of an answer, out of its framing.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use memchr::memmem;

use super::head;
use crate::framing;

/// All trailer fields together are at most this long.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
const TRAILERS_MAX: usize = 64;

/// Where in the body of an answer the input stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Decoder {
    /// All of it was read, or there is none.
    #[default]
    Done,
    /// The head is still to come.
    Head,
    /// So many bytes are still to come.
    Length(u64),
    /// Up to the end of input.
    UntilClose,
    /// The size of a chunk comes next.
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    Trailers,
}

impl Decoder {
    pub(super) fn is_end(&self) -> bool {
        *self == Self::Done
    }

    /// Whether the end of input is the end of the body.
    pub(super) fn ends_with_input(&mut self) -> bool {
        let ends = *self == Self::UntilClose;
        if ends {
            *self = Self::Done;
        }
        ends
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            _ => SizeHint::default(),
        }
    }

    /// The next piece of what was read; none where more has to be, or nothing follows.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame<Bytes>>, &'static str> {
        loop {
            if input.is_empty() || matches!(self, Self::Done | Self::Head) {
                return Ok(None);
            }
            match self {
                Self::Done | Self::Head => return Ok(None),
                Self::UntilClose => return Ok(Some(Frame::data(std::mem::take(input).freeze()))),
                Self::Length(left) => {
                    let piece = piece(input, left);
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Some(Frame::data(piece)));
                }
                Self::Data(left) => {
                    let piece = piece(input, left);
                    if *left == 0 {
                        *self = Self::DataEnd;
                        self.skip_line_end(input)?;
                    }
                    return Ok(Some(Frame::data(piece)));
                }
                Self::DataEnd if input.len() < 2 => return Ok(None),
                Self::DataEnd => self.skip_line_end(input)?,
                Self::Size => {
                    let Some((size, bytes)) = framing::chunk_line(input).map_err(|refusal| refusal.code)?
                    else {
                        return Ok(None);
                    };
                    skip(input, bytes);
                    *self = match size {
                        0 => Self::Trailers,
                        size => Self::Data(size),
                    };
                }
                Self::Trailers => return self.trailers(input),
            }
        }
    }

    fn skip_line_end(&mut self, input: &mut BytesMut) -> Result<(), &'static str> {
        if input.len() < 2 {
            return Ok(());
        }
        if !input.starts_with(b"\r\n") {
            return Err("a chunk of the answer is longer than its size");
        }
        skip(input, 2);
        *self = Self::Size;
        Ok(())
    }

    fn trailers(&mut self, input: &mut BytesMut) -> Result<Option<Frame<Bytes>>, &'static str> {
        if input.starts_with(b"\r\n") {
            skip(input, 2);
            *self = Self::Done;
            return Ok(None);
        }
        let Some(at) = memmem::find(input, b"\r\n\r\n") else {
            return match input.len() > TRAILER_BYTES_MAX {
                true => Err("the answer has more than 16 KiB of trailers"),
                false => Ok(None),
            };
        };
        let block = take(input, at + 4);
        let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&block, &mut fields) else {
            return Err("the trailers of the answer are malformed");
        };
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            trailers.append(head::name(field.name)?, head::value(&block, field.value)?);
        }
        *self = Self::Done;
        Ok(Some(Frame::trailers(trailers)))
    }
}

fn piece(input: &mut BytesMut, left: &mut u64) -> Bytes {
    let count = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= count as u64;
    take(input, count)
}

/// Passes over the first bytes.
fn skip(input: &mut BytesMut, count: usize) {
    if count >= input.len() {
        *input = BytesMut::new();
    } else {
        input.advance(count);
    }
}

/// The first bytes. An input that is used up lets go of its buffer.
pub(super) fn take(input: &mut BytesMut, count: usize) -> Bytes {
    if count >= input.len() {
        return std::mem::take(input).freeze();
    }
    input.split_to(count).freeze()
}
