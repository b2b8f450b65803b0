//! Identity's part of the OpenAPI document.
