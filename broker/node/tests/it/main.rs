//! A node over TCP, as its clients see it.

#![allow(clippy::unwrap_used)]

mod admin;
mod crash;
mod entrances;
mod groups;
mod hostile;
mod produce;
mod read;
mod support;
mod versions;
