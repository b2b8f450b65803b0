//! A screen that is drawn over, without flicker: each line is written over the one before and its rest cleared. The
//! terminal is given back as it was, however the command ends.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::command::up::stop_requested;
use crate::failure::{Failure, Outcome};

/// The alternate screen of a terminal; keys come without Enter.
pub(super) struct Screen {
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
    resized: Signal,
    text: String,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Outcome<Self> {
        let resized = signal(SignalKind::window_change())
            .map_err(|error| Failure::failed(format!("cannot watch the terminal's size: {error}")))?;
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
        }
        write("\x1b[?1049h\x1b[?25l\x1b[2J");
        let (sender, keys) = mpsc::channel(8);
        // A blocking read cannot be called off; the thread ends with the process.
        std::thread::spawn(move || {
            let mut byte = [0_u8];
            while matches!(std::io::stdin().lock().read(&mut byte), Ok(1)) {
                if sender.blocking_send(byte[0]).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            before,
            keys,
            resized,
            text: String::new(),
        })
    }

    /// Draws this over what was there.
    pub(super) fn draw(&mut self, text: String) {
        self.text = text;
        self.redraw();
    }

    fn redraw(&self) {
        let size = tcgetwinsize(std::io::stdout()).map(|size| (size.ws_row.into(), size.ws_col.into()));
        let (rows, columns) = size.unwrap_or((24, 80));
        write(&frame(&self.text, rows, columns));
    }

    /// Waits so long, and draws anew when the terminal has another size; whether to go on, for q, Ctrl-C and SIGTERM
    /// end it.
    pub(super) async fn pause(&mut self, every: Duration) -> bool {
        let due = tokio::time::sleep(every);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => return true,
                () = quit(&mut self.keys) => return false,
                () = stop_requested() => return false,
                Some(()) = self.resized.recv() => {
                    // Lines that the old width wrapped would stay.
                    write("\x1b[2J");
                    self.redraw();
                }
            }
        }
    }
}

/// Waits until somebody presses q.
async fn quit(keys: &mut mpsc::Receiver<u8>) {
    loop {
        match keys.recv().await {
            Some(b'q' | b'Q') => return,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// What is written to draw a text: no line is wider than the terminal, and where it is too low the last line says how
/// many are not shown.
fn frame(text: &str, rows: usize, columns: usize) -> String {
    // The last row stays free: a line feed there would scroll.
    let room = rows.saturating_sub(1).max(1);
    let hidden = match text.lines().count() {
        all if all > room => all - (room - 1),
        _ => 0,
    };
    let shown = if hidden > 0 { room - 1 } else { room };
    let more = (hidden > 0).then(|| format!("{hidden} more: a higher window shows them"));
    let mut frame = String::from("\x1b[H");
    for line in text.lines().take(shown).chain(more.as_deref()) {
        frame.push_str(&cut(line, columns));
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J");
    frame
}

/// A line's first columns; colours take none, and end where the line is cut.
fn cut(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let (mut width, mut escape) = (0, false);
    for c in line.chars() {
        if c == '\x1b' {
            escape = true;
        } else if escape {
            escape = !c.is_ascii_alphabetic();
        } else if width == columns {
            return out + "\x1b[0m";
        } else {
            width += 1;
        }
        out.push(c);
    }
    out
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
        if let Some(modes) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, modes);
        }
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_width_and_its_colour_ends_there() {
        for (line, columns, expect) in [
            ("order 1/1", 80, "order 1/1"),
            ("order 1/1", 9, "order 1/1"),
            ("order 1/1", 5, "order\x1b[0m"),
            ("\x1b[32morder\x1b[0m 1/1", 5, "\x1b[32morder\x1b[0m\x1b[0m"),
            ("\x1b[32morder\x1b[0m", 3, "\x1b[32mord\x1b[0m"),
        ] {
            assert_eq!(cut(line, columns), expect, "{line} in {columns}");
        }
    }

    #[test]
    fn what_does_not_fit_the_height_is_counted() {
        let drawn = |rows| frame("a\nb\nc\nd", rows, 80).replace("\x1b[K\r\n", "|");
        assert_eq!(drawn(5), "\x1b[Ha|b|c|d|\x1b[J");
        assert_eq!(drawn(4), "\x1b[Ha|b|2 more: a higher window shows them|\x1b[J");
        assert_eq!(drawn(1), "\x1b[H4 more: a higher window shows them|\x1b[J");
    }
}
