//! What a statement does and to which table, for the names of spans: `SELECT product`.

/// Operation in capitals, as OpenTelemetry's `db.operation.name`; and the first table named, where one is found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) operation: String,
    pub(crate) name: String,
}

impl Summary {
    /// Reads words only, no SQL: a guess that is good enough for a name and never wrong about more.
    pub(crate) fn of(sql: &str) -> Self {
        let mut words = sql
            .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'))
            .filter(|word| !word.is_empty());
        let operation: String = words.next().unwrap_or("SQL").chars().take(20).collect();
        let operation = operation.to_ascii_uppercase();
        let table = match operation.as_str() {
            "UPDATE" => words.next(),
            _ => {
                let mut rest = words.skip_while(|word| {
                    !word.eq_ignore_ascii_case("from") && !word.eq_ignore_ascii_case("into")
                });
                rest.nth(1)
            }
        };
        let identifier = |word: &&str| {
            word.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        };
        let name = match table.filter(identifier) {
            Some(table) => format!("{operation} {table}"),
            None => operation.clone(),
        };
        Self { operation, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_what_it_does_and_its_table() {
        let check = |sql: &str, expect: &str| assert_eq!(Summary::of(sql).name, expect, "{sql}");
        check("select id, name from product where id = $1", "SELECT product");
        check("\n  insert into orders(id) values ($1)", "INSERT orders");
        check("update product set quantity = quantity - $1", "UPDATE product");
        check("delete from product", "DELETE product");
        check("select 1", "SELECT");
        check("with x as (select 1 from a) select * from x", "WITH a");
        check("", "SQL");
    }
}
