//! `brick.toml`: any text is a model or a list of errors that can be shown; what is a model goes through JSON unharmed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(invalid) = brick_model::parse(text, "brick.toml") {
        assert!(!invalid.render(false).is_empty(), "an error that says nothing");
    }
});
