//! Control: registry, routes, config and bus on one store.
