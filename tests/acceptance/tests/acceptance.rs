//! One binary for all of them: the real `brick`, the real shop, real processes.

mod canary;
mod changes;
mod config;
mod controls;
mod documents;
mod edge;
mod elastic;
mod eureka;
mod faults;
mod logs;
mod orders;
mod outages;
mod prove;
mod proxy;
mod refusals;
mod small;
mod spring;
mod suites;
mod versions;
mod walk;
