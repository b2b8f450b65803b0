//! Customer: who buys. Owns accounts and passwords; signs people up and in, reads and updates their data.
//!
//! Passwords are kept as argon2id hashes, computed by a bounded number of workers. Failed sign-ins are counted in the
//! brick's own database, so that throttling outlives any instance.

mod password;
mod store;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use brickwork::openapi::{Document, Operation};
use brickwork::{Access, Brick, Caller, Error, Json, Path, Problem, axum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use self::password::Passwords;
use self::store::{Attempt, Store};

/// A customer as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Customer {
    /// Id, UUIDv7.
    id: String,
    /// E-mail address, lower case.
    email: String,
    /// Name.
    name: String,
    /// Where parcels go; empty until told.
    address: String,
}

/// A sign-up.
#[derive(Debug, Deserialize, JsonSchema)]
struct SignUp {
    /// E-mail address.
    email: String,
    /// Name.
    name: String,
    /// Password, 8 to 128 characters.
    password: String,
    /// Where parcels go.
    #[serde(default)]
    address: String,
}

/// A sign-in.
#[derive(Debug, Deserialize, JsonSchema)]
struct SignIn {
    /// E-mail address.
    email: String,
    /// Password.
    password: String,
}

/// A change of one's own data.
#[derive(Debug, Deserialize, JsonSchema)]
struct Update {
    /// Name.
    name: String,
    /// Where parcels go.
    address: String,
}

/// A customer with a fresh user token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct SignedIn {
    /// The customer.
    customer: Customer,
    /// User token, a JWT.
    token: String,
    /// How long the token lives, in seconds.
    expires_in_s: u64,
}

/// How sign-ins are throttled, and what the first start puts in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Failed sign-ins of one address until it has to wait.
    sign_in_failures_max: u32,
    /// How long it has to wait, and after how long failures are forgotten, in seconds.
    sign_in_wait_s: u32,
    /// How many made-up customers the first start puts in.
    seed_customers: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sign_in_failures_max: 5,
            sign_in_wait_s: 60,
            seed_customers: 50,
        }
    }
}

#[derive(Clone)]
struct App {
    brick: Brick,
    store: Store,
    passwords: Passwords,
}

/// Opens the accounts and declares the routes. What is about one customer takes that customer's own token and nothing
/// else: the edge calls with an identity of its own, so that a route open to bricks would be open to everybody.
pub(crate) async fn app(brick: Brick) -> Result<Access, Error> {
    let settings = brick.config::<Settings>()?;
    let passwords = Passwords::new(2);
    let seed_customers = settings.get().seed_customers;
    let store = Store::open(&brick, settings).await?;
    store
        .seed(seed_customers, &passwords)
        .instrument(tracing::info_span!("seed"))
        .await?;
    let app = App {
        brick,
        store,
        passwords,
    };
    let public = Router::new()
        .route("/api/customers", post(sign_up))
        .route("/api/customers/sessions", post(sign_in))
        .with_state(app.clone());
    let users = Router::new()
        .route("/api/customers/{id}", get(read).put(update))
        .with_state(app);
    Ok(Access::new().public(public).users(users).openapi(document()))
}

async fn sign_up(
    State(app): State<App>,
    Json(form): Json<SignUp>,
) -> Result<(StatusCode, Json<SignedIn>), Problem> {
    let email = check_email(&form.email)?;
    check_length("name", &form.name, 1, 100)?;
    check_length("password", &form.password, 8, 128)?;
    check_length("address", &form.address, 0, 300)?;
    let hash = app.passwords.hash(form.password).await?;
    let customer = app
        .store
        .insert(email, form.name.trim().to_owned(), form.address, hash)
        .await?;
    tracing::info!(customer = %customer.id, "signed up");
    Ok((StatusCode::CREATED, Json(app.with_token(customer).await?)))
}

async fn sign_in(State(app): State<App>, Json(form): Json<SignIn>) -> Result<Json<SignedIn>, Problem> {
    let email = check_email(&form.email)?;
    // Counted as failed until it succeeds, so that many attempts at once get no further than many in turn.
    if let Attempt::Wait { seconds } = app.store.attempt(email.clone()).await? {
        tracing::warn!("sign-in throttled");
        let detail = format!("too many failed sign-ins; try again in {seconds} s");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", detail));
    }
    let found = app.store.by_email(email.clone()).await?;
    // An unknown address costs as much time as a wrong password, so that addresses cannot be probed.
    let hash = found.as_ref().map(|(_, hash)| hash.clone());
    let good = app.passwords.verify(form.password, hash).await?;
    match found {
        Some((customer, _)) if good => {
            app.store.succeeded(email).await?;
            tracing::info!(customer = %customer.id, "signed in");
            Ok(Json(app.with_token(customer).await?))
        }
        _ => {
            tracing::warn!("sign-in failed");
            Err(Problem::unauthorized(
                "wrong_credentials",
                "the e-mail address or the password is wrong",
            ))
        }
    }
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Customer>, Problem> {
    only_oneself(&caller, &id)?;
    app.store.by_id(id).await?.map(Json).ok_or_else(unknown)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(form): Json<Update>,
) -> Result<Json<Customer>, Problem> {
    only_oneself(&caller, &id)?;
    check_length("name", &form.name, 1, 100)?;
    check_length("address", &form.address, 0, 300)?;
    app.store
        .update(id, form.name.trim().to_owned(), form.address)
        .await?
        .map(Json)
        .ok_or_else(unknown)
}

impl App {
    async fn with_token(&self, customer: Customer) -> Result<SignedIn, Problem> {
        let issued = self.brick.issue_user_token(&customer.id, &["customer"]).await?;
        Ok(SignedIn {
            customer,
            token: issued.token,
            expires_in_s: issued.expires_in_s,
        })
    }
}

fn only_oneself(caller: &Caller, id: &str) -> Result<(), Problem> {
    match caller.user() {
        Some(user) if user.sub == id => Ok(()),
        _ => Err(Problem::forbidden(
            "not_yours",
            "a customer may only see and change their own data",
        )),
    }
}

fn unknown() -> Problem {
    Problem::not_found("unknown_customer", "there is no such customer")
}

/// The address in lower case, if it looks like one; whether it works only a letter to it could tell.
fn check_email(text: &str) -> Result<String, Problem> {
    let email = text.trim().to_lowercase();
    let valid = email.len() <= 254
        && !email.contains(|c: char| c.is_whitespace() || c.is_control())
        && matches!(email.split_once('@'), Some((name, host)) if !name.is_empty() && host.contains('.') && !host.contains('@'));
    if valid {
        Ok(email)
    } else {
        Err(Problem::unprocessable(
            "invalid_email",
            "expected an e-mail address such as ada@example.org",
        ))
    }
}

fn check_length(what: &str, text: &str, min: usize, max: usize) -> Result<(), Problem> {
    let length = text.trim().chars().count();
    if (min..=max).contains(&length) {
        return Ok(());
    }
    let detail = format!("{what} must have {min} to {max} characters, it has {length}");
    Err(Problem::unprocessable("invalid_length", detail))
}

fn document() -> Document {
    Document::new("Customer", "v1")
        .operation(
            Operation::post("/api/customers")
                .summary("Sign up")
                .access("public")
                .body::<SignUp>()
                .answer::<SignedIn>(201, "signed up and in")
                .problem(409, "the e-mail address is taken")
                .problem(422, "a field is not acceptable"),
        )
        .operation(
            Operation::post("/api/customers/sessions")
                .summary("Sign in")
                .access("public")
                .body::<SignIn>()
                .answer::<SignedIn>(200, "signed in")
                .problem(401, "wrong e-mail address or password")
                .problem(429, "too many failed sign-ins"),
        )
        .operation(
            Operation::get("/api/customers/{id}")
                .summary("Read one's own data")
                .access("users")
                .answer::<Customer>(200, "the customer")
                .problem(403, "somebody else's data")
                .problem(404, "no such customer"),
        )
        .operation(
            Operation::put("/api/customers/{id}")
                .summary("Change one's own data")
                .access("users")
                .body::<Update>()
                .answer::<Customer>(200, "the customer as it is now")
                .problem(403, "somebody else's data"),
        )
}

#[cfg(test)]
mod tests;
