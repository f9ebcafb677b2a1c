//! Wrong turns that the simulation must notice (`docs/simulation.md`). Without the feature `mutations`, which only its own
//! tests turn on, nobody can take one.

#[cfg(feature = "mutations")]
use std::cell::Cell;

#[cfg(feature = "mutations")]
thread_local! {
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Lets this thread take a wrong turn, until it is called with `None`.
#[cfg(feature = "mutations")]
pub fn plant(name: Option<&'static str>) {
    PLANTED.set(name);
}

/// Whether this wrong turn is to be taken.
#[cfg(feature = "mutations")]
pub fn planted(name: &'static str) -> bool {
    PLANTED.get() == Some(name)
}

/// Whether this wrong turn is to be taken: never.
#[cfg(not(feature = "mutations"))]
#[inline]
pub const fn planted(_name: &'static str) -> bool {
    false
}
