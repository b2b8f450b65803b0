//! From the model to the processes that should run: one [`Spec`] per slot, platform and bricks.

pub(crate) mod database;
mod ports;
pub(crate) mod proxy;
mod scopes;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use brick_core::{BrickName, BrickRef, Version, env, host};
use brick_model::{Brick, Model, Protocol, Replicas};

use crate::board::{Role, Slot};
use crate::folder::Folder;
use crate::launch::{Spec, find_program, install_hint};
use crate::linux::capture::Capture;
use crate::linux::claim::Claims;
use crate::ports::fnv;
use crate::state::Store;
use crate::{Error, Options};

/// Names of the platform's own processes with their parts, in the order of their starts.
const PLATFORM: [(Role, &str); 4] = [
    (Role::Control, "control"),
    (Role::Telemetry, "telemetry"),
    (Role::Gateway, "gateway"),
    (Role::Proxy, "proxy"),
];
/// Name of the port on which control resolves names of bricks.
const DNS: &str = "dns";
/// Name of the port that several processes of control share.
const CONTROL: &str = "control";
const PLATFORM_STOP_GRACE: Duration = Duration::from_secs(10);

/// The slots of the platform's processes that a system has: several of control where it shares a store, a host proxy
/// where a brick asks for one.
fn platform(model: &Model) -> impl Iterator<Item = (Role, &'static str, u32)> {
    let (proxied, controls) = (proxy::is_wanted(model), model.mortar.control.replicas);
    PLATFORM.into_iter().flat_map(move |(role, name)| {
        let replicas = match role {
            Role::Control => controls,
            Role::Proxy => u32::from(proxied),
            _ => 1,
        };
        (1..=replicas).map(move |number| (role, name, number))
    })
}

/// What all specs share.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) options: Options,
    pub(crate) folder: Folder,
    pub(crate) revision: String,
    pub(crate) edge: SocketAddr,
    pub(crate) edge_tls: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) inherited: Vec<(String, String)>,
    pub(crate) store: Store,
    /// Ports that no other agent may choose.
    pub(crate) claims: Claims,
    pub(crate) capture: Capture,
}

/// The processes that should run, and the bricks that are left out with the reason.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) specs: Vec<Spec>,
    pub(crate) skipped: Vec<(BrickRef, String)>,
    /// Warnings about ports that moved.
    pub(crate) warnings: Vec<String>,
    /// Slots whose ports moved.
    pub(crate) moved: Vec<String>,
    /// Instances whose calls go through the host proxy.
    pub(crate) callers: Vec<host::Caller>,
    /// Instances that stand behind it.
    pub(crate) served: Vec<host::Served>,
}

/// The bricks that are to run: all, or those of `--only` with all that they need.
pub(crate) fn wanted(model: &Model, only: &[BrickName]) -> Result<Vec<BrickName>, Error> {
    let mut closed: BTreeSet<BrickName> = BTreeSet::new();
    let mut open: Vec<BrickName> = only.to_vec();
    while let Some(name) = open.pop() {
        let brick = model
            .bricks
            .get(&name)
            .ok_or_else(|| unknown_brick(model, name.as_str()))?;
        if brick.runs_here() && closed.insert(name) {
            open.extend(brick.needs.iter().cloned());
        }
    }
    let order = model.start_order().into_iter().flatten();
    Ok(order
        .filter(|name| only.is_empty() || closed.contains(name))
        .collect())
}

/// The base of a brick, then its concurrent versions, each as it is to run; nothing where there is no such brick.
pub(crate) fn versions<'m>(model: &'m Model, name: &BrickName) -> Vec<(BrickRef, Cow<'m, Brick>)> {
    let Some(brick) = model.bricks.get(name) else {
        return Vec::new();
    };
    let refs = brick.refs(name).into_iter();
    refs.filter_map(|of| {
        let settings = brick.of_version(of.version.as_ref())?;
        Some((of, settings))
    })
    .collect()
}

/// What somebody means by a brick or a version of one: it exists, runs here, and the base is named by the brick alone.
pub(crate) fn known<'m>(model: &'m Model, asked: &BrickRef) -> Result<(BrickRef, Cow<'m, Brick>), Error> {
    let brick = model.bricks.get(&asked.brick).filter(|brick| brick.runs_here());
    let brick = brick.ok_or_else(|| unknown_brick(model, asked.brick.as_str()))?;
    let mut of = asked.clone();
    of.version = of.version.filter(|label| *label != brick.version.base);
    let settings = brick.of_version(of.version.as_ref()).ok_or_else(|| {
        let labels = brick.version.concurrent.keys().map(Version::as_str);
        let labels: Vec<&str> = std::iter::once(brick.version.base.as_str())
            .chain(labels)
            .collect();
        Error::Unknown {
            what: "version",
            name: asked.to_string(),
            known: format!("{} has {}", asked.brick, labels.join(", ")),
        }
    })?;
    Ok((of, settings))
}

/// There is no such brick.
pub(crate) fn unknown_brick(model: &Model, name: &str) -> Error {
    let names: Vec<&str> = model.running().map(|(name, _)| name.as_str()).collect();
    Error::Unknown {
        what: "brick",
        name: name.to_owned(),
        known: brick_model::nearest::hint(name, "bricks", names),
    }
}

impl Ground {
    /// Replicas of a brick or version: the manifest's, unless the operator scaled it since the manifest said so. Where
    /// they follow the requests, as many as these needed last.
    pub(crate) fn replicas(&self, of: &BrickRef, manifest: Replicas) -> u32 {
        self.by_hand(of, manifest)
            .unwrap_or_else(|| match manifest.elastic() {
                None => manifest.min(),
                Some(bounds) => {
                    let needed = self.store.read(|state| state.elastic.get(of).copied());
                    needed.unwrap_or(bounds.min).clamp(bounds.min, bounds.max)
                }
            })
    }

    /// Replicas that the operator set since the manifest said so.
    pub(crate) fn by_hand(&self, of: &BrickRef, manifest: Replicas) -> Option<u32> {
        let scaled = self.store.read(|state| state.scaled.get(of).copied());
        let scaled = scaled.filter(|scaled| scaled.manifest == manifest.min());
        scaled.map(|scaled| scaled.replicas)
    }

    /// Plans everything. Ports that slots have are kept unless somebody else took them; `running` says which slots
    /// hold theirs themselves.
    pub(crate) fn plan(&self, model: &Model, running: impl Fn(&str) -> bool) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let bricks = wanted(model, &self.options.only)?;
        self.assign_ports(model, &bricks, &running, &mut plan)?;
        for (role, name, number) in platform(model) {
            plan.specs.push(self.platform(model, role, name, number)?);
        }
        let target = self.options.target_dir.join("release");
        for (of, brick) in bricks.iter().flat_map(|name| versions(model, name)) {
            let replicas = self.replicas(&of, brick.replicas);
            // What runs nowhere needs no program.
            if replicas > 0 {
                self.plan_version(model, of, &brick, (replicas, &target), &mut plan)?;
            }
        }
        self.tell_proxy(&plan)?;
        self.lay_capture(&plan)?;
        Ok(plan)
    }

    /// Plans the instances of a brick's base or of one version of it.
    fn plan_version(
        &self,
        model: &Model,
        of: BrickRef,
        brick: &Brick,
        (replicas, target): (u32, &Path),
        plan: &mut Plan,
    ) -> Result<(), Error> {
        let command = brick.run_command(target).ok_or_else(|| Error::Command {
            brick: of.clone(),
            reason: "its `run` cannot be split into words".to_owned(),
        })?;
        let dir = brick.dir(&self.options.dir);
        let Some(program) = find_program(&command[0], &dir, &self.environment_of(brick)) else {
            let hint = install_hint(&command[0]);
            if brick.optional {
                let reason = format!("the program `{}` is not there: {hint}", command[0]);
                plan.skipped.push((of, reason));
                return Ok(());
            }
            return Err(Error::MissingProgram {
                brick: of,
                program: command[0].clone(),
                hint,
            });
        };
        for number in 1..=replicas {
            let slot = Slot::of_brick(&of, number);
            plan.callers.extend(self.caller(model, &slot, brick));
            plan.served.extend(self.served(&slot, brick));
            plan.specs
                .push(self.brick(model, slot, brick, &program, &command[1..]));
        }
        Ok(())
    }

    /// The environment in which a brick's program is looked for.
    fn environment_of(&self, brick: &Brick) -> Vec<(String, String)> {
        let own = brick
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        self.inherited.iter().cloned().chain(own).collect()
    }

    /// The part of the contract that every process gets.
    fn contract(&self, model: &Model, slot: &Slot, version: &Version, zone: &str) -> Vec<(String, String)> {
        let token = self.folder.token(&slot.of().to_string(), slot.number);
        let pairs = [
            (env::PORT, self.port(&slot.to_string()).to_string()),
            (env::BRICK_NAME, slot.brick.to_string()),
            (env::BRICK_VERSION, version.to_string()),
            (env::BRICK_REVISION, self.revision.clone()),
            (env::BRICK_INSTANCE, slot.to_string()),
            (env::BRICK_ZONE, zone.to_owned()),
            (env::BRICK_SYSTEM, model.system.name.to_string()),
            (env::BRICK_CONTROL_URL, self.control_url(model)),
            (env::BRICK_TOKEN_FILE, token.display().to_string()),
            (
                env::BRICK_SNAPSHOT_DIR,
                self.folder.snapshots().display().to_string(),
            ),
            (env::OTEL_EXPORTER_OTLP_ENDPOINT, self.url("otlp")),
            (env::OTEL_EXPORTER_OTLP_PROTOCOL, "http/protobuf".to_owned()),
            (env::OTEL_SERVICE_NAME, slot.brick.to_string()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// What only one role gets.
    fn of_role(&self, model: &Model, role: Role) -> Vec<(String, String)> {
        let path = |path: std::path::PathBuf| path.display().to_string();
        let telemetry_bytes = || model.mortar.telemetry.bytes_max.0.to_string();
        let mut pairs = match role {
            Role::Control => vec![
                (env::BRICK_DNS_PORT, self.port(DNS).to_string()),
                (
                    env::BRICK_BOOTSTRAP_KEY_FILE,
                    path(self.folder.bootstrap_key_file()),
                ),
                (env::BRICK_AGENT_SOCKET, path(self.folder.socket())),
            ],
            Role::Gateway => vec![(env::BRICK_HANDOVER_SOCKET, path(self.folder.handover()))],
            Role::Proxy => vec![(env::BRICK_PROXY_FILE, path(self.folder.proxy()))],
            Role::Telemetry | Role::Brick => vec![(env::BRICK_TELEMETRY_BYTES_MAX, telemetry_bytes())],
        };
        let watches = matches!(role, Role::Control | Role::Telemetry);
        if proxy::is_wanted(model) && watches {
            pairs.push((env::BRICK_HOST_PROXY_URL, self.url(proxy::SLOT)));
        }
        let control = &model.mortar.control;
        if control.replicas > 1 && watches {
            let all = (1..=control.replicas).map(|number| self.url(&format!("{CONTROL}/{number}")));
            pairs.push((env::BRICK_CONTROL_URLS, all.collect::<Vec<_>>().join(",")));
        }
        if let (Role::Control, Some(store)) = (role, &control.store) {
            pairs.push((env::BRICK_STORE_URL, store.clone()));
        }
        let owned = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }

    fn platform(&self, model: &Model, role: Role, name: &str, number: u32) -> Result<Spec, Error> {
        let brick = BrickName::new(name).map_err(|e| Error::Invalid {
            what: "name of a platform process",
            expected: "a brick name".to_owned(),
            found: e.to_string(),
        })?;
        let slot = Slot {
            role,
            brick,
            version: None,
            number,
        };
        let version = Version::default();
        let mut environment = self.contract(model, &slot, &version, "a");
        let pairs = [
            (env::BRICK_STATE_DIR, self.folder.state().display().to_string()),
            (env::BRICK_TELEMETRY_URL, self.url("telemetry/1")),
            (env::BRICK_GATEWAY_URL, self.url("gateway/1")),
            (env::BRICK_EDGE_URL, format!("http://{}", self.edge)),
            (env::BRICK_ADMIN_URL, format!("http://{}", self.admin)),
            (env::BRICK_OTLP_PORT, self.port("otlp").to_string()),
        ];
        environment.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(self.of_role(model, role));
        let args = vec!["serve".to_owned(), name.to_owned()];
        let health = brick_model::Health::default();
        Ok(Spec {
            fingerprint: fingerprint(
                &self.options.brick_binary,
                &args,
                &self.options.dir,
                &environment,
                &health.path,
            ),
            version,
            zone: "a".to_owned(),
            program: self.options.brick_binary.clone(),
            args,
            dir: self.options.dir.clone(),
            enclosure: None,
            env: environment,
            port: self.port(&slot.to_string()),
            public_port: None,
            health_path: health.path,
            health_by_connecting: false,
            health_every: health.every.0,
            health_grace: health.grace.0,
            stop_grace: PLATFORM_STOP_GRACE,
            needs: Vec::new(),
            scopes: scopes::of_platform(name),
            log: self.folder.log(name, number),
            token: self.folder.token(name, number),
            slot,
        })
    }

    /// What runs in a slot of a brick.
    pub(crate) fn brick(
        &self,
        model: &Model,
        slot: Slot,
        brick: &Brick,
        program: &Path,
        args: &[String],
    ) -> Spec {
        let name = &slot.brick;
        let of = slot.of().to_string();
        let zone = brick.zone(slot.number).to_owned();
        let mut environment = self.contract(model, &slot, &brick.version.base, &zone);
        if let Some(state) = &brick.state {
            let url = database::url(state, name.as_str(), &self.folder.state(), &self.options.env);
            environment.push((env::DATABASE_URL.to_owned(), url));
        }
        let (outside, needed) = self.needed(model, &slot, brick);
        environment.extend(outside);
        environment.extend(self.through_proxy(model, &slot, brick));
        environment.extend(
            brick
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let operators = |name: &str| self.options.env.iter().any(|(n, _)| n == name);
        let mut injected = Vec::new();
        // What the operator set in the environment wins over the manifest, so it is left as it is.
        for (variable, value) in model.config_env(name.as_str()) {
            if !operators(&variable) {
                injected.push(variable.clone());
                environment.push((variable, value));
            }
        }
        environment.push((env::BRICK_CONFIG_INJECTED.to_owned(), injected.join(",")));
        let dir = brick.dir(&self.options.dir);
        let public_port = self.public_port(&slot, brick);
        let reached = proxy::reached(brick, public_port);
        let fingerprint = fingerprint(program, args, &dir, &environment, &reached);
        // Ports move: who has to be restarted for another URL is decided where one moves.
        environment.extend(needed);
        Spec {
            fingerprint,
            version: brick.version.base.clone(),
            zone,
            program: program.to_owned(),
            args: args.to_vec(),
            dir,
            enclosure: self.enclosure(&slot, brick),
            env: environment,
            port: self.port(&slot.to_string()),
            public_port,
            health_path: brick.health.path.clone(),
            health_by_connecting: brick.protocol == Protocol::Tcp,
            health_every: brick.health.every.0,
            health_grace: brick.health.grace.0,
            stop_grace: brick.stop_grace.0,
            needs: proxy::needs(brick),
            scopes: scopes::of_brick(brick),
            log: self.folder.log(&of, slot.number),
            token: self.folder.token(&of, slot.number),
            slot,
        }
    }
}

/// A digest of what a process was started with; the program's size and time of change are part of it, so that a
/// rebuilt brick is restarted.
fn fingerprint(
    program: &Path,
    args: &[String],
    dir: &Path,
    env: &[(String, String)],
    health: &str,
) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(program).map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec()));
    // The revision is a label: a commit alone restarts nothing. A port is compared by itself.
    let same = |(name, _): &&(String, String)| name != env::BRICK_REVISION && name != env::PORT;
    let env: Vec<_> = env.iter().filter(same).collect();
    let text = format!("{program:?} {:?} {args:?} {dir:?} {env:?} {health}", file.ok());
    format!("{:016x}", fnv(text.as_bytes()))
}
