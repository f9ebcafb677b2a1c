//! Durable store-and-forward for producers, and the gateway that speaks Kafka to applications.

mod bytes_codec;
mod catalog;
mod control;
mod door;
mod face;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod grants;
mod hub;
mod intake;
pub mod limits;
mod metrics;
mod recovery;
mod state;
mod store;
mod watermarks;

use leeward_buffer_core::partition;

pub use gateway::{Gateway, GatewayConfig, GatewayError, Mirrored};
pub use hub::{Acknowledge, GatewayStatus};
pub use leeward_log::GroupWait;
pub use state::StateError;
pub use store::StoreError;
