//! Externalised state: SQL with a group-committing writer, migrations, a span per statement, and HTTP sessions.
