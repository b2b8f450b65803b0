//! Lines of a byte stream (JSON lines, server-sent events), whichever way it is cut.

use bytes::BytesMut;

/// Takes a byte stream apart into lines. What has no end yet is kept; its length is the caller's to bound.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    scanned: usize,
}

impl Lines {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are kept: lines not yet taken, and the beginning of one whose end has not come.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

impl Iterator for Lines {
    type Item = String;

    /// The next whole line without its end (LF or CR LF); what is no UTF-8 is replaced.
    fn next(&mut self) -> Option<String> {
        let Some(found) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + found + 1);
        self.scanned = 0;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(String::from_utf8_lossy(line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_any_cut_of_the_stream() {
        let stream = "one\r\n\ntwo ü\nrest".as_bytes();
        for cut in 0..stream.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                lines.push(part);
                found.extend(lines.by_ref());
            }
            assert_eq!(found, ["one", "", "two ü"], "cut at {cut}");
            assert_eq!(lines.pending(), 4);
        }
    }
}
