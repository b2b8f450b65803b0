//! As much of Redis' protocol (RESP2) as one command needs that answers a number.

use std::fmt;
use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const PORT: u16 = 6379;
/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 1_024;

/// Where a store is: `redis://[user:password@]host[:port][/db]`. Its `Debug` and `Display` tell no password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    db: u32,
}

/// A connection that was greeted.
#[derive(Debug)]
pub(super) struct Connection(BufReader<TcpStream>);

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("redis://")?;
        let (credentials, rest) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(c, rest)| (Some(c), rest));
        let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (user, password) = match credentials.map(|c| c.split_once(':').unwrap_or(("", c))) {
            Some((user, password)) => (Some(user).filter(|user| !user.is_empty()), Some(password)),
            None => (None, None),
        };
        Some(Self {
            host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
            port,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            db: if db.is_empty() { 0 } else { db.parse().ok()? },
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.db)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Connection {
    pub(super) async fn open(url: &Url) -> io::Result<Self> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self(BufReader::with_capacity(256, stream));
        if let Some(password) = &url.password {
            let user = url.user.as_deref().unwrap_or("default");
            connection.command(&["AUTH", user, password]).await?;
        }
        if url.db != 0 {
            connection.command(&["SELECT", &url.db.to_string()]).await?;
        }
        Ok(connection)
    }

    /// Sends a command that answers a number.
    pub(super) async fn integer(&mut self, command: &[&str]) -> io::Result<i64> {
        let line = self.command(command).await?;
        let number = line.strip_prefix(':').and_then(|number| number.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("expected a number, found {line:?}")))
    }

    /// Sends a command that answers one line.
    async fn command(&mut self, command: &[&str]) -> io::Result<String> {
        let mut out = format!("*{}\r\n", command.len());
        for word in command {
            out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(out.as_bytes()).await?;
        let mut line = Vec::new();
        (&mut self.0)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match line.strip_prefix('-') {
            Some(error) => Err(io::Error::other(error.to_owned())),
            None => Ok(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_its_password_is_not_shown() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(
                Url::parse(text).map(|url| format!("{url:?}")).as_deref(),
                expect,
                "{text}"
            );
        };
        check("redis://localhost", Some("redis://localhost:6379/0"));
        check("redis://u:p@ss@10.0.0.1:7000/3", Some("redis://10.0.0.1:7000/3"));
        check("redis://[::1]:7000", Some("redis://::1:7000/0"));
        check("redis://", None);
        check("redis://h:x", None);
        check("redis://h/x", None);
        check("http://h", None);
    }
}
