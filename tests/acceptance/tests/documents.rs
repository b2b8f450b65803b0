//! Every command that README and docs tell a reader to type is typed here, and does what the page says.

use acceptance_tests::pages::{self, Page};
use acceptance_tests::session::Session;
use acceptance_tests::workspace;

/// Types all of a page; one line for each command that went otherwise.
async fn replay(page: &Page) -> Vec<String> {
    let mut session = Session::begin();
    let mut failures = Vec::new();
    let place = |line: usize| format!("{}:{line}", page.path.display());
    for typed in &page.commands {
        if let Err(why) = session.run(typed).await {
            failures.push(format!("{}: `{}`: {why}", place(typed.line), typed.text));
        }
    }
    if let Err(why) = session.end().await {
        failures.push(format!("{}: {why}", place(0)));
    }
    failures
}

#[tokio::test]
async fn every_command_of_the_documents_does_what_the_page_says() {
    let only = std::env::var("PAGE").unwrap_or_default();
    let mut typed = 0;
    let mut failures = Vec::new();
    for page in pages::all(&workspace()) {
        if page.commands.is_empty() || !page.path.to_string_lossy().contains(&only) {
            continue;
        }
        typed += page.commands.len();
        failures.extend(replay(&page).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(
        typed >= 10 || !only.is_empty(),
        "only {typed} commands were found in the documents"
    );
}
