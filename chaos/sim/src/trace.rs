//! What happened last, for people; costs nothing while nobody asks.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Lines that are kept; older ones are forgotten.
const LINES_MAX: usize = 120;

thread_local! {
    static TRACE: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
}

pub(crate) fn begin() {
    TRACE.with_borrow_mut(|trace| *trace = Some(VecDeque::new()));
}

pub(crate) fn end() -> Vec<String> {
    TRACE.take().unwrap_or_default().into()
}

/// Notes a line, where somebody asked for a trace.
pub(crate) fn note(line: impl FnOnce() -> String) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            if trace.len() == LINES_MAX {
                trace.pop_front();
            }
            trace.push_back(line());
        }
    });
}

/// Whether somebody asked for a trace.
pub(crate) fn is_wanted() -> bool {
    TRACE.with_borrow(Option::is_some)
}
