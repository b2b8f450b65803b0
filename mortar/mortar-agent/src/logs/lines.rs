//! Splits a growing file into lines, each with the offset where it begins. Knows holes, truncation and endless lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::linux;

/// Longest line that is kept, in bytes; the rest of a longer one is cut.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;
const CHUNK: usize = 64 * 1024;

/// One line without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) offset: u64,
    /// Offset of what follows.
    pub(crate) end: u64,
    pub(crate) text: String,
    pub(crate) cut: bool,
}

/// A reader of one file.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    next: u64,
    open: Vec<u8>,
    open_at: u64,
    cut: bool,
    /// The first line is what is left of one whose beginning is not wanted.
    skip: bool,
}

impl Lines {
    /// From an offset at which a line begins.
    pub(crate) fn at(file: File, offset: u64) -> Self {
        Self {
            file,
            next: offset,
            open: Vec::new(),
            open_at: offset,
            cut: false,
            skip: false,
        }
    }

    /// From the first line that begins at or after `offset` where data is left.
    pub(crate) fn resume(file: File, offset: u64) -> Self {
        let from = linux::first_data(&file, offset).unwrap_or(offset);
        let mut before = [0_u8];
        let begins = from == 0 || (file.read_at(&mut before, from - 1).is_ok() && before[0] == b'\n');
        let mut lines = Self::at(file, from);
        lines.skip = !begins;
        lines
    }

    /// The file, for giving ranges back.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Offset behind the last whole line.
    pub(crate) fn position(&self) -> u64 {
        self.open_at
    }

    /// Reads one chunk and appends its whole lines; whether there may be more at once.
    pub(crate) fn read(&mut self, out: &mut Vec<Line>) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length < self.next {
            // Somebody truncated the file: what is there now is new.
            self.restart();
        }
        let mut chunk = vec![0_u8; CHUNK];
        let read = self.file.read_at(&mut chunk, self.next)?;
        self.feed(&chunk[..read], out);
        Ok(read == CHUNK)
    }

    fn restart(&mut self) {
        self.next = 0;
        self.open_at = 0;
        self.open.clear();
        self.cut = false;
        self.skip = false;
    }

    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Line>) {
        while !bytes.is_empty() {
            let feed = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(feed.map_or(bytes.len(), |at| at + 1));
            self.next += part.len() as u64;
            let body = if feed.is_some() {
                &part[..part.len() - 1]
            } else {
                part
            };
            let room = LINE_BYTES_MAX.saturating_sub(self.open.len());
            self.cut |= body.len() > room;
            self.open.extend_from_slice(&body[..body.len().min(room)]);
            if feed.is_some() {
                self.finish(out);
            }
            bytes = rest;
        }
    }

    fn finish(&mut self, out: &mut Vec<Line>) {
        // Zeros are what is left of a range that was given back.
        let body: Vec<u8> = std::mem::take(&mut self.open);
        let begin = body.iter().position(|byte| *byte != 0).unwrap_or(body.len());
        let mut text = String::from_utf8_lossy(&body[begin..]).into_owned();
        if text.ends_with('\r') {
            text.pop();
        }
        let line = Line {
            offset: self.open_at,
            end: self.next,
            text,
            cut: std::mem::take(&mut self.cut),
        };
        self.open_at = self.next;
        if !std::mem::take(&mut self.skip) && !line.text.is_empty() {
            out.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        let mut out = Vec::new();
        while lines.read(&mut out).unwrap() {}
        out.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_line_counts_once_it_is_whole_and_knows_its_place() {
        let mut file = tempfile::tempfile().unwrap();
        let mut lines = Lines::at(file.try_clone().unwrap(), 0);
        file.write_all(b"one\ntw").unwrap();
        let mut out = Vec::new();
        lines.read(&mut out).unwrap();
        file.write_all(b"o\r\n\nthree\n").unwrap();
        lines.read(&mut out).unwrap();
        let seen: Vec<(u64, u64, &str)> = out.iter().map(|l| (l.offset, l.end, l.text.as_str())).collect();
        assert_eq!(seen, [(0, 4, "one"), (4, 9, "two"), (10, 16, "three")]);
        assert_eq!(lines.position(), 16);
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_is_whole() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; LINE_BYTES_MAX + 100_000]).unwrap();
        file.write_all(b"\nnext\n").unwrap();
        let mut lines = Lines::at(file, 0);
        let mut out = Vec::new();
        while lines.read(&mut out).unwrap() {}
        assert_eq!((out[0].text.len(), out[0].cut), (LINE_BYTES_MAX, true));
        assert_eq!((out[1].text.as_str(), out[1].cut), ("next", false));
    }

    #[test]
    fn a_resumed_reader_begins_at_a_whole_line_behind_the_hole() {
        let mut file = tempfile::tempfile().unwrap();
        let row = "0123456789abcde\n";
        file.write_all(row.repeat(4096).as_bytes()).unwrap();
        linux::punch_hole(&file, 0, 32 * 1024).unwrap();
        let mut lines = Lines::resume(file.try_clone().unwrap(), 0);
        let seen = all(&mut lines);
        assert!(seen.len() >= 2047 && seen.iter().all(|line| line == row.trim_end()));
        let mut middle = Lines::resume(file, 64 * 1024 - 20);
        assert_eq!(all(&mut middle), [row.trim_end()]);
    }

    #[test]
    fn a_truncated_file_is_read_from_its_new_beginning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old line\nmore\n").unwrap();
        let mut lines = Lines::at(File::open(file.path()).unwrap(), 0);
        assert_eq!(all(&mut lines), ["old line", "more"]);
        std::fs::write(file.path(), "new\n").unwrap();
        assert_eq!(all(&mut lines), ["new"]);
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_same_lines(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400),
            cut in 0_usize..400,
        ) {
            let read = |parts: &[&[u8]]| {
                let mut lines = Lines::at(tempfile::tempfile().unwrap(), 0);
                let mut out = Vec::new();
                for part in parts {
                    lines.feed(part, &mut out);
                }
                out
            };
            let cut = cut.min(bytes.len());
            prop_assert_eq!(read(&[&bytes]), read(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
