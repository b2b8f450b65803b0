//! The agent of a folder, spoken to over its Unix socket, and through it the admin listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_wire::lines::Lines;
use brick_wire::{Client, sse};
use http::{HeaderName, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// The agent that runs the system in a folder.
#[derive(Debug)]
pub(crate) struct Agent {
    dir: PathBuf,
    client: Client,
    verbose: bool,
    why: Option<String>,
}

/// The admin listener with a token for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Admin {
    token: String,
    admin_url: String,
    #[serde(skip)]
    verbose: bool,
    #[serde(skip)]
    why: Option<String>,
}

impl Agent {
    /// The agent of `dir`, whether it runs or not.
    pub(crate) fn of(dir: &Path) -> Self {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        let client = Client::unix(dir.join(".brickwork").join("agent.sock"));
        Self {
            dir,
            client,
            verbose: false,
            why: None,
        }
    }

    /// Says on stderr what is asked, if wanted.
    #[must_use]
    pub(crate) fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Says why with everything that is changed, for the audit trail.
    #[must_use]
    pub(crate) fn because(mut self, why: Option<&str>) -> Self {
        self.why = why.map(str::to_owned);
        self
    }

    /// Why something is changed.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A GET of JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let call = self.client.get(url(path)).json();
        let answer = told(self.verbose, "agent GET", path, call).await;
        answer.map_err(|error| self.explain(error))
    }

    /// A POST of JSON; `limit` is how long the agent may take.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Outcome<T> {
        let call = self
            .client
            .call(Method::POST, url(path))
            .json_body(body)
            .timeout(limit);
        let call = because(call, self.why.as_deref());
        let answer = told(self.verbose, "agent POST", path, call.json()).await;
        answer.map_err(|error| self.explain(error))
    }

    /// A POST that is answered without a body.
    pub(crate) async fn tell(&self, path: &str) -> Outcome {
        let answer = self
            .client
            .post(url(path))
            .send()
            .await
            .and_then(brick_wire::Response::success);
        answer.map(drop).map_err(|error| self.explain(error))
    }

    /// Streams NDJSON line by line into `each` until the stream ends or `each` says stop by returning false.
    pub(crate) async fn lines(&self, path: &str, mut each: impl FnMut(&str) -> bool) -> Outcome {
        let mut stream = self
            .client
            .get(url(path))
            .stream()
            .await
            .map_err(|error| self.explain(error))?;
        let mut lines = Lines::default();
        while let Some(chunk) = stream.chunk().await.map_err(|error| self.explain(error))? {
            lines.push(&chunk);
            for line in lines.by_ref() {
                if !line.trim().is_empty() && !each(line.trim_end()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The admin listener of the running system, with an operator token.
    pub(crate) async fn admin(&self) -> Outcome<Admin> {
        let limit = Duration::from_secs(5);
        let admin: Admin = self.post("/v1/token", &json!({}), limit).await?;
        Ok(Admin {
            verbose: self.verbose,
            why: self.why.clone(),
            ..admin
        })
    }

    fn explain(&self, error: brick_wire::Error) -> Failure {
        match &error {
            _ if error.is_unreachable() => Failure::no_agent(&self.dir),
            brick_wire::Error::Status { problem, .. } if problem.code == "no_such_call" => {
                let dir = self.dir.display();
                Failure::failed(format!(
                    "the agent that runs the system in {dir} is older than this `brick` and cannot do this"
                ))
                .hint("`brick down`, then `brick up`: the system starts again with this version")
            }
            _ => error.into(),
        }
    }
}

/// How long a change may take: every instance of a brick is waited for.
const CHANGE_MAX: Duration = Duration::from_secs(20);
/// Times that a change is made again because others changed the same meanwhile.
pub(crate) const AGAIN_MAX: usize = 5;

impl Admin {
    /// A GET of JSON from an API on the admin listener.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let client = Client::new();
        let call = client
            .get(format!("{}{path}", self.admin_url))
            .bearer(&self.token)
            .json();
        Ok(told(self.verbose, "GET", path, call).await?)
    }

    /// A PUT of JSON to an API on the admin listener.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.change(Method::PUT, "PUT", path, body).await
    }

    /// A PATCH of JSON to an API on the admin listener.
    pub(crate) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.change(Method::PATCH, "PATCH", path, body).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        name: &str,
        path: &str,
        body: &Value,
    ) -> Outcome<T> {
        let client = Client::new();
        let call = client
            .call(method, format!("{}{path}", self.admin_url))
            .bearer(&self.token)
            .timeout(CHANGE_MAX)
            .json_body(body);
        let call = because(call, self.why.as_deref());
        Ok(told(self.verbose, name, path, call.json()).await?)
    }

    /// A DELETE on the admin listener.
    pub(crate) async fn delete(&self, path: &str) -> Outcome {
        let client = Client::new();
        let call = client
            .call(Method::DELETE, format!("{}{path}", self.admin_url))
            .bearer(&self.token);
        let call = because(call, self.why.as_deref());
        let sent = async { call.send().await?.success() };
        told(self.verbose, "DELETE", path, sent).await?;
        Ok(())
    }

    /// A PUT, or without a value a DELETE, that is made only where what `tag` stands for is still in force. False where
    /// somebody changed it meanwhile.
    pub(crate) async fn replace(&self, path: &str, tag: &str, value: Option<&Value>) -> Outcome<bool> {
        let made = self.replaced(path, tag, value).await?;
        Ok(made.is_some())
    }

    /// The same with what was answered; none where somebody changed it meanwhile.
    pub(crate) async fn replaced(
        &self,
        path: &str,
        tag: &str,
        value: Option<&Value>,
    ) -> Outcome<Option<Value>> {
        let client = Client::new();
        let method = if value.is_some() {
            Method::PUT
        } else {
            Method::DELETE
        };
        let what = method.to_string();
        let call = client
            .call(method, format!("{}{path}", self.admin_url))
            .bearer(&self.token)
            .header(http::header::IF_MATCH, tag);
        let call = because(call, self.why.as_deref());
        let call = match value {
            Some(value) => call.json_body(value),
            None => call,
        };
        let sent = async { call.send().await?.success() };
        match told(self.verbose, &what, path, sent).await {
            Ok(answer) => Ok(Some(answer.json().unwrap_or_default())),
            Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Streams server-sent events into `each` until the stream ends or `each` says stop by returning false.
    pub(crate) async fn events(&self, path: &str, mut each: impl FnMut(&sse::Event) -> bool) -> Outcome {
        let client = Client::new();
        let call = client
            .get(format!("{}{path}", self.admin_url))
            .bearer(&self.token);
        let mut stream = told(self.verbose, "GET", path, call.stream()).await?;
        let mut parser = sse::Parser::default();
        while let Some(chunk) = stream.chunk().await? {
            let events = parser.feed(&chunk);
            for event in events.map_err(|error| Failure::failed(error.to_string()))? {
                if !each(&event) {
                    return Ok(());
                }
            }
        }
        Err(Failure::failed("telemetry ended the stream").hint("start the command again"))
    }

    /// A POST of JSON to an API on the admin listener.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.change(Method::POST, "POST", path, body).await
    }
}

/// With the reason in its field, where there is one.
fn because<'c>(call: brick_wire::client::Call<'c>, why: Option<&str>) -> brick_wire::client::Call<'c> {
    match why {
        Some(why) => call.header(HeaderName::from_static("x-brick-why"), why),
        None => call,
    }
}

/// Makes a call and, where wanted, says on stderr which, how it ended and in what time.
async fn told<T>(
    verbose: bool,
    what: &str,
    path: &str,
    call: impl Future<Output = Result<T, brick_wire::Error>>,
) -> Result<T, brick_wire::Error> {
    let begin = std::time::Instant::now();
    let answer = call.await;
    if verbose {
        let ms = begin.elapsed().as_secs_f64() * 1e3;
        let how = match &answer {
            Ok(_) => "answered".to_owned(),
            Err(error) => error
                .status()
                .map_or("did not answer".to_owned(), |status| status.to_string()),
        };
        eprintln!("  {what} {path}: {how} in {ms:.1} ms");
    }
    answer
}

fn url(path: &str) -> String {
    format!("http://agent{path}")
}

/// A query string of the values that are there.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given: Vec<(&str, &str)> = pairs
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)))
        .collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", brick_wire::form::encode(&given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_is_there_and_encodes_it() {
        let text = query(&[
            ("a", Some("x y&z".to_owned())),
            ("b", None),
            ("c", Some("ü".to_owned())),
        ]);
        assert_eq!(text, "?a=x%20y%26z&c=%C3%BC");
    }
}
