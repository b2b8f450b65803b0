//! The agent as operators reach it through control: a few of its calls, and nothing else of its socket.
//!
//! Control adds no state and no rules of its own: it passes on what the agent says, and says clearly when the agent
//! is away. Bricks and the rest of the platform run on without their agent, so control does too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{Drain, Trigger, drain};
use brick_http::Problem;
use brick_wire::{Client, Error, Streaming};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest answer that is passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Streams of events open at once.
const STREAMS_MAX: usize = 64;
/// Life of a question that changes nothing.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The agent of this system, asked over its socket.
#[derive(Debug)]
pub(crate) struct Agent {
    socket: Option<(Client, PathBuf)>,
    streams: Arc<Semaphore>,
    stop: Trigger,
    drain: Drain,
}

/// A stream of events that is open; it counts against the bound while it is held.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) stream: Streaming,
    pub(crate) drain: Drain,
    _place: OwnedSemaphorePermit,
}

impl Agent {
    pub(crate) fn new(socket: Option<PathBuf>) -> Self {
        let (stop, drain) = drain::channel();
        Self {
            socket: socket.map(|path| (Client::unix(&path), path)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stop,
            drain,
        }
    }

    /// What the agent answers to a GET of `path`, as it is.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, Problem> {
        let (client, _) = self.client()?;
        let call = client.get(url(path)).timeout(ASK_MAX);
        self.answer(call.bytes_max(ANSWER_BYTES_MAX).send().await)
    }

    /// What the agent answers to a POST of `body`; it may take `limit`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Bytes, Problem> {
        let (client, _) = self.client()?;
        // Control writes down what operators have it do; the agent tells of the rest.
        let call = client.post(url(path)).json_body(body).timeout(limit);
        let call = call.header(brick_wire::RECORDED, "control");
        self.answer(call.bytes_max(ANSWER_BYTES_MAX).send().await)
    }

    /// Opens a stream of JSON lines.
    pub(crate) async fn follow(&self, path: &str) -> Result<Follow, Problem> {
        let (client, _) = self.client()?;
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let detail = format!("{STREAMS_MAX} streams of the agent's events are open; close one");
            Problem::unavailable("too_many_streams", detail)
        })?;
        let opened = client.get(url(path)).timeout(ASK_MAX).stream().await;
        Ok(Follow {
            stream: opened.map_err(|error| self.explain(error))?,
            drain: self.drain.clone(),
            _place: place,
        })
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.stop.drain();
    }

    fn client(&self) -> Result<&(Client, PathBuf), Problem> {
        self.socket.as_ref().ok_or_else(|| {
            let detail = "control was started without BRICK_AGENT_SOCKET, so it knows no agent; start the \
                          system with `brick up`";
            Problem::unavailable("agent_away", detail)
        })
    }

    fn answer(&self, answer: Result<brick_wire::Response, Error>) -> Result<Bytes, Problem> {
        let answer = answer.and_then(brick_wire::Response::success);
        answer
            .map(|answer| answer.body)
            .map_err(|error| self.explain(error))
    }

    fn explain(&self, error: Error) -> Problem {
        match error {
            Error::Status { problem, .. } => *problem,
            Error::Timeout { limit, .. } => Problem::new(
                http::StatusCode::GATEWAY_TIMEOUT,
                "agent_slow",
                format!(
                    "the agent did not answer within {} s; it may still be at it: `brick ps` shows how far it is",
                    limit.as_secs()
                ),
            ),
            Error::Unreachable { .. } => {
                let socket = self
                    .socket
                    .as_ref()
                    .map_or_else(String::new, |(_, path)| format!(" at {}", path.display()));
                let detail = format!(
                    "the agent does not answer{socket}; what runs goes on running, but nothing is restarted or \
                     changed until `brick up` is run again in the system's folder"
                );
                Problem::unavailable("agent_away", detail)
            }
            other => Problem::new(
                http::StatusCode::BAD_GATEWAY,
                "agent_answer_unexpected",
                brick_core::chain(&other),
            ),
        }
    }
}

fn url(path: &str) -> String {
    format!("http://agent{path}")
}
