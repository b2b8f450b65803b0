//! Externalised configuration: typed, layered, with the origin of every value; reloads from the bus.
