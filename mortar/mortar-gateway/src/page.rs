//! Refusals as pages, for whoever looks at them in a browser.

use bytes::Bytes;
use http::header::HeaderValue;
use mortar_proxy::Answer;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The refusal as a page, where the client says it takes HTML and says nothing of JSON.
pub(crate) fn of(
    accept: Option<&HeaderValue>,
    answer: &Answer,
    trace_id: &str,
) -> Option<(HeaderValue, Bytes)> {
    let accept = accept?.to_str().ok()?;
    if !accept.contains("text/html") || accept.contains("json") {
        return None;
    }
    let title = answer.status.canonical_reason().unwrap_or("Error");
    let (status, code) = (answer.status.as_u16(), answer.code);
    let detail = escaped(&answer.detail);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{status} {title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem}}\
         code{{color:#666}}</style></head>\n<body><h1>{title}</h1><p>{detail}</p>\
         <p><code>{status} {code}</code><br><code>{}</code></p></body></html>\n",
        escaped(trace_id)
    );
    Some((HTML, page.into()))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_browser_gets_a_page_in_which_nothing_of_the_request_runs() {
        let answer = Answer::new(StatusCode::NOT_FOUND, "no_route", "no route serves /<script>");
        let page = |accept: &str| of(Some(&accept.parse().unwrap()), &answer, "t1");
        let (kind, page_) = page("text/html,application/xhtml+xml,*/*;q=0.8").unwrap();
        let text = String::from_utf8(page_.to_vec()).unwrap();
        assert_eq!(kind, HTML);
        assert!(
            text.contains("/&lt;script&gt;") && text.contains("404 no_route") && text.contains("t1"),
            "{text}"
        );
        assert!(page("application/json, text/html").is_none());
        assert!(page("*/*").is_none());
        assert!(of(None, &answer, "").is_none());
    }
}
