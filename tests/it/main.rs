//! Tests of the whole: its shape, and its processes end to end.

mod bind;
mod fuzz;
mod layers;
mod tidy;
