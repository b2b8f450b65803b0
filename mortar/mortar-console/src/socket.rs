//! One tab: its WebSocket from upgrade to close.
//!
//! A tab says `{"sub":[topic…]}` as often as it likes; each time that is all it watches from then on. It is sent
//! `{"topic","sub","at","data"}` or `{"topic","sub","at","error":{code,detail}}` when the state of a topic changes,
//! and `{"topic":"heartbeat","at","skipped"}` every five seconds, so that it can tell a quiet system from a dead line.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use brick_wire::Problem;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::credential;
use crate::hub::{self, Frame, Hub};
use crate::openapi::Session;
use crate::topic::{self, Topic};

/// Largest message taken from a tab, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Time between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A tab that was silent for so long (a browser answers pings by itself) is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A tab that takes nothing for so long is gone.
const SEND_MAX: Duration = Duration::from_secs(10);
/// Close code for a token that is no longer valid (the range 4000 to 4999 is free for applications, RFC 6455 §7.4.2).
const CLOSE_SIGNED_OUT: u16 = 4401;

/// What a tab without a valid token is told.
const SIGN_IN: &str = "run `brick open` in the system's folder for a fresh link to the console";

/// Whether the caller is signed in, so that the page can say so before it opens a socket.
pub(crate) async fn session(State(hub): State<Hub>, headers: HeaderMap) -> Response {
    let answer = match operator(&hub, &headers) {
        Ok(_) => Json(Session { scope: "admin" }).into_response(),
        Err(problem) => problem.into_response(),
    };
    ([(CACHE_CONTROL, "no-store")], answer).into_response()
}

/// Takes a tab in.
pub(crate) async fn upgrade(
    State(hub): State<Hub>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let token = match operator(&hub, &headers) {
        Ok(token) => token,
        Err(problem) => return problem.into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            return Problem::bad_request("websocket_expected", rejection.body_text()).into_response();
        }
    };
    let Some(place) = hub.admit() else {
        let detail = format!("{} tabs watch already; close one and reload", hub.tabs_max());
        return Problem::unavailable("too_many_tabs", detail).into_response();
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(move |socket| Tab::new(hub, token, socket, place).run())
}

/// The operator's token, verified, from a page that was served here.
fn operator(hub: &Hub, headers: &HeaderMap) -> Result<Arc<str>, Box<Problem>> {
    if !credential::same_origin(headers) {
        let detail = "the page that asks was served from elsewhere; open the console at its own address";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail).into());
    }
    let signed_out = |why: String| Box::new(Problem::unauthorized("signed_out", why));
    let token = credential::token(headers).ok_or_else(|| signed_out(SIGN_IN.to_owned()))?;
    hub.verify(token)
        .map_err(|why| signed_out(format!("{why}; {SIGN_IN}")))?;
    Ok(token.into())
}

/// A tab that is connected.
struct Tab {
    hub: Hub,
    token: Arc<str>,
    socket: WebSocket,
    frames: SelectAll<BoxStream<'static, (Topic, Frame)>>,
    /// Number of the last frame sent, by topic.
    sent: HashMap<Topic, u64>,
    skipped: u64,
    heard: Instant,
    _place: OwnedSemaphorePermit,
}

/// The tab is gone, or has to go.
struct Gone;

impl Tab {
    fn new(hub: Hub, token: Arc<str>, socket: WebSocket, place: OwnedSemaphorePermit) -> Self {
        Self {
            hub,
            token,
            socket,
            frames: SelectAll::new(),
            sent: HashMap::new(),
            skipped: 0,
            heard: Instant::now(),
            _place: place,
        }
    }

    async fn run(mut self) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(_)) | None => Err(Gone),
                },
                Some((topic, frame)) = self.frames.next() => self.pass_on(topic, frame).await,
                _ = heartbeat.tick() => self.beat().await,
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Gone> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => self.subscribe(&text).await,
            Message::Binary(_) => self.refuse("text_expected", "expected a JSON text message").await,
            Message::Close(_) => Err(Gone),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn subscribe(&mut self, text: &Utf8Bytes) -> Result<(), Gone> {
        let wish = match topic::wish(text) {
            Ok(wish) => wish,
            Err(detail) => return self.refuse("bad_subscription", &detail).await,
        };
        let mut frames = SelectAll::new();
        for topic in &wish.sub {
            let Ok(receiver) = self.hub.watch(topic, &self.token) else {
                let detail = "too many different topics are watched; close some tabs";
                return self.refuse("too_many_topics", detail).await;
            };
            frames.push(stream(topic.clone(), receiver));
        }
        self.sent.retain(|topic, _| wish.sub.contains(topic));
        self.frames = frames;
        Ok(())
    }

    /// Sends a frame unless this tab has it; what came and went since the last one counts as skipped.
    async fn pass_on(&mut self, topic: Topic, frame: Frame) -> Result<(), Gone> {
        let last = self.sent.insert(topic, frame.number);
        if frame.number == 0 || last == Some(frame.number) {
            return Ok(());
        }
        if let Some(last) = last.filter(|last| *last > 0) {
            let skipped = frame.number.saturating_sub(last + 1);
            self.skipped += skipped;
            self.hub
                .tallies()
                .frames_skipped
                .fetch_add(skipped, Ordering::Relaxed);
        }
        self.send(Message::Text(frame.text)).await
    }

    async fn beat(&mut self) -> Result<(), Gone> {
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(Gone);
        }
        if let Err(why) = self.hub.verify(&self.token) {
            let reason = Utf8Bytes::from(why.chars().take(100).collect::<String>());
            let close = CloseFrame {
                code: CLOSE_SIGNED_OUT,
                reason,
            };
            let _ = self.send(Message::Close(Some(close))).await;
            return Err(Gone);
        }
        let text = json!({"topic": "heartbeat", "at": hub::now(), "skipped": self.skipped}).to_string();
        self.send(Message::Text(text.into())).await?;
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    async fn refuse(&mut self, code: &str, detail: &str) -> Result<(), Gone> {
        let text = json!({"topic": "error", "at": hub::now(), "error": {"code": code, "detail": detail}});
        self.send(Message::Text(text.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_MAX, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// The newest frame of a topic whenever it changed; ends never, the hub keeps a topic while it is watched.
fn stream(topic: Topic, receiver: watch::Receiver<Frame>) -> BoxStream<'static, (Topic, Frame)> {
    futures_util::stream::unfold((topic, receiver), |(topic, mut receiver)| async move {
        receiver.changed().await.ok()?;
        let frame = receiver.borrow_and_update().clone();
        Some(((topic.clone(), frame), (topic, receiver)))
    })
    .boxed()
}

#[cfg(test)]
mod tests;
