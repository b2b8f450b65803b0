//! The console: its pages and one WebSocket per tab, as a router.
