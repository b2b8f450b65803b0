//! How the variable part of a record lies in a segment: attributes and texts as bytes, frequent strings as numbers into
//! the segment's dictionary. No allocation per record, so that eviction frees a few large blocks.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::record::{Attributes, Event, Value, ValueRef};

/// Longest value that becomes a word of the dictionary, in bytes.
const WORD_BYTES_MAX: usize = 64;
/// Values enter the dictionary only below this many words; names and keys always do.
const VALUE_WORDS_MAX: usize = 3_072;

/// The strings of one segment.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    text: String,
    ends: Vec<u32>,
    index: HashMap<u64, u32>,
    hasher: RandomState,
}

const TEXT_WORD: u8 = 0;
const TEXT_INLINE: u8 = 1;
const TRUE: u8 = 2;
const FALSE: u8 = 3;
const INT: u8 = 4;
const DOUBLE: u8 = 5;
const JSON: u8 = 6;

impl Dictionary {
    /// The number of a string, entered if it is new.
    pub(super) fn word(&mut self, text: &str) -> u32 {
        let mut key = self.hasher.hash_one(text);
        while let Some(word) = self.index.get(&key) {
            if self.get(*word) == text {
                return *word;
            }
            key = key.wrapping_add(1);
        }
        let word = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.index.insert(key, word);
        word
    }

    /// The string of a number; empty for a number that was never given.
    pub(super) fn get(&self, word: u32) -> &str {
        let at = word as usize;
        let start = at
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Nothing more will be entered: gives back what only entering needs.
    pub(super) fn seal(&mut self) {
        self.index = HashMap::new();
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4 + map_bytes::<(u64, u32)>(self.index.capacity())
    }

    fn value_word(&mut self, text: &str) -> Option<u32> {
        (text.len() <= WORD_BYTES_MAX && self.ends.len() < VALUE_WORDS_MAX).then(|| self.word(text))
    }
}

/// Heap bytes of a `HashMap` with that many usable entries (hashbrown: one control byte an entry, load at most 7/8).
pub(super) fn map_bytes<Entry>(capacity: usize) -> usize {
    if capacity == 0 {
        0
    } else {
        (capacity * 8 / 7).next_power_of_two() * (size_of::<Entry>() + 1) + 16
    }
}

/// Writes the variable part of a record.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) words: &'a mut Dictionary,
}

impl Writer<'_> {
    /// A number, seven bits a byte, least first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.out.push(number.to_le_bytes()[0]);
    }

    /// A text as it is.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A list of attributes.
    pub(super) fn attributes(&mut self, attributes: &Attributes) {
        self.number(attributes.len() as u64);
        for (key, value) in attributes {
            let word = self.words.word(key);
            self.number(word.into());
            self.value(value);
        }
    }

    /// A list of events, their times relative to `start_ns`.
    pub(super) fn events(&mut self, events: &[Event], start_ns: u64) {
        self.number(events.len() as u64);
        for event in events {
            let word = self.words.word(&event.name);
            self.number(word.into());
            self.number(event.time_ns.wrapping_sub(start_ns));
            self.attributes(&event.attributes);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => match self.words.value_word(text) {
                Some(word) => {
                    self.out.push(TEXT_WORD);
                    self.number(word.into());
                }
                None => {
                    self.out.push(TEXT_INLINE);
                    self.text(text);
                }
            },
            Value::Json(text) => {
                self.out.push(JSON);
                self.text(text);
            }
            Value::Bool(value) => self.out.push(if *value { TRUE } else { FALSE }),
            Value::Int(value) => {
                self.out.push(INT);
                // Zigzag, so that small negative numbers stay short.
                self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
            }
            Value::Double(value) => {
                self.out.push(DOUBLE);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// Reads what a [`Writer`] wrote. Bytes that nobody wrote read as zero and empty.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) words: &'a Dictionary,
}

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> u64 {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((byte, rest)) = self.bytes.split_first() else {
                return 0;
            };
            self.bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    pub(super) fn text(&mut self) -> &'a str {
        let length = usize::try_from(self.number())
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        std::str::from_utf8(text).unwrap_or_default()
    }

    pub(super) fn attributes(&mut self) -> Attributes {
        self.each_attribute()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect()
    }

    /// The list of attributes where they lie.
    pub(super) fn each_attribute(&mut self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        let count = self.number();
        (0..count).map_while(|_| self.attribute())
    }

    pub(super) fn events(&mut self, start_ns: u64) -> Vec<Event> {
        let count = self.number();
        (0..count)
            .map_while(|_| {
                (!self.bytes.is_empty()).then(|| Event {
                    name: self.word().to_owned(),
                    time_ns: start_ns.wrapping_add(self.number()),
                    attributes: self.attributes(),
                })
            })
            .collect()
    }

    fn attribute(&mut self) -> Option<(&'a str, ValueRef<'a>)> {
        (!self.bytes.is_empty()).then(|| (self.word(), self.value()))
    }

    fn word(&mut self) -> &'a str {
        let word = self.number();
        self.words.get(u32::try_from(word).unwrap_or(u32::MAX))
    }

    fn value(&mut self) -> ValueRef<'a> {
        let Some((tag, rest)) = self.bytes.split_first() else {
            return ValueRef::Bool(false);
        };
        self.bytes = rest;
        match *tag {
            TEXT_WORD => ValueRef::Text(self.word()),
            TEXT_INLINE => ValueRef::Text(self.text()),
            TRUE => ValueRef::Bool(true),
            INT => {
                let number = self.number();
                ValueRef::Int((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
            }
            DOUBLE => match self.bytes.split_first_chunk::<8>() {
                Some((bytes, rest)) => {
                    self.bytes = rest;
                    ValueRef::Double(f64::from_le_bytes(*bytes))
                }
                None => ValueRef::Bool(false),
            },
            JSON => ValueRef::Json(self.text()),
            _ => ValueRef::Bool(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            ".{0,80}".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>()
                .prop_filter("NaN equals nothing", |v| !v.is_nan())
                .prop_map(Value::Double),
            Just(Value::Json("[1]".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn attributes_and_events_survive(
            attributes in proptest::collection::vec((".{0,10}", value()), 0..12),
            start in any::<u64>(), time in any::<u64>(),
        ) {
            let mut words = Dictionary::default();
            let mut out = Vec::new();
            let events = vec![Event { name: "e".to_owned(), time_ns: time, attributes: attributes.clone() }];
            let mut writer = Writer { out: &mut out, words: &mut words };
            writer.attributes(&attributes);
            writer.events(&events, start);
            words.seal();
            let mut reader = Reader { bytes: &out, words: &words };
            prop_assert_eq!(reader.attributes(), attributes);
            prop_assert_eq!(reader.events(start), events);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let words = Dictionary::default();
            let mut reader = Reader { bytes: &bytes, words: &words };
            let _ = (reader.text(), reader.attributes(), reader.events(0));
        }
    }
}
