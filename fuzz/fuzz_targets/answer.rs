//! Answers of instances: what is read of one does not depend on how the stream was cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mortar_proxy::read_answer;

fuzz_target!(|input: (&[u8], u8, bool)| {
    let (bytes, step, head) = input;
    let method = if head { http::Method::HEAD } else { http::Method::GET };
    let whole = read_answer(bytes, bytes.len(), &method);
    let cut = read_answer(bytes, usize::from(step), &method);
    match (whole, cut) {
        (Ok(Some(whole)), Ok(Some(cut))) => {
            assert_eq!(whole.status(), cut.status());
            assert_eq!(whole.headers(), cut.headers());
            assert_eq!(whole.body(), cut.body());
            assert!(whole.body().len() <= bytes.len(), "more body than there are bytes");
        }
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok()),
    }
});
