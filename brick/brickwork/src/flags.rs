//! *Feature Flags*, a brick's part: typed handles that evaluate in process, as control says now.
//!
//! What control says of the flags that this brick sees arrives as `flags/<brick>` and is evaluated here: no request
//! waits for anybody. Where nothing was said (a brick alone, a flag that nobody defines) the variable `FLAG_NAME`
//! counts, then the default in code. A flag that is disabled, or whose value is of another type, gives that default.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use brick_auth::Verifier;
use brick_bus::{Follower, Watch};
use brick_core::{Drain, env};
use brick_flags::{Bundle, Definition, State, TARGETING_KEY};
use brick_telemetry::Telemetry;
use brick_telemetry::info::FlagInfo;
use brick_telemetry::metrics::CounterFamily;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Contract;

/// Baggage key of the user.
const USER: &str = "user";
/// What the names of baggage of the platform begin with.
const PLATFORM: &str = "brick.";

/// A feature flag of type `T`. Cheap to clone.
pub struct Flag<T> {
    flags: Flags,
    key: Arc<str>,
    default: T,
}

/// For whom a flag is evaluated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlagContext(Map<String, Value>);

/// What somebody gets, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated<T> {
    /// The value.
    pub value: T,
    /// The variant; none where the default in code counts.
    pub variant: Option<String>,
    /// `STATIC`, `TARGETING_MATCH`, `DEFAULT`, `DISABLED` or `ERROR`, as OpenFeature has them.
    pub reason: &'static str,
}

/// The flags of a process.
#[derive(Clone)]
pub(crate) struct Flags(Arc<Inner>);

struct Inner {
    follower: Follower,
    set: RwLock<Arc<BTreeMap<String, brick_flags::Flag>>>,
    /// What the code asks for, with its default.
    declared: Mutex<BTreeMap<Arc<str>, Value>>,
    /// What every context says of this process.
    own: Map<String, Value>,
    vars: BTreeMap<String, String>,
    telemetry: Telemetry,
    verifier: Verifier,
    counted: CounterFamily,
}

impl FlagContext {
    /// Of whoever has this targeting key, of which nothing else is known.
    pub fn of(targeting_key: &str) -> Self {
        Self::default().with(TARGETING_KEY, targeting_key)
    }

    /// With something that targeting may ask for.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl<T: DeserializeOwned + Clone> Flag<T> {
    /// The value for the request that is being answered: targeting key is its user (baggage `user`, else the subject of
    /// the user's token), and the other baggage is there to be asked for.
    pub fn get(&self) -> T {
        self.evaluated(|| self.flags.current()).value
    }

    /// The same for whoever has this targeting key.
    pub fn get_for(&self, targeting_key: &str) -> T {
        self.evaluated(|| self.flags.current().with(TARGETING_KEY, targeting_key))
            .value
    }

    /// What somebody gets. Beside what the context says, targeting may ask for `brick`, `slot`, `version`, `zone` and
    /// `system` of this process.
    pub fn evaluate(&self, context: &FlagContext) -> Evaluated<T> {
        self.evaluated(|| context.clone())
    }

    /// The same, where the context is made only if targeting asks for it.
    fn evaluated(&self, context: impl FnOnce() -> FlagContext) -> Evaluated<T> {
        let found = self.flags.evaluate(&self.key, context);
        let typed = found.value.map(serde_json::from_value::<T>);
        let told = match typed {
            Some(Ok(value)) => Evaluated {
                value,
                variant: found.variant,
                reason: found.reason,
            },
            Some(Err(_)) => self.fallback("ERROR"),
            None => self.fallback(found.reason),
        };
        let variant = told.variant.as_deref().unwrap_or_default();
        self.flags
            .0
            .counted
            .with(&[&*self.key, variant, told.reason])
            .inc();
        told
    }

    fn fallback(&self, reason: &'static str) -> Evaluated<T> {
        Evaluated {
            value: self.default.clone(),
            variant: None,
            reason,
        }
    }
}

impl Flags {
    pub(crate) fn new(
        contract: &Contract,
        vars: &[(String, String)],
        telemetry: &Telemetry,
        watch: &Watch,
        verifier: &Verifier,
    ) -> Self {
        let own = [
            ("brick", contract.brick.to_string()),
            ("slot", contract.slot.clone()),
            ("version", contract.version.to_string()),
            ("zone", contract.zone.clone()),
            ("system", contract.system.clone()),
        ];
        let vars = vars.iter().filter(|(name, _)| name.starts_with("FLAG_"));
        Self(Arc::new(Inner {
            follower: Follower::new(watch.clone(), format!("flags/{}", contract.brick)),
            set: RwLock::default(),
            declared: Mutex::default(),
            own: own
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            vars: vars.cloned().collect(),
            telemetry: telemetry.clone(),
            verifier: verifier.clone(),
            counted: telemetry.metrics().counter_with(
                "brick_flag_evaluations_total",
                "evaluations of feature flags",
                &["flag", "variant", "reason"],
            ),
        }))
    }

    /// A handle; what the code asks for is shown in `/info`.
    pub(crate) fn handle<T: Serialize>(&self, key: &str, default: T) -> Flag<T> {
        let key: Arc<str> = key.into();
        let shown = serde_json::to_value(&default).unwrap_or_default();
        self.0.declared.lock().insert(Arc::clone(&key), shown);
        self.refresh();
        self.show();
        Flag {
            flags: self.clone(),
            key,
            default,
        }
    }

    /// Takes over what control says, until the drain: `/info` shows it, and control is told that it is here.
    pub(crate) async fn follow(self, drain: Drain) {
        let mut watch = self.0.follower.watch().clone();
        loop {
            self.refresh();
            tokio::select! {
                _ = watch.changed() => {}
                () = drain.requested() => return,
            }
        }
    }

    fn refresh(&self) {
        let inner = &self.0;
        inner.follower.refresh(|resource| {
            let bundle = resource.and_then(|resource| serde::Deserialize::deserialize(&resource.value).ok());
            let Bundle { flags } = bundle.unwrap_or_default();
            let mut set = BTreeMap::new();
            for (key, value) in flags {
                let definition: Result<Definition, _> = serde_json::from_value(value);
                let flag = definition.map_err(|error| error.to_string()).and_then(|read| {
                    brick_flags::Flag::compile(&key, &read).map_err(|error| error.to_string())
                });
                match flag {
                    Ok(flag) => drop(set.insert(key, flag)),
                    Err(why) => tracing::warn!(
                        flag = key,
                        why,
                        "a flag is passed over, the default in code counts"
                    ),
                }
            }
            *inner.set.write() = Arc::new(set);
            self.show();
            if let Some(resource) = resource {
                inner
                    .follower
                    .watch()
                    .acknowledge(&resource.name, resource.revision, None);
            }
        });
    }

    /// Tells `/info`.
    fn show(&self) {
        let mut shown: BTreeMap<String, FlagInfo> = BTreeMap::new();
        for (key, default) in &*self.0.declared.lock() {
            let info = FlagInfo {
                state: "UNDEFINED".to_owned(),
                default_variant: None,
                default: self.environment(key).unwrap_or_else(|| default.clone()),
                targeted: false,
            };
            shown.insert(key.to_string(), info);
        }
        for (key, flag) in &**self.0.set.read() {
            let definition = flag.definition();
            let info = FlagInfo {
                state: match definition.state {
                    State::Enabled => "ENABLED",
                    State::Disabled => "DISABLED",
                }
                .to_owned(),
                default_variant: Some(definition.default_variant.clone()),
                default: definition.default_value().cloned().unwrap_or_default(),
                targeted: definition.is_targeted(),
            };
            shown.insert(key.clone(), info);
        }
        self.0.telemetry.show_flags(shown);
    }

    /// What the request that is being answered says of who it is for.
    fn current(&self) -> FlagContext {
        let request = brick_http::context::current();
        let mut context = FlagContext::default();
        for (name, value) in request.baggage().iter() {
            if !name.starts_with(PLATFORM) {
                context = context.with(name, value);
            }
        }
        let named = request.baggage().get(USER).map(str::to_owned);
        let user = named.or_else(|| {
            let claims = self.0.verifier.user(request.user_token()?).ok()?;
            Some(claims.sub.clone())
        });
        match user {
            Some(user) => context.with(TARGETING_KEY, user),
            None => context,
        }
    }

    fn evaluate(&self, key: &str, context: impl FnOnce() -> FlagContext) -> Found {
        self.refresh();
        let set = Arc::clone(&self.0.set.read());
        let Some(flag) = set.get(key) else {
            let value = self.environment(key);
            let reason = if value.is_some() { "STATIC" } else { "DEFAULT" };
            return Found {
                value,
                variant: None,
                reason,
            };
        };
        let mut whole = Map::new();
        if flag.definition().is_targeted() {
            whole = context().0;
            whole.extend(self.0.own.clone());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match flag.evaluate(&whole, i64::try_from(now.as_secs()).unwrap_or(i64::MAX)) {
            Ok(found) => Found {
                value: Some(found.value.clone()),
                variant: Some(found.variant.to_owned()),
                reason: found.reason.as_str(),
            },
            Err(brick_flags::Failure::Disabled) => Found::nothing("DISABLED"),
            Err(_) => Found::nothing("ERROR"),
        }
    }

    /// What the environment says of a flag that control does not define.
    fn environment(&self, key: &str) -> Option<Value> {
        let text = self.0.vars.get(&env::config_name(&format!("flag.{key}")))?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())))
    }
}

/// An evaluation before its value is read as a type.
struct Found {
    value: Option<Value>,
    variant: Option<String>,
    reason: &'static str,
}

impl Found {
    fn nothing(reason: &'static str) -> Self {
        Self {
            value: None,
            variant: None,
            reason,
        }
    }
}

impl<T: Clone> Clone for Flag<T> {
    fn clone(&self) -> Self {
        Self {
            flags: self.flags.clone(),
            key: Arc::clone(&self.key),
            default: self.default.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Flag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag")
            .field("key", &self.key)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("name", &self.0.follower.name())
            .finish_non_exhaustive()
    }
}
