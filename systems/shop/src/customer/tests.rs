use brick_test::{TestAnswer, TestBrick};
use brickwork::serde_json::{Value, json};

use super::*;

async fn start() -> TestBrick {
    TestBrick::builder("customer")
        .env("SEED_CUSTOMERS", "0")
        .start(app)
        .await
}

async fn sign_up(brick: &TestBrick, email: &str) -> TestAnswer {
    let form =
        json!({ "email": email, "name": " Ada ", "password": "correct horse", "address": "1 Kiln Lane" });
    brick.post("/api/customers").json(&form).send().await
}

async fn sign_in(brick: &TestBrick, email: &str, password: &str) -> TestAnswer {
    let form = json!({ "email": email, "password": password });
    brick.post("/api/customers/sessions").json(&form).send().await
}

#[tokio::test]
async fn signing_up_gives_a_token_with_which_one_reads_and_changes_ones_own_data() {
    let brick = start().await;
    let new: SignedIn = sign_up(&brick, "Ada@Example.org").await.expect(201).json();
    assert_eq!(
        (new.customer.email.as_str(), new.customer.name.as_str()),
        ("ada@example.org", "Ada")
    );
    let path = format!("/api/customers/{}", new.customer.id);
    let read: Customer = brick
        .get(&path)
        .bearer(&new.token)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(read, new.customer);
    let change = json!({ "name": "Ada L.", "address": "2 Kiln Lane" });
    let changed: Customer = brick
        .put(&path)
        .bearer(&new.token)
        .json(&change)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        (changed.name.as_str(), changed.address.as_str()),
        ("Ada L.", "2 Kiln Lane")
    );
}

#[tokio::test]
async fn nobody_else_reads_ones_data_not_even_a_brick() {
    let brick = start().await;
    let ada: SignedIn = sign_up(&brick, "ada@example.org").await.expect(201).json();
    let path = format!("/api/customers/{}", ada.customer.id);
    let change = json!({ "name": "Eve", "address": "" });
    assert_eq!(
        brick
            .get(&path)
            .as_user("eve")
            .send()
            .await
            .expect(403)
            .problem()
            .code,
        "not_yours"
    );
    assert_eq!(
        brick
            .put(&path)
            .as_user("eve")
            .json(&change)
            .send()
            .await
            .expect(403)
            .problem()
            .code,
        "not_yours"
    );
    brick
        .get(&path)
        .as_user("eve")
        .as_brick("gateway")
        .send()
        .await
        .expect(403);
    brick.get(&path).as_brick("gateway").send().await.expect(401);
    brick.get(&path).send().await.expect(401);
}

#[tokio::test]
async fn an_address_is_taken_once_in_any_case() {
    let brick = start().await;
    sign_up(&brick, "ada@example.org").await.expect(201);
    assert_eq!(
        sign_up(&brick, "ADA@example.org")
            .await
            .expect(409)
            .problem()
            .code,
        "email_taken"
    );
}

#[tokio::test]
async fn fields_that_are_not_acceptable_are_told() {
    let brick = start().await;
    for (field, value, code) in [
        ("email", "ada", "invalid_email"),
        ("email", "ada@example", "invalid_email"),
        ("email", "a da@example.org", "invalid_email"),
        ("name", "  ", "invalid_length"),
        ("password", "short", "invalid_length"),
    ] {
        let mut form = json!({ "email": "ada@example.org", "name": "Ada", "password": "correct horse" });
        form[field] = value.into();
        let problem = brick
            .post("/api/customers")
            .json(&form)
            .send()
            .await
            .expect(422)
            .problem();
        assert_eq!(problem.code, code, "{field} {value}");
    }
}

#[tokio::test]
async fn signing_in_takes_the_right_password() {
    let brick = start().await;
    let new: SignedIn = sign_up(&brick, "ada@example.org").await.expect(201).json();
    let back: SignedIn = sign_in(&brick, " ADA@example.org ", "correct horse")
        .await
        .expect(200)
        .json();
    assert_eq!(back.customer, new.customer);
    for (email, password) in [
        ("ada@example.org", "wrong"),
        ("nobody@example.org", "correct horse"),
    ] {
        let problem = sign_in(&brick, email, password).await.expect(401).problem();
        assert_eq!(problem.code, "wrong_credentials");
    }
}

#[tokio::test]
async fn five_failures_make_an_address_wait_in_every_instance() {
    let first = start().await;
    sign_up(&first, "ada@example.org").await.expect(201);
    for _ in 0..5 {
        sign_in(&first, "ada@example.org", "wrong").await.expect(401);
    }
    let database = format!("sqlite:{}/customer.db", first.folder().display());
    let second = TestBrick::builder("customer")
        .env("DATABASE_URL", &database)
        .start(app)
        .await;
    let problem = sign_in(&second, "ada@example.org", "correct horse")
        .await
        .expect(429)
        .problem();
    assert_eq!(problem.code, "throttled");
    sign_in(&second, "other@example.org", "wrong").await.expect(401);
}

#[tokio::test]
async fn a_success_forgets_the_failures() {
    let brick = start().await;
    sign_up(&brick, "ada@example.org").await.expect(201);
    for password in ["wrong", "wrong", "wrong", "wrong", "correct horse", "wrong"] {
        let status = if password == "wrong" { 401 } else { 200 };
        sign_in(&brick, "ada@example.org", password).await.expect(status);
    }
}

#[tokio::test]
async fn the_first_start_seeds_and_the_second_does_not() {
    let first = TestBrick::builder("customer")
        .env("SEED_CUSTOMERS", "3")
        .start(app)
        .await;
    sign_in(&first, "customer3@example.org", "correct horse")
        .await
        .expect(200);
    sign_in(&first, "customer4@example.org", "correct horse")
        .await
        .expect(401);
    let database = format!("sqlite:{}/customer.db", first.folder().display());
    let second = TestBrick::builder("customer")
        .env("DATABASE_URL", &database)
        .start(app)
        .await;
    sign_in(&second, "customer4@example.org", "correct horse")
        .await
        .expect(401);
    assert!(second.logs().iter().all(|line: &Value| line["msg"] != "seeded"));
}
