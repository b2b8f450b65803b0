//! Forms: what is encoded holds no structure but its own, and every value comes back.
#![no_main]

use brick_wire::form::encode;
use libfuzzer_sys::fuzz_target;

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let hexadecimal = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => {
                let (high, low) = (hexadecimal(bytes.next()), hexadecimal(bytes.next()));
                let byte = high.zip(low).map(|(high, low)| high * 16 + low);
                out.push(byte.and_then(|byte| u8::try_from(byte).ok()).expect("two digits"));
            }
            byte => out.push(byte),
        }
    }
    out
}

fuzz_target!(|pairs: Vec<(String, String)>| {
    let given: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let text = encode(&given);
    let found: Vec<&str> = text.split('&').filter(|piece| !piece.is_empty()).collect();
    assert_eq!(found.len(), pairs.len());
    for (piece, (name, value)) in found.iter().zip(&pairs) {
        let (found_name, found_value) = piece.split_once('=').expect("a name and a value");
        assert_eq!(decoded(found_name), name.as_bytes());
        assert_eq!(decoded(found_value), value.as_bytes());
    }
});
