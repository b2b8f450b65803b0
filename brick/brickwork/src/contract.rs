//! The environment contract, read: all that the agent tells a process.

use std::path::PathBuf;

use brick_core::{BrickName, Incarnation, Version, env};
use brick_telemetry::Identity;

use crate::Error;

/// Who this process is and where its world is. In a process that nobody supervises almost all of it is missing, and
/// the brick runs alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contract {
    /// Name of the brick; alone, the name of the program.
    pub brick: BrickName,
    /// Name of the system; alone, `alone`.
    pub system: String,
    /// Version label.
    pub version: Version,
    /// Source revision, empty where unknown.
    pub revision: String,
    /// Slot, `order/1`.
    pub slot: String,
    /// This start.
    pub incarnation: Incarnation,
    /// Zone.
    pub zone: String,
    /// TCP port to serve on; 0 takes a free one.
    pub port: u16,
    /// Base URL of control; none where the brick runs alone.
    pub control_url: Option<String>,
    /// File with the process's own token.
    pub token_file: Option<PathBuf>,
    /// Folder for last known good snapshots.
    pub snapshot_dir: Option<PathBuf>,
    /// URL of the brick's database.
    pub database_url: Option<String>,
    /// Where spans go.
    pub otlp_endpoint: Option<String>,
    /// Names of the variables that came from the manifest.
    pub injected: Vec<String>,
    /// Which log lines are written, `RUST_LOG`; `info` unless said.
    pub log_filter: String,
}

impl Contract {
    /// Reads the environment. `program` names the brick where the environment does not.
    pub fn read(vars: &[(String, String)], program: &str) -> Result<Self, Error> {
        let find = |name: &str| {
            let found = vars.iter().find(|(n, value)| n == name && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        let text = |name: &str, default: &str| find(name).unwrap_or(default).to_owned();
        let brick: BrickName = match find(env::BRICK_NAME) {
            Some(name) => parsed(env::BRICK_NAME, name)?,
            None => program_name(program),
        };
        let version = match find(env::BRICK_VERSION) {
            Some(label) => parsed(env::BRICK_VERSION, label)?,
            None => Version::default(),
        };
        let incarnation = match find(env::BRICK_INCARNATION) {
            Some(id) => parsed(env::BRICK_INCARNATION, id)?,
            None => Incarnation::new(),
        };
        let port = match find(env::PORT) {
            Some(port) => port
                .parse()
                .map_err(|_| Error::environment(env::PORT, "a TCP port from 0 to 65535", port))?,
            None => 0,
        };
        let control_url = find(env::BRICK_CONTROL_URL).map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &control_url
            && !url.starts_with("http://")
        {
            return Err(Error::environment(
                env::BRICK_CONTROL_URL,
                "a URL such as http://127.0.0.1:7701",
                url,
            ));
        }
        Ok(Self {
            slot: text(env::BRICK_INSTANCE, &format!("{brick}/1")),
            system: text(env::BRICK_SYSTEM, "alone"),
            brick,
            version,
            revision: text(env::BRICK_REVISION, ""),
            incarnation,
            zone: text(env::BRICK_ZONE, "a"),
            port,
            control_url,
            token_file: find(env::BRICK_TOKEN_FILE).map(PathBuf::from),
            snapshot_dir: find(env::BRICK_SNAPSHOT_DIR).map(PathBuf::from),
            database_url: find(env::DATABASE_URL).map(str::to_owned),
            otlp_endpoint: find(env::OTEL_EXPORTER_OTLP_ENDPOINT).map(str::to_owned),
            injected: find(env::BRICK_CONFIG_INJECTED)
                .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
                .unwrap_or_default(),
            log_filter: text("RUST_LOG", "info"),
        })
    }

    /// Whether no control plane is there.
    pub fn is_alone(&self) -> bool {
        self.control_url.is_none()
    }

    /// File of the bus's last known good state.
    pub fn snapshot_file(&self) -> Option<PathBuf> {
        let name = format!("{}.bus.json", self.slot.replace('/', "-"));
        self.snapshot_dir.as_ref().map(|folder| folder.join(name))
    }

    /// How telemetry names this process; `package_version` and `api_version` are the program's own.
    pub fn identity(&self, package_version: &str, api_version: &str) -> Identity {
        Identity {
            system: self.system.clone(),
            brick: self.brick.to_string(),
            version: self.version.to_string(),
            revision: self.revision.clone(),
            slot: self.slot.clone(),
            incarnation: self.incarnation.to_string(),
            zone: self.zone.clone(),
            package_version: package_version.to_owned(),
            api_version: api_version.to_owned(),
        }
    }
}

fn parsed<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Error::environment(name, &error.to_string(), text))
}

/// The program's file name, made a brick's name.
fn program_name(program: &str) -> BrickName {
    let stem = std::path::Path::new(program)
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(63)
        .collect();
    let fallback = || BrickName::new("brick");
    match BrickName::new(name.trim_end_matches('-')).or_else(|_| fallback()) {
        Ok(name) => name,
        Err(error) => unreachable!("a constant name is valid: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Contract, Error> {
        let vars: Vec<_> = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Contract::read(&vars, "/usr/bin/My_Shop 2")
    }

    #[test]
    fn without_an_environment_a_brick_is_alone_and_named_after_its_program() {
        let contract = read(&[]).unwrap();
        assert!(contract.is_alone());
        assert_eq!(contract.brick.as_str(), "my-shop-2");
        assert_eq!((contract.slot.as_str(), contract.port), ("my-shop-2/1", 0));
        assert_eq!(program_name("").as_str(), "brick");
        assert_eq!(program_name("/x/123").as_str(), "brick");
    }

    #[test]
    fn what_the_agent_says_is_read() {
        let contract = read(&[
            ("BRICK_NAME", "order"),
            ("BRICK_INSTANCE", "order/2"),
            ("PORT", "7005"),
            ("BRICK_CONTROL_URL", "http://127.0.0.1:7701/"),
            ("BRICK_SNAPSHOT_DIR", "/s"),
            ("BRICK_CONFIG_INJECTED", "MAX_LINES, X"),
        ])
        .unwrap();
        assert_eq!(contract.control_url.as_deref(), Some("http://127.0.0.1:7701"));
        assert_eq!(
            contract.snapshot_file(),
            Some(PathBuf::from("/s/order-2.bus.json"))
        );
        assert_eq!(contract.injected, ["MAX_LINES", "X"]);
        assert_eq!(contract.port, 7005);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (name, value) in [
            ("PORT", "x"),
            ("PORT", "70000"),
            ("BRICK_NAME", "Order!"),
            ("BRICK_INCARNATION", "1"),
            ("BRICK_CONTROL_URL", "ftp://x"),
        ] {
            let told = read(&[(name, value)]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{name}: expected ")), "{told}");
            assert!(told.contains(value), "{told}");
            assert_eq!(told, format!("{:?}", read(&[(name, value)]).unwrap_err()));
        }
    }
}
