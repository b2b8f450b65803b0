use serde_json::json;

use super::*;

fn part(each: Option<&str>, fields: &[(&str, &str)]) -> Part {
    Part {
        name: "p".to_owned(),
        target: Target::Here { name: "p".into() },
        get: "/".to_owned(),
        each: each.map(|path| path.parse().unwrap()),
        limit: 2,
        fields: fields
            .iter()
            .map(|(name, path)| ((*name).to_owned(), path.parse().unwrap()))
            .collect(),
        timeout: Duration::from_secs(1),
        fallback: None,
    }
}

#[test]
fn a_part_takes_what_it_names_and_under_its_own_names() {
    let answer = json!({ "items": [{ "id": 1, "n": { "t": "a" } }, { "id": 2 }, { "id": 3 }], "total": 3 });
    let check = |part: &Part, expect: Option<Value>| {
        assert_eq!(compose::taken(part, answer.clone()), expect, "{part:?}");
    };
    check(&part(None, &[]), Some(answer.clone()));
    check(
        &part(None, &[("count", "$.total"), ("x", "$.none")]),
        Some(json!({ "count": 3, "x": null })),
    );
    check(
        &part(Some("$.items"), &[("title", "$.n.t"), ("id", "$.id")]),
        Some(json!([{ "title": "a", "id": 1 }, { "title": null, "id": 2 }])),
    );
    check(
        &part(Some("$.items"), &[]),
        Some(json!([{ "id": 1, "n": { "t": "a" } }, { "id": 2 }])),
    );
    check(&part(Some("$.total"), &[]), None);
    check(&part(Some("$.none"), &[]), None);
}

#[test]
fn a_sentence_is_said_whole_or_not_at_all() {
    let say = Say {
        text: "Your order is {status}, {count} things.".to_owned(),
        words: [("status", "$.order.status"), ("count", "$.order.count")]
            .map(|(name, path)| (name.to_owned(), path.parse().unwrap()))
            .into(),
        otherwise: "I cannot tell.".to_owned(),
    };
    let whole = json!({ "order": { "status": "placed", "count": 2 } });
    assert_eq!(compose::sentence(&say, &whole), "Your order is placed, 2 things.");
    assert_eq!(
        compose::sentence(&say, &json!({ "order": { "status": null } })),
        "I cannot tell."
    );
}

fn view(path: &str, query: &[(&str, &str)]) -> View {
    View {
        name: "mobile.order".into(),
        path: path.into(),
        query: query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        parts: Vec::new(),
        say: None,
    }
}

#[test]
fn parameters_come_from_path_query_and_token_and_cannot_break_out() {
    let view = view("/mobile/orders/{id}", &[("q", "lamp")]);
    let ask = |target: &str| {
        let (head, ()) = Request::builder().uri(target).body(()).unwrap().into_parts();
        view.parameters(&head, Some("u1"))
    };
    let check = |target: &str, id: &str, q: &str| {
        let found = ask(target).unwrap();
        assert_eq!(
            (&*found["id"], &*found["q"], &*found["subject"]),
            (id, q, "u1"),
            "{target}"
        );
        assert_eq!(found.len(), 3);
    };
    check("/mobile/orders/7", "7", "lamp");
    check("/mobile/orders/7?q=red+sofa&x=1&subject=u2", "7", "red sofa");
    check("/mobile/orders/a%26b=c+d?q=%3F", "a&b=c+d", "?");
    assert_eq!(component("a&b/c"), "a%26b%2Fc");
    assert!(ask("/mobile/orders/7?q=..").is_err());
}
