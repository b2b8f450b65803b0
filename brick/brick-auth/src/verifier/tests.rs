//! What the verifier believes and what it refuses, against real keys.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use brick_bus::{Change, watch};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

struct Issuer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) })
    }

    fn bundle(&self, revision: u64) -> Resource {
        bundle(
            revision,
            json!({ "keys": [{ "kty": "RSA", "kid": "r" }, self.jwk()] }),
        )
    }

    fn sign(&self, header: Value, claims: Value) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn token(&self, change: Value) -> String {
        let mut claims = json!({ "iss": "urn:brickwork:shop", "aud": "shop", "sub": "u1", "scope": "customer", "exp": NOW + 60 });
        for (key, value) in change.as_object().unwrap() {
            claims[key] = value.clone();
        }
        self.sign(json!({ "alg": "ES256", "kid": self.kid }), claims)
    }
}

fn bundle(revision: u64, jwks: Value) -> Resource {
    Resource {
        name: TRUST_BUNDLE.to_owned(),
        revision,
        value: json!({ "issuer": "urn:brickwork:shop", "system": "shop", "jwks": jwks }),
    }
}

fn verifier(issuer: &Issuer) -> Verifier {
    Verifier::new(Watch::fixed(vec![issuer.bundle(1)]))
}

#[test]
fn a_good_token_is_believed_and_a_wrong_one_refused_by_its_stable_code() {
    let issuer = Issuer::new("k1");
    let verifier = verifier(&issuer);
    let check = |token: &str, expect: Result<&str, &str>| {
        for _ in 0..2 {
            let found = verifier.user_at(token, NOW);
            let found = found.as_ref().map(|c| c.sub.as_str()).map_err(|e| e.code());
            assert_eq!(found, expect, "{token}");
        }
    };
    let good = issuer.token(json!({}));
    check(&good, Ok("u1"));
    check(&issuer.token(json!({ "aud": ["x", "shop"] })), Ok("u1"));
    check(&issuer.token(json!({ "exp": NOW - 29 })), Ok("u1"));
    check(&issuer.token(json!({ "exp": NOW - 30 })), Err("token_expired"));
    check(
        &issuer.token(json!({ "nbf": NOW + 31 })),
        Err("token_not_yet_valid"),
    );
    check(&issuer.token(json!({ "nbf": NOW + 30 })), Ok("u1"));
    check(&issuer.token(json!({ "aud": "other" })), Err("token_audience"));
    check(
        &issuer.token(json!({ "aud": "shop:platform" })),
        Err("token_audience"),
    );
    check(
        &issuer.token(json!({ "iss": "urn:brickwork:other" })),
        Err("token_issuer"),
    );
    check(&issuer.token(json!({ "exp": null })), Err("token_malformed"));
    check("", Err("token_missing"));
    check("a.b", Err("token_malformed"));
    check(&"a.".repeat(5_000), Err("token_malformed"));
    check(&good[..good.len() - 2], Err("token_signature"));
    check(&Issuer::new("k1").token(json!({})), Err("token_signature"));
    check(&Issuer::new("k2").token(json!({})), Err("token_key_unknown"));
    let claims = json!({ "iss": "urn:brickwork:shop", "aud": "shop", "sub": "u1", "exp": NOW + 60 });
    for alg in ["none", "None", "HS256", "ES384", "RS256"] {
        let token = issuer.sign(json!({ "alg": alg, "kid": "k1" }), claims.clone());
        check(&token, Err("token_algorithm"));
        let bare = format!("{}.", token.rsplit_once('.').unwrap().0);
        check(&bare, Err("token_algorithm"));
    }
    check(
        &issuer.sign(json!({ "alg": "ES256" }), claims.clone()),
        Err("token_malformed"),
    );
    let critical = json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false });
    check(&issuer.sign(critical, claims), Err("token_malformed"));
}

#[test]
fn a_platform_token_is_no_user_token_and_the_other_way_round() {
    let issuer = Issuer::new("k1");
    let verifier = verifier(&issuer);
    let far = unix_seconds() + 600;
    let user = issuer.token(json!({ "exp": far }));
    let platform =
        issuer.token(json!({ "exp": far, "aud": "shop:platform", "sub": "brick:order", "brick": "order" }));
    assert!(verifier.user(&user).is_ok());
    assert_eq!(verifier.platform(&user).unwrap_err().code(), "token_audience");
    assert_eq!(
        verifier.platform(&platform).unwrap().brick.as_deref(),
        Some("order")
    );
    assert_eq!(verifier.user(&platform).unwrap_err().code(), "token_audience");
}

#[test]
fn a_cached_token_still_expires() {
    let issuer = Issuer::new("k1");
    let verifier = verifier(&issuer);
    let token = issuer.token(json!({}));
    assert!(verifier.user_at(&token, NOW).is_ok());
    assert_eq!(
        verifier.user_at(&token, NOW + 95),
        Err(Error::Expired { ago_s: 35 })
    );
}

#[tokio::test]
async fn keys_follow_the_bundle_and_a_bad_bundle_changes_nothing() {
    let (old, new) = (Issuer::new("k1"), Issuer::new("k2"));
    let (mut publisher, watch) = watch::channel();
    let verifier = Verifier::new(watch);
    let token = old.token(json!({}));
    assert_eq!(verifier.user_at(&token, NOW), Err(Error::NoKeys));
    publisher.apply(Change::Put(old.bundle(1)), None);
    assert!(verifier.user_at(&token, NOW).is_ok());

    publisher.apply(Change::Put(bundle(2, json!({ "keys": [] }))), None);
    assert!(verifier.user_at(&token, NOW).is_ok());
    let acks = publisher.acknowledgements().await;
    assert_eq!(acks[0].revision, 2);
    assert!(acks[0].refused.as_deref().unwrap().contains("P-256"));

    publisher.apply(Change::Put(new.bundle(3)), None);
    assert_eq!(
        verifier.user_at(&token, NOW).unwrap_err().code(),
        "token_key_unknown"
    );
    assert!(verifier.user_at(&new.token(json!({})), NOW).is_ok());

    let (trigger, drain) = brick_core::drain::channel();
    let following = tokio::spawn({
        let verifier = verifier.clone();
        async move { verifier.follow(drain).await }
    });
    publisher.apply(Change::Put(old.bundle(4)), None);
    let acks = loop {
        let acks = publisher.acknowledgements().await;
        if acks[0].revision == 4 {
            break acks;
        }
    };
    assert_eq!(acks[0].refused, None);
    trigger.drain();
    following.await.unwrap();
}

proptest! {
    #[test]
    fn arbitrary_text_never_verifies_and_never_panics(token in "\\PC{0,300}") {
        let issuer = Issuer::new("k1");
        prop_assert!(verifier(&issuer).user_at(&token, NOW).is_err());
    }

    #[test]
    fn a_changed_token_never_verifies(at in 0usize..200, with in "[A-Za-z0-9_.-]") {
        let issuer = Issuer::new("k1");
        let good = issuer.token(json!({}));
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != good);
        prop_assert!(verifier(&issuer).user_at(&changed, NOW).is_err());
    }

    #[test]
    fn arbitrary_bundles_never_panic(value in "\\PC{0,120}", x in "[A-Za-z0-9_-]{0,50}") {
        let jwks = serde_json::from_str(&value).unwrap_or(json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": value, "x": x, "y": x }] }));
        let issuer = Issuer::new("k1");
        let verifier = Verifier::new(Watch::fixed(vec![bundle(1, jwks)]));
        let found = verifier.user_at(&issuer.token(json!({})), NOW);
        prop_assert!(found.is_err());
    }
}
