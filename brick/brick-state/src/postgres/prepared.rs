//! Statements that a connection has prepared, a bounded number of them.

use std::collections::{HashMap, VecDeque};

use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use crate::Param;

/// Statements kept by each connection; the one prepared first goes.
const STATEMENTS_MAX: usize = 256;

/// Ways of asking kept for one of them.
const WAYS_MAX: usize = 8;

/// Types of parameters that the server is asked to take; it infers the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked(Vec<Type>);

/// What was prepared; none for a statement whose types the server could not tell.
#[derive(Default)]
pub(super) struct Prepared {
    known: HashMap<String, Vec<(Asked, Option<Statement>)>>,
    order: VecDeque<String>,
}

/// How many ways there are to ask.
pub(super) const WAYS: usize = 3;

impl Asked {
    /// The nth way to try: nothing said; the types of the values; and null as text. None where it is no other way.
    pub(super) fn way(nth: usize, params: &[Param]) -> Option<Self> {
        let of = |null: Type| {
            let types = params.iter().map(|param| match param {
                Param::Null => null.clone(),
                Param::Integer(_) => Type::INT8,
                Param::Real(_) => Type::FLOAT8,
                Param::Text(_) => Type::TEXT,
                Param::Blob(_) => Type::BYTEA,
            });
            Some(Self(types.collect()))
        };
        match nth {
            0 => Some(Self(Vec::new())),
            1 if !params.is_empty() => of(Type::UNKNOWN),
            2 if params.contains(&Param::Null) => of(Type::TEXT),
            _ => None,
        }
    }

    pub(super) fn types(&self) -> &[Type] {
        &self.0
    }
}

impl Prepared {
    pub(super) fn get(&self, sql: &str, asked: &Asked) -> Option<Option<Statement>> {
        let ways = self.known.get(sql)?;
        let found = ways.iter().find(|(known, _)| known == asked);
        found.map(|(_, statement)| statement.clone())
    }

    pub(super) fn put(&mut self, sql: &str, asked: Asked, statement: Option<Statement>) {
        if let Some(ways) = self.known.get_mut(sql) {
            ways.truncate(WAYS_MAX - 1);
            ways.push((asked, statement));
            return;
        }
        if self.order.len() == STATEMENTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(sql.to_owned());
        self.known.insert(sql.to_owned(), vec![(asked, statement)]);
    }
}
