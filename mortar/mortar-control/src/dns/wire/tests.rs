//! Messages byte by byte, and any bytes at all.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A question for `order.brick` in mixed letters, with further records.
fn query(kind: u16, further: &[u8]) -> Vec<u8> {
    let mut message = vec![
        0xAB,
        0xCD,
        0x01,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        u8::from(!further.is_empty()),
    ];
    message.extend_from_slice(b"\x05OrDer\x05brick\0");
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(further);
    message
}

fn edns(size: u16, version: u8) -> Vec<u8> {
    let [high, low] = size.to_be_bytes();
    vec![0, 0, 41, high, low, 0, version, 0, 0, 0, 0]
}

fn addresses(count: u8) -> Answer {
    let records = (0..count).map(|n| Record {
        name: None,
        ttl: 5,
        data: Data::Address(IpAddr::from([127, 0, 0, n])),
    });
    Answer {
        answers: records.collect(),
        ..Answer::of(Code::Fine)
    }
}

#[test]
fn a_question_is_read_in_small_letters_and_repeated_as_it_came() {
    let message = query(A, &[]);
    let mut seen = None;
    let (code, answer) = respond(&message, false, |question| {
        seen = Some(question.clone());
        addresses(1)
    })
    .unwrap();
    let labels = ["order", "brick"].map(str::to_owned).to_vec();
    assert_eq!((code, seen), (Code::Fine, Some(Question { labels, kind: A })));
    assert_eq!(answer[..12], [0xAB, 0xCD, 0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(answer[12..message.len()], message[12..]);
    assert_eq!(
        answer[message.len()..],
        [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 0]
    );
}

#[test]
fn what_does_not_fit_is_cut_short_and_said_so() {
    let (_, short) = respond(&query(A, &[]), false, |_| addresses(100)).unwrap();
    assert!(short.len() <= 512 && short[2] & 0x02 != 0);
    let (_, larger) = respond(&query(A, &edns(4_096, 0)), false, |_| addresses(100)).unwrap();
    assert!(larger.len() > 512 && larger.len() <= 1_232 && larger[2] & 0x02 != 0);
    let (_, whole) = respond(&query(A, &[]), true, |_| addresses(100)).unwrap();
    assert_eq!((whole[2] & 0x02, whole[7]), (0, 100));
}

#[test]
fn what_is_no_question_of_this_server_is_answered_with_its_code() {
    let check = |message: &[u8], code: Code| {
        let (found, answer) = respond(message, false, |_| panic!("it is not looked up")).unwrap();
        assert_eq!((found, u16::from(answer[3])), (code, code as u16 & 0x0F));
    };
    let edit = |at: usize, byte: u8| {
        let mut message = query(A, &[]);
        message[at] = byte;
        message
    };
    check(&edit(2, 0x28), Code::NotImplemented);
    check(&edit(5, 0), Code::Malformed);
    check(&edit(5, 2), Code::Malformed);
    // A pointer in the question, and a label that is longer than the message.
    check(&edit(12, 0xC0), Code::Malformed);
    check(&edit(12, 63), Code::Malformed);
    let last = query(A, &[]).len() - 1;
    check(&edit(last, 3), Code::Refused);
    check(&query(A, &edns(1_232, 1)), Code::BadVersion);
    check(&query(A, &[0, 0]), Code::Malformed);
    // An answer, and less than a head, are nothing to be answered.
    assert!(respond(&edit(2, 0x80), false, |_| panic!("it is not looked up")).is_none());
    assert!(respond(&[0; 11], false, |_| panic!("it is not looked up")).is_none());
}

#[test]
fn a_name_is_as_long_as_names_may_be() {
    let named = |labels: usize| {
        let mut message = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for _ in 0..labels {
            message.extend_from_slice(b"\x3f");
            message.extend_from_slice(&[b'a'; 63]);
        }
        message.extend_from_slice(&[0, 0, 1, 0, 1]);
        respond(&message, false, |_| Answer::of(Code::NoName)).unwrap().0
    };
    assert_eq!((named(3), named(4)), (Code::NoName, Code::Malformed));
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer_that_fits_or_none(message in prop::collection::vec(any::<u8>(), 0..600), stream: bool) {
        if let Some((_, answer)) = respond(&message, stream, |_| addresses(200)) {
            prop_assert!(answer.len() >= 12 && answer[..2] == message[..2] && answer[2] & 0x80 != 0);
            prop_assert!(stream || answer.len() <= 1_232);
        }
    }

    #[test]
    fn a_question_with_any_tail_is_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..64)) {
        let (code, _) = respond(&query(A, &tail), false, |_| addresses(1)).unwrap();
        prop_assert!(matches!(code, Code::Fine | Code::Malformed | Code::BadVersion));
    }
}
