//! Money: whole cents, never floating point.

/// Cents as people read them: `1 234.50`, `-0.05`.
pub(crate) fn display(cents: i64) -> String {
    let (sign, cents) = if cents < 0 {
        ("-", cents.unsigned_abs())
    } else {
        ("", cents.unsigned_abs())
    };
    let whole = (cents / 100).to_string();
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}.{:02}", cents % 100)
}

#[cfg(test)]
mod tests {
    use super::display;

    #[test]
    fn cents_read_as_money() {
        for (cents, text) in [
            (0, "0.00"),
            (-5, "-0.05"),
            (123_450, "1\u{2009}234.50"),
            (99, "0.99"),
        ] {
            assert_eq!(display(cents), text);
        }
    }
}
