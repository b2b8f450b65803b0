use brick_test::{Builder, TestAnswer, TestBrick};
use brickwork::serde_json::{Value, json};
use brickwork::telemetry::span::Value as Attribute;

use super::*;
use crate::tests::Calls;

const HOSTILE: &str = "<script>alert('x')</script>";

fn customer(_: &str, path: &str) -> (u16, Value) {
    let customer = json!({ "id": "ann", "name": "Ann <b>", "email": "ann@example.org" });
    let expires_in_s = if path == "/api/customers" { 1 } else { 900 };
    (
        200,
        json!({ "customer": customer, "token": "token-of-ann", "expires_in_s": expires_in_s }),
    )
}

fn refuses(_: &str, _: &str) -> (u16, Value) {
    let detail = "the e-mail address or the password is wrong";
    (
        401,
        json!({ "title": "Unauthorized", "status": 401, "code": "wrong_credentials", "detail": detail }),
    )
}

fn product(_: &str, path: &str) -> (u16, Value) {
    let item = |id: &str, name: &str| {
        json!({ "id": id, "name": name, "description": HOSTILE, "category": "kitchen",
        "price_cents": 1_400, "quantity": 3 })
    };
    match path {
        "/api/products/p1" => (200, item("p1", "Mug")),
        "/api/products/p2" => (200, item("p2", "Bowl")),
        path if path.starts_with("/api/products?") => (
            200,
            json!({ "items": [item("p1", HOSTILE)], "next": "p1~Mug & co" }),
        ),
        _ => (
            404,
            json!({ "title": "Not Found", "status": 404, "code": "unknown_product", "detail": "no such product" }),
        ),
    }
}

fn order(method: &str, path: &str) -> (u16, Value) {
    let order = json!({ "id": "o1", "status": "placed", "total_cents": 1_400, "placed_at": "2026-11-20T23:00:00.000Z",
        "lines": [{ "name": HOSTILE, "price_cents": 1_400, "quantity": 1 }] });
    match (method, path) {
        ("POST", _) => (201, order),
        (_, "/api/orders") => (200, json!({ "items": [order] })),
        _ => (200, order),
    }
}

fn recommendation(_: &str, _: &str) -> (u16, Value) {
    (200, json!({ "items": ["p2", "gone"] }))
}

fn around(calls: &Calls, customer: fn(&str, &str) -> (u16, Value)) -> Builder {
    TestBrick::builder("storefront")
        .needs("customer", calls.mock("customer", customer))
        .needs("product", calls.mock("product", product))
        .needs("order", calls.mock("order", order))
        .needs("recommendation", calls.mock("recommendation", recommendation))
}

async fn sign_in(brick: &TestBrick) -> TestAnswer {
    let form = [("email", "ann@example.org"), ("password", "correct horse")];
    brick
        .post("/signin")
        .header("sec-fetch-site", "same-origin")
        .form(&form)
        .send()
        .await
}

fn cookie(answer: &TestAnswer) -> String {
    answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned()
}

async fn check_out(brick: &TestBrick, cookie: &str) -> TestAnswer {
    let cart = json!({ "key": "key-of-the-browser", "lines": [{ "product_id": "p1", "quantity": 1 }] });
    brick
        .post("/checkout")
        .header("cookie", cookie)
        .json(&cart)
        .send()
        .await
}

#[tokio::test]
async fn signing_in_sets_a_cookie_that_no_script_reads() {
    let brick = around(&Calls::default(), customer).start(app).await;
    let answer = sign_in(&brick).await.expect(303);
    let set = answer.header("set-cookie");
    assert!(
        set.starts_with("shop_session=") && set.contains("HttpOnly") && set.contains("SameSite=Lax"),
        "{set}"
    );
    assert!(!set.contains("token-of-ann"), "{set}");
    let page = brick
        .get("/")
        .header("cookie", &cookie(&answer))
        .send()
        .await
        .expect(200)
        .text();
    assert!(
        page.contains("Ann &lt;b&gt;") && page.contains("Sign out"),
        "{page}"
    );
    let page = brick.get("/").send().await.expect(200).text();
    assert!(page.contains("Sign in") && !page.contains("Sign out"), "{page}");
}

#[tokio::test]
async fn a_wrong_password_is_told_at_the_form() {
    let brick = around(&Calls::default(), refuses).start(app).await;
    let answer = sign_in(&brick).await.expect(401);
    assert!(answer.text().contains("the password is wrong") && answer.header("set-cookie").is_empty());
}

#[tokio::test]
async fn a_session_outlives_the_instance_that_began_it() {
    let first = around(&Calls::default(), customer).start(app).await;
    let cookie = cookie(&sign_in(&first).await.expect(303));
    let database = format!("sqlite:{}/storefront.db", first.folder().display());
    let calls = Calls::default();
    let second = around(&calls, customer)
        .env("DATABASE_URL", &database)
        .start(app)
        .await;
    let answer = check_out(&second, &cookie).await.expect(201);
    assert_eq!(answer.json::<Value>(), json!({ "order_id": "o1" }));
    assert_eq!(calls.all(), ["order POST /api/orders key=key-of-the-browser"]);
    let out = second
        .post("/signout")
        .header("cookie", &cookie)
        .send()
        .await
        .expect(303);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(
        check_out(&second, &cookie).await.expect(401).problem().code,
        "not_signed_in"
    );
}

#[tokio::test]
async fn a_token_at_its_end_is_renewed_and_the_visitor_stays() {
    let calls = Calls::default();
    let brick = around(&calls, customer).start(app).await;
    let form = [
        ("email", "a@b.c"),
        ("name", "Ann"),
        ("address", "1 Kiln Lane"),
        ("password", "correct horse"),
    ];
    let cookie = cookie(&brick.post("/signup").form(&form).send().await.expect(303));
    brick
        .get("/orders")
        .header("cookie", &cookie)
        .send()
        .await
        .expect(200);
    let to_control = ("server.address".into(), Attribute::from("control"));
    let spans = brick.spans();
    assert_eq!(
        spans
            .iter()
            .filter(|span| span.attributes.contains(&to_control))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_post_from_another_site_is_refused() {
    let brick = around(&Calls::default(), customer).start(app).await;
    let form = [("email", "ann@example.org"), ("password", "correct horse")];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in ["/signin", "/signup", "/signout"] {
            let form: &[(&str, &str)] = if path == "/signup" {
                &[("email", "e"), ("name", "n"), ("address", "a"), ("password", "p")]
            } else {
                &form
            };
            let answer = brick
                .post(path)
                .header(name, value)
                .form(form)
                .send()
                .await
                .expect(403);
            assert!(answer.header("set-cookie").is_empty());
        }
    }
    let own = format!("http://{}", brick.addr());
    brick
        .post("/signin")
        .header("origin", &own)
        .form(&form)
        .send()
        .await
        .expect(303);
}

#[tokio::test]
async fn names_with_markup_appear_as_text() {
    let brick = around(&Calls::default(), customer).start(app).await;
    let cookie = cookie(&sign_in(&brick).await);
    for path in [
        "/",
        "/?q=%3Cscript%3Ealert('x')%3C%2Fscript%3E",
        "/products/p1",
        "/orders/o1",
    ] {
        let answer = brick.get(path).header("cookie", &cookie).send().await.expect(200);
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        let page = answer.text();
        assert!(
            page.contains("&lt;script&gt;") && !page.contains("<script>"),
            "{path}: {page}"
        );
    }
    let page = brick.get("/").send().await.text();
    assert!(page.contains("cursor=p1~Mug%20%26%20co"), "{page}");
}

#[tokio::test]
async fn a_page_shows_recommendations_and_goes_without_where_that_brick_is_down() {
    let mut brick = around(&Calls::default(), customer).start(app).await;
    let page = brick.get("/products/p1").send().await.expect(200).text();
    assert!(
        page.contains("Goes well with it") && page.contains("Bowl"),
        "{page}"
    );
    brick.take_down("recommendation");
    let page = brick.get("/products/p1").send().await.expect(200).text();
    assert!(
        page.contains("Mug") && !page.contains("Goes well with it"),
        "{page}"
    );
}

#[tokio::test]
async fn what_cannot_be_shown_is_told_as_a_page_that_names_the_trace() {
    let mut brick = around(&Calls::default(), customer).start(app).await;
    for path in ["/products/nothing", "/nowhere"] {
        let answer = brick.get(path).send().await.expect(404);
        assert!(answer.text().contains("<h1>Not Found</h1>"), "{}", answer.text());
    }
    brick.take_down("product");
    let answer = brick.get("/").send().await.expect(503);
    assert!(
        answer
            .text()
            .contains(&format!("Trace {}", answer.header("x-trace-id"))),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_checkout_without_session_is_refused_and_pages_lead_to_the_sign_in() {
    let brick = around(&Calls::default(), customer).start(app).await;
    check_out(&brick, "shop_session=made-up").await.expect(401);
    for path in ["/orders", "/orders/o1"] {
        assert_eq!(
            brick.get(path).send().await.expect(303).header("location"),
            "/signin"
        );
    }
}

#[tokio::test]
async fn the_flag_shows_a_button_that_buys_at_once() {
    let mut brick = around(&Calls::default(), customer).start(app).await;
    let cookie = cookie(&sign_in(&brick).await);
    let shown = async |brick: &TestBrick| {
        let page = brick
            .get("/products/p1")
            .header("cookie", &cookie)
            .send()
            .await
            .expect(200);
        page.text().contains("Buy now")
    };
    assert!(!shown(&brick).await);
    brick.change_flag("express_checkout", json!(true));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while !shown(&brick).await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the live change is not taken over"
        );
    }
}

#[tokio::test]
async fn every_file_that_a_page_names_is_served() {
    let brick = around(&Calls::default(), customer).start(app).await;
    let page = brick.get("/").send().await.expect(200).text();
    let mut named: Vec<&str> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert_eq!(named.len(), 3, "style, script and icon: {named:?}");
    named.push("/favicon.ico");
    for path in named {
        brick.get(path).send().await.expect(200);
    }
}
