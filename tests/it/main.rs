//! Tests of the whole: its shape, and its processes end to end.

mod bind;
mod layers;
mod tidy;
