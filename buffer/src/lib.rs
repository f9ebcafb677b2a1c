//! Durable store-and-forward for producers, and the gateway that speaks Kafka to applications.

mod door;
mod intake;
mod limits;
mod partition;
