//! The framing of requests at the edge: the verdict does not depend on how the stream was cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mortar_proxy::framing::{Framing, Limits};

const LIMITS: Limits = Limits {
    head_bytes_max: 2048,
    fields_max: 16,
};

/// What of the bytes may pass when they come in pieces, and why no more may.
fn verdict(bytes: &[u8], step: usize) -> (usize, Option<&'static str>) {
    let mut framing = Framing::new(LIMITS);
    let (mut passed, mut shown) = (0, 0);
    while shown < bytes.len() {
        shown = (shown + step).min(bytes.len());
        loop {
            match framing.accept(&bytes[passed..shown]) {
                Ok(0) => break,
                Ok(count) => {
                    assert!(count <= shown - passed, "more was passed than was shown");
                    passed += count;
                }
                Err(refusal) => return (passed, Some(refusal.code)),
            }
        }
    }
    (passed, None)
}

fuzz_target!(|input: (&[u8], u8)| {
    let (bytes, step) = input;
    assert_eq!(
        verdict(bytes, bytes.len().max(1)),
        verdict(bytes, usize::from(step).max(1))
    );
});
