//! Standard output and error as pipes that somebody may close: what nobody reads is left out, and nothing panics.

use std::{
    fmt::Arguments,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Set once standard output does not take any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// As in the standard library, without its panic where the pipe is closed.
macro_rules! print {
    ($($text:tt)*) => { $crate::out::write(format_args!($($text)*)) };
}

/// As in the standard library, without its panic where the pipe is closed.
macro_rules! println {
    () => { $crate::out::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// As in the standard library, without its panic where the pipe is closed.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::out::complain(format_args!($($text)*)) };
}

/// As in the standard library, without its panic where the pipe is closed.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::out::complain(format_args!("{}\n", format_args!($($text)*))) };
}

/// Whether nobody reads standard output any more: a command that only shows has nothing left to do.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

pub(crate) fn write(text: Arguments<'_>) {
    if io::stdout().lock().write_fmt(text).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn complain(text: Arguments<'_>) {
    // There is no other place to say it.
    let _ = io::stderr().lock().write_fmt(text);
}
