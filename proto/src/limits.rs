//! Bounds of our own gRPC and HTTP ports, and what happens when each is reached.

use std::time::Duration;

/// Connections of one port at a time. Reached: one more is closed at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Pause after the operating system refused to hand over a connection, as when there is no descriptor left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time in which a peer must take some of what is written to it. Reached: its connection is closed.
pub const TAKE_WAIT_MAX: Duration = Duration::from_secs(20);

/// TLS handshakes of one port that go on at a time. Reached: further connections wait to be accepted.
pub const HANDSHAKES_MAX: usize = 1024;
/// Time for one TLS handshake. Reached: the connection is closed.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Silence of a gRPC peer, which also has pings to answer. Reached: its connection is closed.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Time between two pings to a gRPC peer, and for each to be answered. Reached: its connection is closed.
pub const PING_EVERY: Duration = Duration::from_secs(5);
pub const PING_WAIT: Duration = Duration::from_secs(5);
/// Calls at a time on one gRPC connection. Reached: the peer's next call waits.
pub const STREAMS_MAX: u32 = 128;
/// Bytes of a gRPC connection that are received and not yet read. Reached: the peer waits.
pub const WINDOW_BYTES: u32 = 256 << 10;
/// Bytes of all headers of a gRPC call. Reached: the call is refused.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;

/// Time for a whole HTTP request head, from the end of the request before it. Reached: the connection is closed.
pub const HEAD_WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes of an HTTP request head. Reached: 431, and the connection is closed.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of an HTTP request's body, and the time for it. Reached: 413 or 408, and the connection is closed.
pub const BODY_BYTES_MAX: usize = 64 << 10;
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time for HTTP requests that are worked on when the process stops. Reached: they are dropped.
pub const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(2);
