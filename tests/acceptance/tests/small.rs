//! Manifests of systems that are small enough to start at once, on the acceptance brick.

/// The acceptance brick as a command of a manifest.
fn run(arguments: &str) -> String {
    format!("{} {arguments}", env!("CARGO_BIN_EXE_acceptance-brick"))
}

/// A system of one brick `counter` that counts on its output, reached at the edge's `/`.
pub(crate) fn counting(every_ms: u32) -> String {
    format!(
        "brickwork = 1\n[system]\nname = \"small\"\n\n[route.counter]\nmatch = \"/**\"\nto = \"counter\"\nauth = \"public\"\n\n[brick.counter]\nrun = \"{}\"\nhealth = {{ path = \"/\" }}\n",
        run(&format!("count {every_ms}"))
    )
}

/// A brick's table, counting as well.
pub(crate) fn another(name: &str) -> String {
    format!(
        "\n[brick.{name}]\nrun = \"{}\"\nhealth = {{ path = \"/\" }}\n",
        run("count 1000")
    )
}

/// A system of one brick `kiln` that runs and is never ready.
pub(crate) fn never_ready() -> String {
    format!(
        "brickwork = 1\n[system]\nname = \"small\"\n[brick.kiln]\nrun = \"{}\"\nhealth = {{ path = \"/\", grace = \"400ms\" }}\n",
        run("unready")
    )
}

/// A system of one brick `kiln` that serves at the edge, with these lines more.
pub(crate) fn serving(more: &str) -> String {
    format!(
        "brickwork = 1\n[system]\nname = \"small\"\n\n[brick.kiln]\nrun = \"{}\"\nhealth = {{ path = \"/\" }}\n\n[route.all]\nmatch = \"/**\"\nto = \"kiln\"\nauth = \"public\"\n{more}",
        run("serve")
    )
}
