//! The failover's shell: probes, journal, fencer, promoter, redirection, verification, and the API in front.

mod redirector;

pub use redirector::{Published, RedirectError, Redirected, Redirector};
