//! Embeds the pages again when one of them is added, changed or removed.

fn main() {
    println!("cargo::rerun-if-changed=../../console");
}
