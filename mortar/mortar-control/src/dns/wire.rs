//! Messages of DNS (RFC 1035 §4) as far as a name server needs them that has one small zone: a question in, an answer
//! out, with EDNS (RFC 6891) and nothing else.
//!
//! What always holds: whatever the bytes are, they are read in one pass without following pointers, and an answer is
//! never longer than the asker takes.

/// Longest name as it is sent, and longest label of it (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// Length of the head of a message.
const HEAD: usize = 12;
/// What an asker takes by UDP where it does not say, and what it is sent at most where it does.
const UDP_MIN: u16 = 512;
const UDP_MAX: u16 = 1_232;
/// Records beside the question that are looked at: there is one at most that says something.
const FURTHER_MAX: u16 = 4;
/// The question begins here: an answer points there for the name.
const TO_QUESTION: [u8; 2] = [0xC0, 12];

/// IPv4 address.
pub const A: u16 = 1;
/// Start of authority.
pub const SOA: u16 = 6;
/// IPv6 address.
pub const AAAA: u16 = 28;
/// Where a service is (RFC 2782).
pub const SRV: u16 = 33;
/// All that there is.
pub const ANY: u16 = 255;
const OPT: u16 = 41;
const INTERNET: u16 = 1;

/// What came of a question (RFC 1035 §4.1.1, RFC 6891 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It is answered.
    Fine = 0,
    /// It cannot be read.
    Malformed = 1,
    /// There is no such name.
    NoName = 3,
    /// It is none that is asked of this server.
    NotImplemented = 4,
    /// It is about names that are not this server's.
    Refused = 5,
    /// It is in a later EDNS.
    BadVersion = 16,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Labels of the name in small letters, the first first.
    pub labels: Vec<String>,
    /// Kind of record.
    pub kind: u16,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An address.
    Address(std::net::IpAddr),
    /// Where a service is.
    Service {
        /// Relative weight.
        weight: u16,
        /// Port.
        port: u16,
        /// Name of the host, in labels.
        target: Vec<String>,
    },
    /// Who has the zone of these labels, and for how many seconds it counts that something is not there.
    Authority(Vec<String>, u32),
}

/// A record: its name where it is not the question's, its life in seconds, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Labels of the name; none is the question's.
    pub name: Option<Vec<String>>,
    /// Life in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What came of the question.
    pub code: Code,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// Who says that there is nothing.
    pub authority: Vec<Record>,
    /// What is asked for next.
    pub further: Vec<Record>,
}

impl Answer {
    /// Without records.
    pub fn of(code: Code) -> Self {
        Self {
            code,
            answers: Vec::new(),
            authority: Vec::new(),
            further: Vec::new(),
        }
    }
}

/// A message that is read.
#[derive(Debug)]
struct Asked<'m> {
    /// What is asked, or what is wrong with it.
    question: Result<Question, Code>,
    /// The question as it came: the answer repeats it byte by byte.
    raw: &'m [u8],
    /// What the asker takes by UDP, where it speaks EDNS.
    takes: Option<u16>,
}

/// Answers a message by what `look_up` finds; nothing to what is no question. `stream` is whether it came by TCP.
pub fn respond(
    message: &[u8],
    stream: bool,
    look_up: impl FnOnce(&Question) -> Answer,
) -> Option<(Code, Vec<u8>)> {
    let head = message.get(..HEAD)?;
    // An answer is not answered, or two servers would talk for ever.
    if head[2] & 0x80 != 0 {
        return None;
    }
    let asked = read(message, head);
    let answer = match &asked.question {
        Ok(question) => look_up(question),
        Err(code) => Answer::of(*code),
    };
    let limit = match (stream, asked.takes) {
        (true, _) => usize::from(u16::MAX),
        (false, takes) => usize::from(takes.unwrap_or(UDP_MIN).clamp(UDP_MIN, UDP_MAX)),
    };
    Some((answer.code, write(head, &asked, &answer, limit)))
}

fn read<'m>(message: &'m [u8], head: &[u8]) -> Asked<'m> {
    let bad = |code| Asked {
        question: Err(code),
        raw: &[],
        takes: None,
    };
    let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    if head[2] & 0x78 != 0 {
        return bad(Code::NotImplemented);
    }
    let mut at = HEAD;
    if count(4) != 1 || count(6) != 0 || count(8) != 0 {
        return bad(Code::Malformed);
    }
    let Some((labels, kind, class)) = question(message, &mut at) else {
        return bad(Code::Malformed);
    };
    let raw = &message[HEAD..at];
    let mut takes = None;
    let mut verdict = match class {
        INTERNET => Ok(Question { labels, kind }),
        _ => Err(Code::Refused),
    };
    for _ in 0..count(10).min(FURTHER_MAX) {
        let Some(extra) = record(message, &mut at) else {
            return Asked {
                question: Err(Code::Malformed),
                raw,
                takes,
            };
        };
        if let Some((size, version)) = extra {
            takes = Some(size);
            if version != 0 {
                verdict = Err(Code::BadVersion);
            }
        }
    }
    Asked {
        question: verdict,
        raw,
        takes,
    }
}

/// Name, kind and class of a question.
fn question(message: &[u8], at: &mut usize) -> Option<(Vec<String>, u16, u16)> {
    let labels = name(message, at)?;
    Some((labels, number(message, at)?, number(message, at)?))
}

/// A record beside the question: of the one that speaks of EDNS, what the asker takes and the version.
fn record(message: &[u8], at: &mut usize) -> Option<Option<(u16, u8)>> {
    let labels = name(message, at)?;
    let (kind, class) = (number(message, at)?, number(message, at)?);
    let (flags, _) = (number(message, at)?, number(message, at)?);
    let length = usize::from(number(message, at)?);
    message.get(*at..*at + length)?;
    *at += length;
    let [_, version] = flags.to_be_bytes();
    Some((kind == OPT && labels.is_empty()).then_some((class, version)))
}

/// A name without pointers: what a question or EDNS has. Its letters become small, other bytes than ASCII what they are
/// not mistaken for.
fn name(message: &[u8], at: &mut usize) -> Option<Vec<String>> {
    let begin = *at;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(*at)?);
        *at += 1;
        if length == 0 {
            return Some(labels);
        }
        if length > LABEL_BYTES_MAX || *at + length - begin >= NAME_BYTES_MAX {
            return None;
        }
        let label = message.get(*at..*at + length)?;
        *at += length;
        let letter = |b: &u8| {
            if b.is_ascii_graphic() {
                char::from(b.to_ascii_lowercase())
            } else {
                '\u{fffd}'
            }
        };
        labels.push(label.iter().map(letter).collect());
    }
}

fn number(message: &[u8], at: &mut usize) -> Option<u16> {
    let bytes = message.get(*at..*at + 2)?;
    *at += 2;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The answer, cut short by whole records where it were too long.
fn write(head: &[u8], asked: &Asked<'_>, answer: &Answer, limit: usize) -> Vec<u8> {
    let code = answer.code as u16;
    let mut out = Vec::with_capacity(limit.min(1_024));
    out.extend_from_slice(&head[..2]);
    // An answer, by authority, to the same kind of question; whether recursion was wished is repeated, there is none.
    out.push(0x80 | (head[2] & 0x79) | 0x04);
    out.push((code & 0x0F) as u8);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(asked.raw);
    // What speaks of EDNS has to fit in any case.
    let edns = asked.takes.map(|_| {
        let mut record = vec![0];
        record.extend_from_slice(&OPT.to_be_bytes());
        record.extend_from_slice(&UDP_MAX.to_be_bytes());
        record.extend_from_slice(&[(code >> 4) as u8, 0, 0, 0, 0, 0]);
        record
    });
    let room = limit - edns.as_ref().map_or(0, Vec::len);
    let mut counts = [u16::from(!asked.raw.is_empty()), 0, 0, 0];
    let parts = [&answer.answers, &answer.authority, &answer.further];
    'all: for (records, part) in parts.into_iter().zip(1..) {
        for record in records {
            let before = out.len();
            put(&mut out, record);
            if out.len() > room {
                out.truncate(before);
                // What was not asked for may be left out without a word.
                if part < 3 {
                    out[2] |= 0x02;
                }
                break 'all;
            }
            counts[part] += 1;
        }
    }
    if let Some(edns) = edns {
        out.extend_from_slice(&edns);
        counts[3] += 1;
    }
    for (count, at) in counts.into_iter().zip([4, 6, 8, 10]) {
        out[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
    out
}

fn put(out: &mut Vec<u8>, record: &Record) {
    match &record.name {
        None => out.extend_from_slice(&TO_QUESTION),
        Some(labels) => put_name(out, labels),
    }
    let kind = match &record.data {
        Data::Address(std::net::IpAddr::V4(_)) => A,
        Data::Address(std::net::IpAddr::V6(_)) => AAAA,
        Data::Service { .. } => SRV,
        Data::Authority(..) => SOA,
    };
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    out.extend_from_slice(&record.ttl.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 2]);
    match &record.data {
        Data::Address(std::net::IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
        Data::Address(std::net::IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
        Data::Service { weight, port, target } => {
            out.extend_from_slice(&0_u16.to_be_bytes());
            out.extend_from_slice(&weight.to_be_bytes());
            out.extend_from_slice(&port.to_be_bytes());
            put_name(out, target);
        }
        Data::Authority(zone, negative_ttl) => {
            for who in ["control", "operator"] {
                put_label(out, who);
                put_name(out, zone);
            }
            // Serial, refresh, retry, expire: nobody copies this zone.
            for number in [1, 3_600, 600, 86_400, *negative_ttl] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    let length = u16::try_from(out.len() - length_at - 2).unwrap_or(u16::MAX);
    out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
}

fn put_name(out: &mut Vec<u8>, labels: &[String]) {
    labels.iter().for_each(|label| put_label(out, label));
    out.push(0);
}

fn put_label(out: &mut Vec<u8>, label: &str) {
    let label = &label.as_bytes()[..label.len().min(LABEL_BYTES_MAX)];
    out.push(label.len() as u8);
    out.extend_from_slice(label);
}

#[cfg(test)]
mod tests;
