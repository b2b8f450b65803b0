//! The latest lines of one slot, within a size.

use std::collections::VecDeque;

use crate::api::LogLine;

/// What a line costs besides its text: the other fields and the queue's slot.
const OVERHEAD: usize = 256;

/// A queue of lines that forgets the oldest.
#[derive(Debug)]
pub(crate) struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    bytes_max: usize,
}

impl Ring {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn push(&mut self, line: LogLine) {
        self.bytes += cost(&line);
        self.lines.push_back(line);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= cost(&oldest);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LogLine> {
        self.lines.iter()
    }
}

fn cost(line: &LogLine) -> usize {
    line.line.len() + line.msg.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let mut ring = Ring::new(10 * (OVERHEAD + 4));
        for n in 0..25 {
            ring.push(LogLine {
                ts: jiff::Timestamp::UNIX_EPOCH,
                brick: "a".parse().unwrap(),
                version: brick_core::Version::default(),
                instance: "a/1".to_owned(),
                stream: "output".to_owned(),
                level: "info".to_owned(),
                msg: format!("{n:02}"),
                trace_id: None,
                line: format!("{n:02}"),
            });
        }
        let kept: Vec<&str> = ring.iter().map(|line| line.line.as_str()).collect();
        assert_eq!(
            (kept.len(), kept.first(), kept.last()),
            (10, Some(&"15"), Some(&"24"))
        );
    }
}
