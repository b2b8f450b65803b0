//! The edge gateway: edge and admin listeners on the data plane.
