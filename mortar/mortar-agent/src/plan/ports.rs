//! The ports of a system's slots: kept over restarts, moved where somebody else took them.

use brick_core::BrickName;
use brick_model::Model;

use super::{CONTROL, DNS, Ground, Plan, platform, proxy, versions};
use crate::Error;
use crate::events::{Event, EventKind, Events};
use crate::ports::{Assigner, OTLP};

impl Ground {
    /// Assigns the ports that must be known before anything is planned: those of the platform.
    pub(crate) fn assign_platform_ports(
        &self,
        model: &Model,
        running: impl Fn(&str) -> bool,
        events: &Events,
    ) -> Result<(), Error> {
        let mut plan = Plan::default();
        self.assign_ports(model, &[], &running, &mut plan)?;
        for warning in plan.warnings {
            events.send(Event::new(EventKind::Warning, warning));
        }
        Ok(())
    }

    pub(super) fn assign_ports(
        &self,
        model: &Model,
        bricks: &[BrickName],
        running: &impl Fn(&str) -> bool,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        let held = self.store.read(|state| state.ports.clone());
        let mut assigner = Assigner::new(&self.options.dir, held.values().copied());
        let mut slots: Vec<String> = platform(model)
            .map(|(_, name, number)| format!("{name}/{number}"))
            .collect();
        let mut of_proxy = Vec::new();
        for (of, brick) in bricks.iter().flat_map(|name| versions(model, name)) {
            let replicas = self.replicas(&of, brick.replicas);
            slots.extend((1..=replicas).map(|number| of.slot_name(number)));
            of_proxy.extend((1..=replicas).flat_map(|n| proxy::ports(model, &of.slot_name(n), &brick)));
        }
        slots.extend(of_proxy);
        slots.push(DNS.to_owned());
        let controls = model.mortar.control.replicas;
        slots.extend((controls > 1).then(|| CONTROL.to_owned()));
        // Any of them may hold what they share.
        let holds = |name: &str| match name {
            DNS | CONTROL => (1..=controls).any(|number| running(&format!("{CONTROL}/{number}"))),
            _ => running(proxy::holder(name)),
        };
        let mut ports = held.clone();
        for slot in slots {
            let kept = held.get(&slot).filter(|port| self.can_have(**port, holds(&slot)));
            if kept.is_some() {
                continue;
            }
            let port = assigner.assign(&slot, |port| self.can_have(port, false))?;
            if let Some(old) = ports.insert(slot.clone(), port) {
                plan.warnings.push(format!(
                    "port {old} of {slot} was taken by somebody else: it is {port} now"
                ));
                plan.moved.push(proxy::holder(&slot).to_owned());
            }
        }
        let telemetry_runs = running("telemetry/1");
        let kept = held
            .get("otlp")
            .filter(|port| self.can_have(**port, telemetry_runs));
        if kept.is_none() {
            let port = if self.can_have(OTLP, false) {
                OTLP
            } else {
                assigner.assign("otlp", |port| self.can_have(port, false))?
            };
            if port != OTLP {
                let owner = crate::linux::ports::owner(crate::ports::loopback(OTLP));
                let who = owner.map_or("another process".to_owned(), |o| {
                    format!("pid {} ({})", o.pid, o.command)
                });
                plan.warnings.push(format!(
                    "port {OTLP} is in use by {who}: OTLP is taken on port {port}"
                ));
            }
            ports.insert("otlp".to_owned(), port);
        }
        self.store.update(|state| state.ports = ports);
        Ok(())
    }

    /// Whether a port is this system's: its own process holds it, or nobody does and no other agent means to.
    fn can_have(&self, port: u16, held: bool) -> bool {
        if held {
            // Also for the moments in which that process is replaced.
            self.claims.take(port);
        }
        held || self.claims.free(port)
    }

    pub(crate) fn port(&self, slot: &str) -> u16 {
        self.store
            .read(|state| state.ports.get(slot).copied().unwrap_or(0))
    }

    pub(crate) fn url(&self, slot: &str) -> String {
        format!("http://127.0.0.1:{}", self.port(slot))
    }

    /// Where control is reached: what several processes of it share.
    pub(crate) fn control_url(&self, model: &Model) -> String {
        match model.mortar.control.replicas {
            1 => self.url("control/1"),
            _ => self.url(CONTROL),
        }
    }
}
