//! The host proxy's part of a plan: ports, secrets and environment of the bricks whose calls go through it, and the file
//! that tells it of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use brick_core::host::{Allow, Caller, Capture, Host, Passage, Secret, Served};
use brick_core::{BrickName, env};
use brick_model::{Brick, Inbound, Model, Protocol};

use super::{Ground, Plan};
use crate::Error;
use crate::board::Slot;
use crate::folder::write_private;
use crate::linux::capture::{Enclosure, NAMES, NAMES_PREFIX};
use crate::ports::{fnv, loopback};

/// The proxy's own slot.
pub(crate) const SLOT: &str = "proxy/1";
/// What names of ports begin with that the proxy listens on for others: `proxy:order/1`, `proxy:order/1:cache`.
const PREFIX: &str = "proxy:";
/// The same of ports on which it takes requests for a slot: `inbound:order/1`.
const INBOUND: &str = "inbound:";
/// The same of ports to which the kernel leads what a slot connects to: `capture:order/1`.
const CAPTURE: &str = "capture:";
/// What is reached without the proxy: OTLP, control, and everything else on this machine.
const DIRECT: &str = "127.0.0.1,localhost,::1";

/// Whether the system has a host proxy.
pub(super) fn is_wanted(model: &Model) -> bool {
    model
        .running()
        .any(|(_, brick)| brick.proxy || brick.inbound.is_some())
}

/// The names of the ports that the proxy listens on for a slot.
pub(super) fn ports(model: &Model, slot: &str, brick: &Brick) -> Vec<String> {
    let inbound = brick.inbound.map(|_| inbound_port(slot));
    let calls = brick.proxy.then(|| format!("{PREFIX}{slot}"));
    let passages = tcp_needs(model, brick).map(|need| passage_port(slot, need));
    let passages = passages.filter(|_| brick.proxy);
    let captured = brick.capture.then(|| format!("{CAPTURE}{slot}"));
    let own = inbound.into_iter().chain(calls).chain(captured);
    own.chain(passages).collect()
}

/// The slot whose process listens on a port of this name.
pub(super) fn holder(name: &str) -> &str {
    if matches!(name, super::DNS | super::CONTROL) {
        return "control/1";
    }
    let of_proxy = [PREFIX, INBOUND, CAPTURE];
    match of_proxy.iter().any(|prefix| name.starts_with(prefix)) {
        true => SLOT,
        false => name,
    }
}

/// What has to be ready before a brick starts.
pub(super) fn needs(brick: &Brick) -> Vec<BrickName> {
    let proxied = brick.proxy || brick.inbound.is_some();
    let proxy = proxied.then(|| BrickName::new("proxy").ok()).flatten();
    brick.needs.iter().cloned().chain(proxy).collect()
}

/// How an instance is reached and watched, as its fingerprint has it.
pub(super) fn reached(brick: &Brick, public_port: Option<u16>) -> String {
    let path = &brick.health.path;
    let path = match brick.capture {
        true => format!("{path} captured"),
        false => path.clone(),
    };
    match (brick.protocol, public_port) {
        (Protocol::Tcp, _) => format!("{path} by connecting"),
        (_, Some(port)) => format!("{path} behind {port}"),
        (_, None) => path,
    }
}

fn tcp_needs<'m>(model: &'m Model, brick: &'m Brick) -> impl Iterator<Item = &'m BrickName> {
    brick.needs.iter().filter(|need| is_tcp(model, need))
}

fn is_tcp(model: &Model, brick: &BrickName) -> bool {
    let brick = model.bricks.get(brick);
    brick.is_some_and(|brick| brick.protocol == Protocol::Tcp && !brick.is_external())
}

fn inbound_port(slot: &str) -> String {
    format!("{INBOUND}{slot}")
}

fn passage_port(slot: &str, to: &BrickName) -> String {
    format!("{PREFIX}{slot}:{to}")
}

/// The addresses that stand for bricks where connections are captured: by name, so that they stay when others come.
fn names(model: &Model) -> BTreeMap<BrickName, Ipv4Addr> {
    let room = (1_u32 << (32 - NAMES_PREFIX)) - 2;
    let first = u32::from(Ipv4Addr::from(NAMES)) + 1;
    let mut taken = BTreeSet::new();
    let mut names = BTreeMap::new();
    for name in model.bricks.keys() {
        let hash = fnv(name.as_str().as_bytes()) % u64::from(room);
        let mut at = u32::try_from(hash).unwrap_or(0);
        while !taken.insert(at) {
            at = (at + 1) % room;
        }
        names.insert(name.clone(), Ipv4Addr::from(first + at));
    }
    names
}

/// The slot whose listener a process uses: its own; that of the first for a one-off process, which has none.
fn slot_name(slot: &Slot) -> String {
    slot.of().slot_name(slot.number.max(1))
}

/// Tells the proxy that a slot which stands behind it serves on another port.
pub(crate) fn move_served(path: &Path, slot: &str, port: u16) -> std::io::Result<()> {
    let mut host: Host = serde_json::from_slice(&std::fs::read(path)?)?;
    for served in host.served.iter_mut().filter(|served| served.slot == slot) {
        served.to = loopback(port);
    }
    write_private(path, &serde_json::to_vec_pretty(&host)?, false)
}

/// Variables of an environment.
type Variables = Vec<(String, String)>;

impl Ground {
    /// What the host proxy is told of a slot whose calls it makes.
    pub(super) fn caller(&self, model: &Model, slot: &Slot, brick: &Brick) -> Option<Caller> {
        if !brick.proxy {
            return None;
        }
        let name = slot.to_string();
        let tcp = tcp_needs(model, brick).map(|need| Passage {
            to: need.clone(),
            listen: loopback(self.port(&passage_port(&name, need))),
            idle_ms: model.bricks.get(need).map_or(0, |brick| {
                u64::try_from(brick.idle_timeout.0.as_millis()).unwrap_or(u64::MAX)
            }),
        });
        Some(Caller {
            brick: slot.brick.clone(),
            version: brick.version.base.clone(),
            zone: brick.zone(slot.number).to_owned(),
            listen: self.listener(&name),
            secret: Secret(self.secret(&name)),
            token_file: self.folder.token(&slot.of().to_string(), slot.number),
            tcp: tcp.collect(),
            capture: brick.capture.then(|| Capture {
                listen: self.capture_listener(&name),
                names: names(model),
            }),
            slot: name,
        })
    }

    /// What the host proxy is told of a slot that stands behind it.
    pub(super) fn served(&self, slot: &Slot, brick: &Brick) -> Option<Served> {
        let name = slot.to_string();
        Some(Served {
            allow: match brick.inbound? {
                Inbound::Public => Allow::Public,
                Inbound::Users => Allow::Users,
                Inbound::Bricks => Allow::Bricks,
                Inbound::UsersOrBricks => Allow::UsersOrBricks,
            },
            brick: slot.brick.clone(),
            version: brick.version.base.clone(),
            zone: brick.zone(slot.number).to_owned(),
            listen: loopback(self.port(&inbound_port(&name))),
            to: loopback(self.port(&name)),
            health: brick.health.path.clone(),
            slot: name,
        })
    }

    /// The port on which a slot is called: that of the proxy where it stands behind one.
    pub(super) fn public_port(&self, slot: &Slot, brick: &Brick) -> Option<u16> {
        brick.inbound.map(|_| self.port(&inbound_port(&slot.to_string())))
    }

    /// The variables of a process whose calls go through the proxy.
    pub(super) fn through_proxy(&self, model: &Model, slot: &Slot, brick: &Brick) -> Vec<(String, String)> {
        if !brick.proxy {
            return Vec::new();
        }
        let name = slot_name(slot);
        let url = format!(
            "http://{}:{}@{}",
            slot.brick,
            self.secret(&name),
            self.listener(&name)
        );
        let told = [
            (env::BRICK_PROXY_URL, url.as_str()),
            (env::HTTP_PROXY, &url),
            (env::HTTP_PROXY_LOWER, &url),
            (env::NO_PROXY, DIRECT),
            (env::NO_PROXY_LOWER, DIRECT),
        ];
        // A captured process goes its own way to what is outside, so it is told of no proxy for all that is HTTP.
        let told = &told[..if brick.capture { 1 } else { told.len() }];
        let owned = told
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut pairs: Vec<(String, String)> = owned.collect();
        for need in tcp_needs(model, brick) {
            let addr = loopback(self.port(&passage_port(&name, need)));
            pairs.push((env::tcp_name(need.as_str()), addr.to_string()));
        }
        pairs
    }

    /// The variables that say where what a brick needs is: outside the system, and within.
    pub(super) fn needed(&self, model: &Model, slot: &Slot, brick: &Brick) -> (Variables, Variables) {
        let (mut outside, mut within) = (Variables::new(), Variables::new());
        for need in &brick.needs {
            let variable = env::needed_url_name(need.as_str());
            let callee = model.bricks.get(need);
            match callee.and_then(|callee| callee.external.clone()) {
                Some(external) => outside.push((variable, external)),
                // Where it is will be known when it registers: the SDK and the host proxy lead there by its name.
                None if !brick.proxy && callee.is_some_and(|callee| callee.registers) => {}
                None => within.push((variable, self.needed_url(model, slot, brick, need))),
            }
        }
        (outside, within)
    }

    /// Where a process finds a brick that it needs.
    pub(crate) fn needed_url(&self, model: &Model, slot: &Slot, brick: &Brick, need: &BrickName) -> String {
        match (brick.proxy, is_tcp(model, need)) {
            (true, true) => {
                let port = self.port(&passage_port(&slot_name(slot), need));
                format!("tcp://{}", loopback(port))
            }
            (true, false) => format!("http://{need}.brick"),
            (false, true) => format!("tcp://{}", loopback(self.port(&format!("{need}/1")))),
            (false, false) => {
                let slot = format!("{need}/1");
                let callee = model.bricks.get(need);
                match callee.and_then(|callee| callee.inbound) {
                    Some(_) => self.url(&inbound_port(&slot)),
                    None => self.url(&slot),
                }
            }
        }
    }

    /// Writes the file that the host proxy follows, where it says something else by now.
    pub(super) fn tell_proxy(&self, plan: &Plan) -> Result<(), Error> {
        let path = self.folder.proxy();
        let told = std::fs::read(&path).ok();
        if plan.callers.is_empty() && plan.served.is_empty() && told.is_none() {
            return Ok(());
        }
        let host = Host {
            callers: plan.callers.clone(),
            served: plan.served.clone(),
        };
        let text = serde_json::to_vec_pretty(&host)
            .map_err(|error| Error::file("write", &path)(std::io::Error::other(error)))?;
        if told.as_deref() == Some(&*text) {
            return Ok(());
        }
        write_private(&path, &text, false).map_err(Error::file("write", &path))
    }

    /// How a slot's process is started whose connections the kernel leads to the proxy.
    pub(super) fn enclosure(&self, slot: &Slot, brick: &Brick) -> Option<Enclosure> {
        let name = brick.capture.then(|| slot_name(slot))?;
        self.capture.enclosure(&name)
    }

    /// Has the kernel lead to the proxy what the captured slots connect to.
    pub(super) fn lay_capture(&self, plan: &Plan) -> Result<(), Error> {
        let captured = plan
            .callers
            .iter()
            .filter_map(|caller| Some((caller, caller.capture.as_ref()?)));
        let captured: Vec<_> = captured.collect();
        let ports = captured
            .iter()
            .map(|(caller, capture)| (caller.slot.clone(), capture.listen.port()));
        let names = captured.first().map(|(_, capture)| capture.names.clone());
        self.capture
            .lay(&ports.collect(), &names.unwrap_or_default())
            .map_err(|reason| {
                let mut bricks: Vec<BrickName> =
                    captured.iter().map(|(caller, _)| caller.brick.clone()).collect();
                bricks.dedup();
                Error::Capture { bricks, reason }
            })
    }

    fn capture_listener(&self, slot: &str) -> SocketAddr {
        loopback(self.port(&format!("{CAPTURE}{slot}")))
    }

    fn listener(&self, slot: &str) -> SocketAddr {
        loopback(self.port(&format!("{PREFIX}{slot}")))
    }

    /// By what the instances of a slot show who they are: 192 random bits, made when they are first asked for. It stays
    /// over restarts, as the environment of what runs does.
    fn secret(&self, slot: &str) -> String {
        self.store.update(|state| {
            let made = state.secrets.entry(slot.to_owned()).or_insert_with(|| {
                // The thread's generator is a CSPRNG that is seeded by the operating system.
                let bytes: [u8; 24] = rand::random();
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            });
            made.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = r#"
        brickwork = 1
        [system]
        name = "post"
        [brick.desk]
        run = "desk"
        needs = ["stamp", "vault"]
        proxy = true
        [brick.stamp]
        run = "stamp"
        inbound = "bricks"
        [brick.clerk]
        run = "clerk"
        needs = ["stamp"]
        capture = true
        [brick.vault]
        run = "vault"
        protocol = "tcp"
        [route.all]
        match = "/**"
        to = "desk"
        auth = "public"
    "#;

    #[test]
    fn the_proxy_has_a_port_for_each_way_through_it() {
        let model = brick_model::parse(SYSTEM, "brick.toml").unwrap();
        let of = |name: &str| ports(&model, &format!("{name}/1"), &model.bricks[name]);
        assert_eq!(of("desk"), ["proxy:desk/1", "proxy:desk/1:vault"]);
        assert_eq!(of("stamp"), ["inbound:stamp/1"]);
        assert_eq!(of("vault"), Vec::<String>::new());
        assert_eq!(of("clerk"), ["proxy:clerk/1", "capture:clerk/1"]);
        for name in of("desk").iter().chain(&of("stamp")).chain(&of("clerk")) {
            assert_eq!(holder(name), SLOT);
        }
        assert_eq!(holder("desk/1"), "desk/1");
        assert!(is_wanted(&model));
        let waits = |name: &str| {
            needs(&model.bricks[name])
                .iter()
                .any(|need| need.as_str() == "proxy")
        };
        assert!(waits("desk") && waits("stamp") && !waits("vault"));
    }

    #[test]
    fn every_brick_has_an_address_of_loopback_that_stays_when_others_come() {
        let model = brick_model::parse(SYSTEM, "brick.toml").unwrap();
        let all = names(&model);
        let distinct: BTreeSet<&Ipv4Addr> = all.values().collect();
        assert_eq!((all.len(), distinct.len()), (4, 4));
        assert!(
            all.values()
                .all(|ip| ip.is_loopback() && ip.octets()[1] >= 64 && ip.octets()[1] < 128)
        );
        let fewer = SYSTEM.replace("[brick.clerk]", "[brick.zoe]");
        let others = names(&brick_model::parse(&fewer, "brick.toml").unwrap());
        let stamp = BrickName::new("stamp").unwrap();
        assert_eq!(all[&stamp], others[&stamp]);
    }

    #[test]
    fn a_process_that_moves_is_found_and_the_rest_of_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.json");
        let served = |slot: &str, port: u16| Served {
            brick: BrickName::new("stamp").unwrap(),
            slot: slot.to_owned(),
            version: brick_core::Version::default(),
            zone: "a".to_owned(),
            listen: loopback(1),
            to: loopback(port),
            health: "/".to_owned(),
            allow: Allow::Bricks,
        };
        let host = Host {
            callers: Vec::new(),
            served: vec![served("stamp/1", 2), served("stamp/2", 3)],
        };
        std::fs::write(&path, serde_json::to_vec(&host).unwrap()).unwrap();
        move_served(&path, "stamp/2", 9).unwrap();
        let found: Host = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(found.served, [served("stamp/1", 2), served("stamp/2", 9)]);
        assert!(move_served(&dir.path().join("none.json"), "stamp/1", 1).is_err());
    }
}
