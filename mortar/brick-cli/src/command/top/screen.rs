//! A screen that is drawn over, without flicker: each line is written over the one before and its rest cleared. The
//! terminal is given back as it was, however the command ends.

use std::io::{Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The alternate screen of a terminal; keys come without Enter.
pub(super) struct Screen {
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Self {
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
        Self { before, keys }
    }

    /// Draws this over what was there; what does not fit the height is left out.
    pub(super) fn draw(&mut self, text: &str) {
        let rows = rustix::termios::tcgetwinsize(std::io::stdout())
            .map_or(24, |size| usize::from(size.ws_row))
            .max(2);
        let mut frame = String::from("\x1b[H");
        for line in text.lines().take(rows - 1) {
            frame.push_str(line);
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J");
        write(&frame);
    }

    /// Waits until somebody presses q.
    pub(super) async fn quit(&mut self) {
        loop {
            match self.keys.recv().await {
                Some(b'q' | b'Q') => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
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
