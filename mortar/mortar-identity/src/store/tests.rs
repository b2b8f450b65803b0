//! The store on either engine, with two processes on it where there can be.

use brick_state::Options;

use super::*;

/// Two stores on one database, of SQLite and of PostgreSQL.
async fn pairs() -> [(Store, Store); 2] {
    let file = tempfile::tempdir().unwrap().keep().join("control.db");
    let mut pairs = Vec::new();
    for url in [format!("sqlite:{}", file.display()), private_postgres::database()] {
        let open = || async {
            let db = Database::open(Options::new(&url, &[])).await.unwrap();
            Store::open(db).await.unwrap()
        };
        pairs.push(tokio::join!(open(), open()));
    }
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    pairs.try_into().unwrap()
}

fn digest(of: &str) -> Digest {
    Digest::of(of)
}

#[tokio::test]
async fn processes_that_start_at_once_agree_on_one_key() {
    for (a, b) in pairs().await {
        let (first, second) = tokio::join!(a.key(1), b.key(1));
        assert_eq!(first.unwrap(), second.unwrap());
        assert_eq!(a.key(2).await.unwrap(), b.key(3).await.unwrap());
    }
}

#[tokio::test]
async fn a_client_is_registered_once_and_known_until_it_is_removed() {
    for (a, b) in pairs().await {
        let add = |store: &Store| {
            let store = store.clone();
            async move {
                store
                    .add_client("depot".into(), digest("secret"), "config".into(), 7)
                    .await
            }
        };
        let both = tokio::join!(add(&a), add(&b));
        let both = [both.0.unwrap(), both.1.unwrap()];
        assert!(
            both.contains(&Added::Done) && both.contains(&Added::Exists),
            "{both:?}"
        );
        let found = b.client("depot").await.unwrap().unwrap();
        assert_eq!((found.scopes.as_str(), found.created_s), ("config", 7));
        assert_eq!(
            found.secret.map(|held| held.bytes().to_vec()),
            Some(digest("secret").bytes().to_vec())
        );
        assert_eq!(a.clients().await.unwrap().len(), 1);
        assert!(a.remove_client("depot").await.unwrap());
        assert!(!b.remove_client("depot").await.unwrap());
        assert!(b.client("depot").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_until_it_expires() {
    for (a, b) in pairs().await {
        a.add_code(digest("one"), 0, 10).await.unwrap();
        a.add_code(digest("late"), 0, 5).await.unwrap();
        let both = tokio::join!(a.take_code(digest("one"), 4), b.take_code(digest("one"), 4));
        assert_ne!(both.0.unwrap(), both.1.unwrap(), "one of them had it");
        assert!(!b.take_code(digest("late"), 5).await.unwrap());
        for number in 0..300_i64 {
            a.add_code(digest(&number.to_string()), 0, 100 + number)
                .await
                .unwrap();
        }
        assert!(
            !a.take_code(digest("0"), 1).await.unwrap(),
            "pushed out by newer ones"
        );
        assert!(a.take_code(digest("299"), 1).await.unwrap());
    }
}

#[tokio::test]
async fn an_api_key_is_kept_with_its_scopes_and_end() {
    for (a, b) in pairs().await {
        for (id, expires_s) in [("b", Some(9)), ("a", None)] {
            let key = ApiKey {
                id: id.into(),
                sha256: "00".into(),
                owner: "ann".into(),
                scopes: vec!["x".into(), "y".into()],
                expires_s,
            };
            assert_eq!(a.add_api_key(key.clone()).await.unwrap(), Added::Done);
            assert_eq!(b.add_api_key(key).await.unwrap(), Added::Exists);
        }
        let keys = b.api_keys().await.unwrap();
        let seen: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.expires_s)).collect();
        assert_eq!(seen, [("a", None), ("b", Some(9))]);
        assert_eq!(keys[0].scopes, ["x", "y"]);
        assert!(a.remove_api_key("a").await.unwrap());
        assert_eq!(b.api_keys().await.unwrap().len(), 1);
    }
}
