//! End-to-end tests live in `it/`; suites against real Kafka, DNS and Prometheus in their own folders.
