//! Server-sent events: the events do not depend on how the stream was cut.
#![no_main]

use brick_wire::sse::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u8)| {
    let (bytes, step) = input;
    let mut whole = Parser::default();
    let expect = whole.feed(bytes);
    let mut cut = Parser::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(usize::from(step).max(1)) {
        match cut.feed(piece) {
            Ok(events) => found.extend(events),
            Err(_) => {
                assert!(expect.is_err(), "cut, the stream is too large; whole, it is not");
                return;
            }
        }
    }
    assert_eq!(expect.ok(), Some(found));
});
