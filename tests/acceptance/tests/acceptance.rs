//! One binary for all of them: the real `brick`, the real shop, real processes.

mod faults;
mod refusals;
mod suites;
mod walk;
