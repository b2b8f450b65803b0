//! The running part: opens the store, runs writer and leases, hands out the routes.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use brick_auth::Verifier;
use brick_core::Drain;
use brick_http::Access;
use brick_telemetry::Telemetry;
use brick_wire::Client;
use tokio::sync::{mpsc, oneshot};

use crate::acks::Acks;
use crate::agent::Agent;
use crate::audit::{Entry, Filter, Numbered};
use crate::bus::Bus;
use crate::canary::Looks;
use crate::config::Turns;
use crate::config::repository::{self, Repository};
use crate::dns::Counts;
use crate::eureka::recent::Recent;
use crate::lease::{self, Leases};
use crate::peers::Peers;
use crate::reports::Reports;
use crate::standby::Standby;
use crate::state::{Action, State};
use crate::store::Store;
use crate::uses::{self, Uses};
use crate::writer::{self, Shared, Wish, Writer};
use crate::{Error, Options, api, canary, expiry, metrics};

/// Control, opened.
pub struct Service {
    handle: Handle,
    writer: Writer,
}

/// What routes and tests ask of control. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    opened: Instant,
    store: Arc<dyn Store>,
    options: Options,
    shared: Arc<Shared>,
    bus: Arc<Bus>,
    leases: Arc<Leases>,
    recent: Arc<Recent>,
    acks: Acks,
    peers: Peers,
    turns: Turns,
    repository: Repository,
    reports: Reports,
    uses: Uses,
    names: Counts,
    looks: Looks,
    verifier: Verifier,
    wishes: mpsc::Sender<Wish>,
    agent: Agent,
    http: Client,
}

impl Handle {
    /// Says in `/health` what control lacks.
    fn tell_health(&self, telemetry: &Telemetry) {
        let told = self.clone();
        telemetry.health().component("store", move || {
            let works = told.store_works();
            async move {
                let hint = "the last change could not be stored; the log says why";
                works.then_some(()).ok_or_else(|| hint.to_owned())
            }
        });
        let told = self.clone();
        telemetry.health().dependency("instances", move || {
            let (preserving, kept) = (told.leases().is_preserving(), told.leases().kept());
            async move {
                let hint = || {
                    format!(
                        "control lost sight of most instances at once and keeps {kept} of which it hears nothing; \
                         GET /api/registry/v1/instances says which"
                    )
                };
                (!preserving).then_some(()).ok_or_else(hint)
            }
        });
        let told = self.clone();
        telemetry.health().dependency("config repository", move || {
            let works = told.repository().works();
            async move { works }
        });
    }
}

impl Service {
    /// Loads what was stored and gives every lease its whole life anew.
    pub async fn open(
        options: Options,
        store: Arc<dyn Store>,
        verifier: Verifier,
        telemetry: &Telemetry,
    ) -> Result<(Service, Handle), Error> {
        Self::take_over(None, options, store, verifier, telemetry).await
    }

    /// The same for a process that stood by and leads now: who followed its bus goes on there.
    pub async fn take_over(
        stood_by: Option<Standby>,
        options: Options,
        store: Arc<dyn Store>,
        verifier: Verifier,
        telemetry: &Telemetry,
    ) -> Result<(Service, Handle), Error> {
        let state = writer::settle(store.load().await?, &options, &*store).await?;
        if let (Some(model), Some(told)) = (&state.manifest, &options.on_manifest) {
            told(model);
        }
        let bus = match stood_by {
            Some(standby) => standby.into_bus().await?,
            None => Arc::new(Bus::new(&options, &state)),
        };
        let leases = Arc::new(Leases::default());
        leases.extend_all(&state);
        let recent = Arc::new(Recent::new(&state));
        let shared = Arc::new(Shared::new(state));
        let (wishes, queue) = mpsc::channel(writer::QUEUE_MAX);
        let writer = Writer {
            shared: Arc::clone(&shared),
            store: Arc::clone(&store),
            bus: Arc::clone(&bus),
            leases: Arc::clone(&leases),
            recent: Arc::clone(&recent),
            queue,
            system: options.system.clone(),
            trust: options.trust.clone(),
            coalesce: options.coalesce,
            on_manifest: options.on_manifest.clone(),
        };
        let handle = Handle(Arc::new(Inner {
            opened: Instant::now(),
            agent: Agent::new(options.agent_socket.clone()),
            http: Client::new(),
            repository: Repository::new(options.repository_dir.clone(), options.base_dir.clone()),
            store,
            options,
            shared,
            bus,
            leases,
            recent,
            acks: Acks::default(),
            peers: Peers::default(),
            turns: Turns::default(),
            reports: Reports::default(),
            uses: Uses::default(),
            names: Counts::default(),
            looks: Looks::default(),
            verifier,
            wishes,
        }));
        metrics::register(telemetry.metrics(), &handle);
        handle.tell_health(telemetry);
        let service = Service {
            handle: handle.clone(),
            writer,
        };
        Ok((service, handle))
    }

    /// Control's routes and others' (identity, console) that check their callers themselves.
    pub fn access(&self, extra: Router) -> Access {
        self.handle.access(extra)
    }

    /// Writes, publishes and watches leases until the drain is requested; then every stream ends.
    pub async fn run(self, drain: Drain) {
        let closing = async {
            drain.requested().await;
            self.handle.0.bus.close();
            self.handle.0.agent.close();
        };
        tokio::join!(
            self.writer.run(drain.clone()),
            lease::watch(self.handle.clone(), drain.clone()),
            follow_keys(self.handle.clone(), drain.clone()),
            expiry::watch(self.handle.clone(), drain.clone()),
            canary::watch(self.handle.clone(), drain.clone()),
            uses::keep(self.handle.clone(), drain.clone()),
            repository::follow(self.handle.clone(), drain.clone()),
            closing,
        );
    }
}

/// Publishes every change of the API keys. One that cannot be stored comes with the next.
async fn follow_keys(handle: Handle, drain: Drain) {
    let Some(mut keys) = handle.options().api_keys.clone() else {
        return;
    };
    loop {
        let changed = tokio::select! {
            changed = keys.changed() => changed,
            () = drain.requested() => return,
        };
        if changed.is_err() {
            return;
        }
        let told = Arc::new(keys.borrow_and_update().clone());
        if let Err(error) = handle.wish(Action::ApiKeys(told)).await {
            tracing::error!(
                error = brick_core::chain(&error),
                "API keys could not be published"
            );
        }
    }
}

impl Handle {
    /// Control's routes and others' (identity, console) that check their callers themselves.
    pub fn access(&self, extra: Router) -> Access {
        api::access(self, extra)
    }

    /// When this process began to lead.
    pub(crate) fn opened(&self) -> Instant {
        self.0.opened
    }

    /// Everything as it is now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.0.shared.state()
    }

    /// Revision of the newest change.
    pub fn revision(&self) -> u64 {
        self.state().revision
    }

    /// Streams that are open now.
    pub fn subscribers(&self) -> usize {
        self.0.bus.subscribers()
    }

    /// Whether the last commit succeeded.
    pub(crate) fn store_works(&self) -> bool {
        self.0.shared.store_works()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    pub(crate) fn bus(&self) -> &Arc<Bus> {
        &self.0.bus
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.0.leases
    }

    /// What changed of late among the instances.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// Other processes that tell what this one publishes.
    pub(crate) fn peers(&self) -> &Peers {
        &self.0.peers
    }

    pub(crate) fn acks(&self) -> &Acks {
        &self.0.acks
    }

    /// Keeps changes of one configuration apart.
    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// Configuration that is kept in git.
    pub(crate) fn repository(&self) -> &Repository {
        &self.0.repository
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.0.reports
    }

    /// Who used what since that was stored.
    pub(crate) fn uses(&self) -> &Uses {
        &self.0.uses
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// What names were asked for.
    pub(crate) fn names(&self) -> &Counts {
        &self.0.names
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.0.looks
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.0.agent
    }

    /// For questions to instances.
    pub(crate) fn http(&self) -> &Client {
        &self.0.http
    }

    /// Has the writer change something; gives the state that the change is part of.
    pub(crate) async fn wish(&self, action: Action) -> Result<Arc<State>, Error> {
        self.granted(action, None).await
    }

    /// The same for a change that somebody makes: it is written into the audit trail in the same transaction.
    pub(crate) async fn change(&self, action: Action, entry: Entry) -> Result<Arc<State>, Error> {
        self.granted(action, Some(Box::new(entry))).await
    }

    /// Writes into the audit trail what was changed elsewhere.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), Error> {
        self.change(Action::Nothing, entry).await.map(drop)
    }

    /// Entries of the audit trail, newest first.
    pub(crate) async fn audited(&self, filter: Filter) -> Result<Vec<Numbered>, Error> {
        self.0.store.audited(filter).await
    }

    async fn granted(&self, action: Action, entry: Option<Box<Entry>>) -> Result<Arc<State>, Error> {
        let (answer, outcome) = oneshot::channel();
        let wish = Wish {
            action,
            entry,
            answer,
        };
        self.0.wishes.send(wish).await.map_err(|_| Error::Stopping)?;
        outcome.await.map_err(|_| Error::Stopping)?
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
