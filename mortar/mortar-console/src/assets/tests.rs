use super::*;

fn text(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |v| v.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_screen_is_the_one_document() {
    let headers = HeaderMap::new();
    let document = text(&index(headers.clone()).await, "etag");
    for screen in ["traces", "traces/4bf92f3577b34da6a3ce929d0e0e4736"] {
        let response = file(Path(screen.to_owned()), headers.clone()).await;
        assert_eq!(
            (response.status(), text(&response, "etag")),
            (StatusCode::OK, document.clone()),
            "{screen}"
        );
        assert_eq!(text(&response, "content-type"), "text/html; charset=utf-8");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_problem_and_not_the_document() {
    for path in ["app/nope.js", "../Cargo.toml", "app/../../Cargo.toml"] {
        let response = file(Path(path.to_owned()), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_held_file_is_not_sent_again() {
    let path = || Path("app/main.js".to_owned());
    let first = file(path(), HeaderMap::new()).await;
    assert_eq!(text(&first, "content-type"), "text/javascript; charset=utf-8");
    let mut headers = HeaderMap::new();
    headers.insert(
        IF_NONE_MATCH,
        format!("\"x\", W/{}", text(&first, "etag")).parse().unwrap(),
    );
    let again = file(path(), headers).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(&again, "etag"), text(&first, "etag"));
}

#[tokio::test]
async fn every_answer_keeps_foreign_code_out() {
    for path in ["traces", "app/main.js", "nope.js"] {
        let response = file(Path(path.to_owned()), HeaderMap::new()).await;
        let policy = text(&response, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(text(&response, "x-content-type-options"), "nosniff");
        assert_eq!(text(&response, "referrer-policy"), "no-referrer");
    }
}

#[test]
fn no_page_asks_for_anything_from_elsewhere_or_inline() {
    let mut pages = 0;
    for path in Assets::iter().filter(|path| path.ends_with(".html") || path.starts_with("style/")) {
        let file = Assets::get(&path).unwrap();
        let page = std::str::from_utf8(&file.data).unwrap();
        for foreign in ["https://", "http://", "url(//", "style=\"", "onclick="] {
            assert!(!page.contains(foreign), "{path} holds {foreign}");
        }
        pages += 1;
    }
    assert!(pages >= 2);
}
