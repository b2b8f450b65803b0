//! A process of the tests whose output is collected as it comes.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::{eventually, signal};

/// A process that runs, with all that it wrote so far. Dropped, it is asked to end and reaped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}; is it built?"));
        Self {
            stdout: collect(child.stdout.take()),
            stderr: collect(child.stderr.take()),
            child,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("nobody panics here").clone()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("nobody panics here").clone()
    }

    /// All that it wrote so far.
    pub fn told(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }

    /// All that it wrote, once it has ended: waits until its output is read to the end.
    pub async fn all(&self) -> String {
        eventually("the end of its output", || async {
            let read = |text: &Arc<Mutex<String>>| Arc::strong_count(text) == 1;
            (read(&self.stdout) && read(&self.stderr)).then(|| self.told())
        })
        .await
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it has written this text, or fails the test with what it wrote instead.
    pub async fn says(&mut self, text: &str) {
        let told = |process: &Self| process.told().contains(text).then_some(());
        eventually(&format!("\"{text}\" of process {}", self.child.id()), || {
            let ended = self.ended();
            let found = told(self);
            if let (Some(status), None) = (ended, found) {
                // What it wrote last may come after its end was seen.
                if told(self).is_none() {
                    panic!("it ended ({status}) without \"{text}\":\n{}", self.told());
                }
            }
            async move { found }
        })
        .await;
    }

    /// Sends a signal.
    pub fn signal(&self, what: Signal) {
        signal(self.child.id(), what);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Waits for its end without holding up the test's other tasks.
    pub async fn end(&mut self) -> ExitStatus {
        let what = format!("the end of process {}", self.child.id());
        eventually(&what, || {
            let ended = self.ended();
            async move { ended }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn collect(from: Option<impl Read + Send + 'static>) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut from = from.expect("the output is piped");
        let mut buffer = [0_u8; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            sink.lock()
                .expect("nobody panics here")
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    text
}
