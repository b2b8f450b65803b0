//! The facade that authors of bricks add: one crate, a whole brick in about twenty lines.
