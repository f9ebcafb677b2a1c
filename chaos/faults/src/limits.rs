//! Every bound of this crate.

use std::time::Duration;

/// How long a killed or stopped process may take to be seen dead or stopped; past it the fault has not bitten.
pub(crate) const PROCESS_STATE_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a process's state is looked at while waiting.
pub(crate) const PROCESS_STATE_POLL: Duration = Duration::from_millis(2);

/// Connections that one proxy carries; more are closed at once.
pub(crate) const PROXY_CONNECTIONS_MAX: usize = 4096;

/// Bytes that a proxy takes from one side before it writes them to the other.
pub(crate) const PROXY_BUFFER_BYTES: usize = 64 << 10;

/// Pieces and bytes in flight in one direction of one connection, when the proxy adds latency or the other side does not
/// read; when reached, reading waits.
pub(crate) const PROXY_DELAYED_PIECES_MAX: usize = 256;
pub(crate) const PROXY_DELAYED_BYTES_MAX: usize = 1 << 20;

/// Pause after the operating system refused to hand a proxy a connection, as when there is no descriptor left.
pub(crate) const PROXY_ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a proxy tries to reach the other side.
pub(crate) const PROXY_CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
