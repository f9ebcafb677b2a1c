//! Policies: `Topology` and `Drill` documents, what is wrong with them, and what they add up to. Pure: whoever
//! calls reads the files and the environment.

mod code;
mod diagnostics;
mod document;
mod drill;
mod effective;
mod interpolate;
pub mod limits;
mod loaded;
mod node;
mod plain;
mod read;
mod schema;
mod secret;
mod selector;
mod source;
mod topology;

pub use code::Code;
pub use diagnostics::{Diagnostic, Diagnostics, Format, Severity};
pub use document::{Policies, load};
pub use drill::*;
pub use loaded::{Loaded, Metadata};
pub use read::Count;
pub use schema::schema;
pub use secret::{ClearText, SecretRef};
pub use selector::{InvalidRegex, Pattern, Selector};
pub use source::{Place, Source, Span};
pub use topology::*;

/// The version of every document.
pub const API_VERSION: &str = "leeward/v1alpha1";
