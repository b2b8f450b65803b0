//! What a certificate says of itself (RFC 5280 §4.1): subject and expiry, for people to look at. Nothing is verified
//! here; the gateway does that before it shows one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Subject and expiry of the first certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Common name; empty where there is none.
    pub(crate) subject: String,
    /// When it expires, RFC 3339.
    pub(crate) not_after: String,
}

/// Reads the leaf of a chain in PEM.
pub(crate) fn said(pem: &str) -> Option<Said> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (text, _) = rest.split_once(END)?;
    let text: String = text.split_ascii_whitespace().collect();
    let der = STANDARD.decode(text).ok()?;
    let mut certificate = inside(&mut &*der, SEQUENCE)?;
    let mut fields = inside(&mut certificate, SEQUENCE)?;
    // The version is there where it is not 1.
    if fields.first() == Some(&0xa0) {
        next(&mut fields)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        next(&mut fields)?;
    }
    let mut validity = inside(&mut fields, SEQUENCE)?;
    next(&mut validity)?;
    let (kind, time) = next(&mut validity)?;
    Some(Said {
        subject: common_name(inside(&mut fields, SEQUENCE)?).unwrap_or_default(),
        not_after: moment(kind, time)?,
    })
}

fn common_name(mut names: &[u8]) -> Option<String> {
    while !names.is_empty() {
        let mut set = inside(&mut names, SET)?;
        let mut pair = inside(&mut set, SEQUENCE)?;
        let (_, kind) = next(&mut pair)?;
        if kind == COMMON_NAME {
            return Some(String::from_utf8_lossy(next(&mut pair)?.1).into_owned());
        }
    }
    None
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn moment(kind: u8, time: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(time).ok()?;
    let digits = text
        .strip_suffix('Z')
        .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let whole = match (kind, digits.len()) {
        (UTC_TIME, 12) if digits < "50" => format!("20{digits}"),
        (UTC_TIME, 12) => format!("19{digits}"),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| whole.get(from..to);
    Some(format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    ))
}

/// Content of the next element, which has to be of this kind.
fn inside<'d>(rest: &mut &'d [u8], kind: u8) -> Option<&'d [u8]> {
    next(rest)
        .filter(|(found, _)| *found == kind)
        .map(|(_, content)| content)
}

/// The next element: its tag and its content (X.690 §8.1).
fn next<'d>(rest: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (&tag, after) = rest.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (bytes, content) = after.split_at_checked(usize::from(first & 0x7f))?;
            after = content;
            bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    let (content, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((tag, content))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subject_and_expiry_are_read() {
        let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Shop");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "shop.test");
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, expect) in [(2031, "2031-02-03T00:00:00Z"), (2051, "2051-02-03T00:00:00Z")] {
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            let pem = params.clone().self_signed(&key).unwrap().pem();
            let found = said(&format!("# a comment\n{pem}{pem}")).unwrap();
            assert_eq!(found.subject, "shop.test");
            assert_eq!(found.not_after, expect);
        }
        assert_eq!(said("no certificate"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = said(&format!("{BEGIN}\n{}\n{END}", STANDARD.encode(bytes)));
        }
    }
}
