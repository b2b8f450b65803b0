//! Service discovery: endpoint sets from the bus and the client-side balancer (power of two choices).
