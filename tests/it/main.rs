//! Tests of the whole: its shape, and its processes end to end.

mod layers;
mod tidy;
