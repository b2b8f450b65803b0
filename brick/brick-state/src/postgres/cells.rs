//! Values in PostgreSQL's binary forms, and the few types that stand for the five that [`Param`] and [`Cell`] know.

use std::error::Error;
use std::fmt::Write as _;

use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::value::Found;
use crate::{Cell, Param};

type Wrong = Box<dyn Error + Sync + Send>;

/// A value on its way to the server, in the form of whatever type is asked for.
#[derive(Debug)]
pub(super) struct Bound<'a>(pub(super) &'a Param);

/// A cell's bytes as they came; none for null.
struct Raw<'a>(Option<&'a [u8]>);

/// Digits of a `numeric` count in ten thousands.
const BASE: i64 = 10_000;

impl Bound<'_> {
    /// Whether there is a form of each value for its type.
    pub(super) fn all_fit(params: &[Param], types: &[Type]) -> bool {
        let fits = |(param, of): (&Param, &Type)| Bound(param).fits(of);
        params.len() == types.len() && params.iter().zip(types).all(fits)
    }

    fn fits(&self, of: &Type) -> bool {
        if let Kind::Domain(inner) = of.kind() {
            return self.fits(inner);
        }
        match self.0 {
            Param::Null => true,
            Param::Integer(_) => {
                let numbers = [
                    Type::INT8,
                    Type::INT4,
                    Type::INT2,
                    Type::OID,
                    Type::BOOL,
                    Type::FLOAT8,
                    Type::FLOAT4,
                    Type::NUMERIC,
                ];
                numbers.contains(of)
            }
            Param::Real(_) => [Type::FLOAT8, Type::FLOAT4].contains(of),
            Param::Text(_) => {
                is_text(of) || [Type::JSON, Type::JSONB, Type::UUID].contains(of) || is_enum(of)
            }
            Param::Blob(_) => *of == Type::BYTEA,
        }
    }
}

fn is_text(of: &Type) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN].contains(of)
}

fn is_enum(of: &Type) -> bool {
    matches!(of.kind(), Kind::Enum(_))
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        if let Kind::Domain(inner) = of.kind() {
            return self.to_sql(inner, out);
        }
        match self.0 {
            Param::Null => return Ok(IsNull::Yes),
            Param::Integer(value) => integer(*value, of, out)?,
            Param::Real(value) if *of == Type::FLOAT4 => {
                out.extend_from_slice(&(*value as f32).to_be_bytes())
            }
            Param::Real(value) => out.extend_from_slice(&value.to_be_bytes()),
            Param::Text(text) if *of == Type::UUID => out.extend_from_slice(&uuid(text)?),
            Param::Text(text) => {
                if *of == Type::JSONB {
                    out.extend_from_slice(&[1]);
                }
                out.extend_from_slice(text.as_bytes());
            }
            Param::Blob(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn integer(value: i64, of: &Type, out: &mut BytesMut) -> Result<(), Wrong> {
    match *of {
        Type::INT4 => out.extend_from_slice(&i32::try_from(value)?.to_be_bytes()),
        Type::INT2 => out.extend_from_slice(&i16::try_from(value)?.to_be_bytes()),
        Type::OID => out.extend_from_slice(&u32::try_from(value)?.to_be_bytes()),
        Type::BOOL => match value {
            0 | 1 => out.extend_from_slice(&[value as u8]),
            _ => return Err(format!("expected 0 or 1 for a boolean, found {value}").into()),
        },
        Type::FLOAT8 => out.extend_from_slice(&(value as f64).to_be_bytes()),
        Type::FLOAT4 => out.extend_from_slice(&(value as f32).to_be_bytes()),
        Type::NUMERIC => numeric(value, out),
        _ => out.extend_from_slice(&value.to_be_bytes()),
    }
    Ok(())
}

/// Number of digits, weight of the first, sign, digits after the point; then the digits to the base of ten thousand.
fn numeric(value: i64, out: &mut BytesMut) {
    let (mut rest, mut digits) = (value.unsigned_abs(), Vec::new());
    while rest > 0 {
        digits.push((rest % BASE as u64) as i16);
        rest /= BASE as u64;
    }
    let sign: i16 = if value < 0 { 0x4000 } else { 0 };
    let count = digits.len() as i16;
    for part in [count, (count - 1).max(0), sign, 0] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

fn uuid(text: &str) -> Result<[u8; 16], Wrong> {
    let wrong = || Wrong::from(format!("expected a UUID, found \"{text}\""));
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 {
        return Err(wrong());
    }
    let number = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
    Ok(number.to_be_bytes())
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Wrong> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What a column holds; otherwise what is wrong with it.
pub(crate) fn cell(row: &Row, column: usize) -> Result<Found<'_>, &'static str> {
    let of = row.columns().get(column).ok_or("no such column")?.type_();
    let Raw(Some(raw)) = row.try_get(column).map_err(|_| "no such column")? else {
        return Ok(Found::Cell(Cell::Null));
    };
    read(of, raw)
}

fn read<'a>(of: &Type, raw: &'a [u8]) -> Result<Found<'a>, &'static str> {
    const SHORT: &str = "a value of another length";
    let text = |raw| std::str::from_utf8(raw).map_err(|_| "text that is no UTF-8");
    let four = || raw.first_chunk::<4>().copied().ok_or(SHORT);
    let eight = || raw.first_chunk::<8>().copied().ok_or(SHORT);
    Ok(Found::Cell(match *of {
        Type::INT8 => Cell::Integer(i64::from_be_bytes(eight()?)),
        Type::INT4 => Cell::Integer(i32::from_be_bytes(four()?).into()),
        Type::INT2 => Cell::Integer(i16::from_be_bytes(raw.first_chunk().copied().ok_or(SHORT)?).into()),
        Type::OID => Cell::Integer(u32::from_be_bytes(four()?).into()),
        Type::BOOL => Cell::Integer(raw.first().copied().ok_or(SHORT)?.into()),
        Type::FLOAT8 => Cell::Real(f64::from_be_bytes(eight()?)),
        Type::FLOAT4 => Cell::Real(f32::from_be_bytes(four()?).into()),
        Type::NUMERIC => number(raw).ok_or(SHORT)?,
        Type::BYTEA => Cell::Blob(raw),
        Type::JSONB => Cell::Text(text(raw.get(1..).ok_or(SHORT)?)?),
        Type::VOID => Cell::Null,
        Type::UUID => return Ok(Found::Text(hyphened(raw))),
        _ if is_text(of) || *of == Type::JSON || is_enum(of) => Cell::Text(text(raw)?),
        _ => return Err("a type that SQLite has not; cast it in the statement, such as cast(at as text)"),
    }))
}

fn hyphened(raw: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    for (index, byte) in raw.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A `numeric`, which sums of integers are: an integer where it is one.
fn number<'a>(raw: &[u8]) -> Option<Cell<'a>> {
    let mut parts = raw
        .chunks_exact(2)
        .map(|two| i16::from_be_bytes([two[0], two[1]]));
    let (_, weight, sign, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits: Vec<i64> = parts.map(i64::from).collect();
    let negative = match sign {
        0 => false,
        0x4000 => true,
        _ => return Some(Cell::Real(f64::NAN)),
    };
    let whole = usize::try_from(i32::from(weight) + 1).unwrap_or(0);
    if digits.iter().skip(whole).all(|digit| *digit == 0) && whole <= 5 {
        let all = digits.iter().copied().chain(std::iter::repeat(0)).take(whole);
        let sum = all.fold(0_i128, |sum, digit| sum * i128::from(BASE) + i128::from(digit));
        if let Ok(value) = i64::try_from(if negative { -sum } else { sum }) {
            return Some(Cell::Integer(value));
        }
    }
    let mut scale = (BASE as f64).powi(weight.into());
    let mut sum = 0.0;
    for digit in digits {
        sum += digit as f64 * scale;
        scale /= BASE as f64;
    }
    Some(Cell::Real(if negative { -sum } else { sum }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_that_is_an_integer_comes_back_as_it_went() {
        for value in [
            0,
            1,
            -1,
            9_999,
            10_000,
            -10_001,
            1_000_000_000_000,
            i64::MAX,
            i64::MIN,
        ] {
            let mut out = BytesMut::new();
            numeric(value, &mut out);
            assert_eq!(number(&out), Some(Cell::Integer(value)));
        }
        let half = [0, 1, 255, 255, 0, 0, 0, 1, 19, 136];
        assert_eq!(number(&half), Some(Cell::Real(0.5)));
        assert_eq!(number(&[0, 1]), None);
    }

    #[test]
    fn a_uuid_is_text_on_both_sides() {
        let text = "0190a8b2-7c1e-7f3a-9b1d-2f4c6e8a0b1c";
        assert_eq!(hyphened(&uuid(text).unwrap()), text);
        for wrong in ["", "0190a8b2", "0190a8b2-7c1e-7f3a-9b1d-2f4c6e8a0b1g"] {
            assert!(uuid(wrong).is_err(), "{wrong}");
        }
    }
}
