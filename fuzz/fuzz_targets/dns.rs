//! Messages of DNS: any bytes get an answer that fits, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mortar_control::dns::wire::{Answer, Code, Data, Record, respond};

fuzz_target!(|input: (&[u8], u8, bool)| {
    let (message, count, stream) = input;
    let look_up = |question: &mortar_control::dns::wire::Question| {
        let service = |n: u8| Record {
            name: (n % 2 == 1).then(|| question.labels.clone()),
            ttl: 5,
            data: match n % 3 {
                0 => Data::Address([127, 0, 0, n].into()),
                1 => Data::Service { weight: 1, port: 80, target: question.labels.clone() },
                _ => Data::Authority(question.labels.clone(), 5),
            },
        };
        Answer { answers: (0..count).map(service).collect(), ..Answer::of(Code::Fine) }
    };
    if let Some((_, answer)) = respond(message, stream, look_up) {
        assert!(answer.len() >= 12 && answer[..2] == message[..2]);
        assert!(stream || answer.len() <= 1_232);
        // What is answered is no question.
        assert!(respond(&answer, stream, |_| Answer::of(Code::Fine)).is_none());
    }
});
