//! Where the database is and how it is connected to: the URL, read once.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};

use super::failure;
use super::text;
use super::tls::Tls;
use crate::Error;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a statement may take; the server ends it then.
pub(super) const STATEMENT_FOR: Duration = Duration::from_secs(30);
/// How long a connection may take until it can be used.
const CONNECT_FOR: Duration = Duration::from_secs(5);
/// For each session: how long a statement and a lock may take, how long a transaction may stand still, and how soon the
/// server lets go of somebody who is gone without a word, with the locks that he holds.
const SETTINGS: &str = "set statement_timeout = '30s'; set lock_timeout = '5s';
    set idle_in_transaction_session_timeout = '60s'; set tcp_keepalives_idle = 5;
    set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3; set tcp_user_timeout = '12s'";

/// A database on a server, with the right to it. Shown without the password.
#[derive(Debug)]
pub(super) struct Target {
    config: Config,
    tls: Option<Tls>,
    at: String,
    schema: Option<String>,
}

/// A connection that stands, with the task that moves its bytes.
pub(super) struct Connected {
    pub(super) client: Client,
    driver: JoinHandle<()>,
}

/// What the URL says that is ours to read.
#[derive(Debug, Default)]
struct Own {
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
    schema: Option<String>,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let at = without_password(url);
        let wrong = |reason: String| Error::Open {
            path: at.clone(),
            reason,
        };
        let (rest, own) = split(url).map_err(&wrong)?;
        let mut config: Config = rest.parse().map_err(|error| wrong(unread(&error)))?;
        let missing = |what: &str| {
            wrong(format!(
                "expected {what}, as in postgres://user:password@host:5432/database"
            ))
        };
        if config.get_hosts().is_empty() {
            return Err(missing("a host"));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(missing("a user"));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(missing("the name of a database"));
        }
        let here = config.get_hosts().iter().all(is_here);
        let encrypted = match own.sslmode.as_deref() {
            None => !here,
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(other) => {
                return Err(wrong(format!(
                    "sslmode: expected disable, require or verify-full (both verify the server), found {other}"
                )));
            }
        };
        let tls = match encrypted {
            true => Some(Tls::new(own.sslrootcert.as_deref()).map_err(&wrong)?),
            false => None,
        };
        let mode = if encrypted {
            SslMode::Require
        } else {
            SslMode::Disable
        };
        config.ssl_mode(mode).tcp_user_timeout(Duration::from_secs(12));
        config.keepalives_idle(Duration::from_secs(15));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_FOR);
        }
        if config.get_application_name().is_none() {
            config.application_name("brickwork");
        }
        Ok(Self {
            config,
            tls,
            at,
            schema: own.schema,
        })
    }

    /// The URL without its password and parameters.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub(super) fn namespace(&self) -> String {
        let database = self.config.get_dbname().unwrap_or_default();
        match &self.schema {
            Some(schema) => format!("{database}|{schema}"),
            None => database.to_owned(),
        }
    }

    pub(super) fn server(&self) -> (String, u16) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => String::new(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// Opens a connection. `heard` gets the payload of each notification.
    pub(super) async fn connect(
        &self,
        heard: impl FnMut(String) + Send + 'static,
    ) -> Result<Connected, Error> {
        let opened = tokio::time::timeout(CONNECT_FOR * 2, self.dial(heard)).await;
        let late = || format!("no answer within {} s", (CONNECT_FOR * 2).as_secs());
        let connected = opened.unwrap_or_else(|_| Err(failure::unreachable(&self.at, late())))?;
        let mut settings = SETTINGS.to_owned();
        if let Some(schema) = &self.schema {
            settings.push_str(&format!("; set search_path = {}", text::name(schema)));
        }
        let settled = tokio::time::timeout(CONNECT_FOR, connected.client.batch_execute(&settings)).await;
        settled
            .map_err(|_| failure::unreachable(&self.at, late()))?
            .map_err(|error| failure::connecting(&error, &self.at))?;
        Ok(connected)
    }

    async fn dial(&self, heard: impl FnMut(String) + Send + 'static) -> Result<Connected, Error> {
        let refused = |error| failure::connecting(&error, &self.at);
        Ok(match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(refused)?;
                let driver = tokio::spawn(drive(connection, heard));
                Connected { client, driver }
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(refused)?;
                let driver = tokio::spawn(drive(connection, heard));
                Connected { client, driver }
            }
        })
    }
}

impl Connected {
    /// Waits until the connection is lost: it ended, or a question asked every `beat` has no answer within `patience`.
    pub(super) async fn lost(&mut self, beat: Duration, patience: Duration) {
        loop {
            tokio::select! {
                _ = &mut self.driver => return,
                () = tokio::time::sleep(beat) => {}
            }
            let answer = tokio::time::timeout(patience, self.client.check_connection()).await;
            if !matches!(answer, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// Moves the connection's bytes until it ends.
async fn drive<S>(mut connection: Connection<Socket, S>, mut heard: impl FnMut(String))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            AsyncMessage::Notification(notification) => heard(notification.payload().to_owned()),
            AsyncMessage::Notice(notice) => tracing::debug!(notice = notice.message(), "the database says"),
            _ => {}
        }
    }
}

/// The URL without what only this crate reads, and that.
fn split(url: &str) -> Result<(String, Own), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut rest, mut own) = (Vec::new(), Own::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).ok_or_else(|| format!("{name}: expected UTF-8, percent-encoded"))?;
        match name {
            "sslmode" => own.sslmode = Some(value),
            "sslrootcert" => own.sslrootcert = Some(value.into()),
            "schema" if value.is_empty() => return Err("schema: expected a name".to_owned()),
            "schema" => own.schema = Some(value),
            "application_name" | "connect_timeout" | "options" | "host" | "port" => rest.push(pair),
            other => {
                return Err(format!(
                    "expected parameters sslmode, sslrootcert, schema, host, port, application_name, connect_timeout or options, found {other}"
                ));
            }
        }
    }
    Ok((format!("{base}?{}", rest.join("&")), own))
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// For messages: what stands before an @ is shown up to its colon, what stands after the path not at all.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (userinfo, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let place = place.split('?').next().unwrap_or_default();
    let user = userinfo.split(':').next().unwrap_or_default();
    let shown = match user {
        "" => format!("{scheme}://{place}"),
        user => format!("{scheme}://{user}@{place}"),
    };
    shown.chars().take(200).collect()
}

fn unread(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Whether the server is on this machine, where nobody listens in between.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_password() {
        let target =
            Target::parse("postgres://shop:p%40ss@127.0.0.1:5433/orders?schema=eu&connect_timeout=2")
                .unwrap();
        assert_eq!(target.at(), "postgres://shop@127.0.0.1:5433/orders");
        assert_eq!(target.namespace(), "orders|eu");
        assert_eq!(target.server(), ("127.0.0.1".to_owned(), 5433));
        assert!(target.tls.is_none() && !format!("{target:?}").contains("p@ss"));
        let socket = Target::parse("postgres://shop@/orders?host=%2Frun%2Fpg").unwrap();
        assert_eq!(socket.server().0, "/run/pg");
    }

    #[test]
    fn another_machine_is_spoken_to_by_tls_unless_told_otherwise() {
        let encrypted = |url: &str| Target::parse(url).unwrap().tls.is_some();
        assert!(encrypted("postgres://u:p@db.example/x?sslmode=require"));
        assert!(encrypted("postgres://u:p@localhost/x?sslmode=verify-full"));
        assert!(encrypted("postgres://u:p@db.example/x"));
        assert!(!encrypted("postgres://u:p@db.example/x?sslmode=disable"));
        assert!(!encrypted("postgres://u:p@[::1]/x"));
    }

    #[test]
    fn what_a_url_lacks_or_has_too_much_is_told_without_the_password() {
        let check = |url: &str, expect: &str| {
            let told = Target::parse(url).unwrap_err().to_string();
            assert!(told.contains(expect) && !told.contains("geheim"), "{told}");
        };
        check(
            "postgres://u:geheim@h/x?sslmode=prefer",
            "expected disable, require or verify-full",
        );
        check("postgres://u:geheim@h/x?ssl=1", "found ssl");
        check("postgres://u:geheim@h/", "expected the name of a database");
        check("postgres://h/x", "expected a user");
        check("postgres://u:geheim@h:port/x", "port");
        check("postgres://u:geheim@h/x?schema=", "schema: expected a name");
        check(
            "postgres://u:geheim@h/x?sslmode=require&sslrootcert=/none.pem",
            "sslrootcert /none.pem",
        );
        check("postgres://u:ge@heim@h/x?a=geheim", "found a");
    }
}
