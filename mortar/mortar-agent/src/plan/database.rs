//! Where a brick's state is: a file of the system's folder, or a database on a server.

use std::path::Path;

use brick_model::state_password;

/// `DATABASE_URL` of a brick. The password of a server is in the operator's environment, or in a file that this names;
/// without it the brick tries without, and says what the server said.
pub(super) fn url(state: &str, brick: &str, folder: &Path, operator: &[(String, String)]) -> String {
    if !state.contains("://") {
        return format!("sqlite:{}", folder.join(format!("{state}.db")).display());
    }
    let variable = state_password(brick);
    let find = |name: &str| {
        operator
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    };
    let password = match find(&format!("{variable}_FILE")) {
        Some(file) => match std::fs::read_to_string(&file) {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(error) => {
                tracing::warn!(brick, file, %error, "{variable}_FILE cannot be read: the database is asked without a password");
                None
            }
        },
        None => find(&variable),
    };
    // The manifest is checked: the address has a user.
    password.map_or_else(
        || state.to_owned(),
        |password| brick_wire::form::with_password(state, &password),
    )
}

/// Whether a variable holds the password of a brick's state: it is part of that brick's address, and nobody else's.
pub(crate) fn is_password(variable: &str) -> bool {
    ["_STATE_PASSWORD", "_STATE_PASSWORD_FILE"]
        .iter()
        .any(|ending| variable.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_and_an_address_gets_its_password_from_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "p/w\n").unwrap();
        let none: &[(&str, &str)] = &[];
        let check = |state: &str, operator: &[(&str, &str)], expect: &str| {
            let operator: Vec<_> = operator
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(url(state, "my-order", Path::new("/s"), &operator), expect);
        };
        let server = "postgres://shop@db:5432/orders?schema=order";
        check("order", none, "sqlite:/s/order.db");
        check(server, none, server);
        let inline = [
            ("MY_ORDER_STATE_PASSWORD", "p@ss"),
            ("ORDER_STATE_PASSWORD", "another"),
        ];
        check(
            server,
            &inline,
            "postgres://shop:p%40ss@db:5432/orders?schema=order",
        );
        let path = file.path().to_string_lossy().into_owned();
        let from_file = [("MY_ORDER_STATE_PASSWORD_FILE", path.as_str())];
        check(
            server,
            &from_file,
            "postgres://shop:p%2Fw@db:5432/orders?schema=order",
        );
        check(server, &[("MY_ORDER_STATE_PASSWORD_FILE", "/none")], server);
    }
}
