//! The API document that is checked in is the one that the code describes.

use std::path::Path;

#[test]
fn the_document_of_control_identity_and_console_is_checked_in() {
    let document = mortar_identity::openapi::describe(mortar_control::openapi::document());
    let document = mortar_console::openapi::describe(document).build();
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/control.openapi.json");
    if std::env::var_os("UPDATE_API").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == text,
        "api/control.openapi.json is not what the code says; run the tests with UPDATE_API=1 and look at the difference"
    );
}
