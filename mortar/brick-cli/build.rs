//! Embeds templates, help pages and the SDK's sources again when one of them is added, changed or removed.

fn main() {
    for path in ["templates", "../../brick", "../../Cargo.toml", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
}
