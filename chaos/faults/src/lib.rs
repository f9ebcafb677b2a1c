//! Faults against real processes and real connections. Each fault gives [`Evidence`]: what was seen that proves it
//! bit. A fault that bit nothing makes a drill inconclusive, never passed.

mod evidence;
mod limits;
mod process;
mod proxy;

pub use evidence::Evidence;
pub use process::{ProcessError, SpawnedProcess, kill_by_file};
pub use proxy::{Cut, Proxy, ProxyCounters, ProxyError, Shape};
