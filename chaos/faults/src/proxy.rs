//! A TCP proxy that stands for the network between two places: it can be cut, in one direction or both, slowed and
//! narrowed, and counts what it did.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::limits::{
    PROXY_ACCEPT_PAUSE, PROXY_BUFFER_BYTES, PROXY_CONNECT_WAIT_MAX, PROXY_CONNECTIONS_MAX,
    PROXY_DELAYED_BYTES_MAX, PROXY_DELAYED_PIECES_MAX,
};

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
#[error("proxy cannot listen on {address}")]
pub struct ProxyError {
    address: SocketAddr,
    source: io::Error,
}

/// Which directions carry nothing. A cut direction swallows bytes, as a black hole does: no reset is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    #[default]
    Nothing,
    /// What the connecting side sends is swallowed.
    Forth,
    /// What the accepting side answers is swallowed.
    Back,
    /// Both; new connections are accepted and hear nothing.
    Both,
}

/// How the proxy treats what it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub cut: Cut,
    /// Added to each direction.
    pub latency: Duration,
    /// Bytes a second and direction of one connection; `None` is no limit.
    pub bytes_per_second: Option<u64>,
}

/// What a proxy did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounters {
    pub connections: u64,
    pub carried_bytes: u64,
    pub swallowed_bytes: u64,
    /// Of those carried, how many came late or waited for their turn.
    pub slowed_bytes: u64,
    /// Connections that were made while the proxy was cut.
    pub connections_while_cut: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    carried_bytes: AtomicU64,
    swallowed_bytes: AtomicU64,
    slowed_bytes: AtomicU64,
    connections_while_cut: AtomicU64,
}

/// A running proxy; it stops when the value is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shape: watch::Sender<Shape>,
    counters: Arc<Counters>,
    stop: CancellationToken,
}

impl Proxy {
    /// Listens on `listen` and carries each connection to `target`, which is looked up anew each time.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] where the address cannot be listened on.
    pub async fn start(listen: SocketAddr, target: String) -> Result<Self, ProxyError> {
        let failed = |source| ProxyError { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (shape, shape_seen) = watch::channel(Shape::default());
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, target, shape_seen, Arc::clone(&counters), stop.clone()));
        Ok(Self { address, shape, counters, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treats everything from here on as `shape` says, on connections that stand too.
    pub fn reshape(&self, shape: Shape) {
        self.shape.send_replace(shape);
    }

    pub fn counters(&self) -> ProxyCounters {
        ProxyCounters {
            connections: self.counters.connections.load(Ordering::Relaxed),
            carried_bytes: self.counters.carried_bytes.load(Ordering::Relaxed),
            swallowed_bytes: self.counters.swallowed_bytes.load(Ordering::Relaxed),
            slowed_bytes: self.counters.slowed_bytes.load(Ordering::Relaxed),
            connections_while_cut: self.counters.connections_while_cut.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    shape: watch::Receiver<Shape>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let near = match accepted {
            Ok((near, _)) => near,
            Err(error) => {
                debug!(%error, "no connection can be accepted");
                sleep(PROXY_ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        counters.connections.fetch_add(1, Ordering::Relaxed);
        if shape.borrow().cut != Cut::Nothing {
            counters.connections_while_cut.fetch_add(1, Ordering::Relaxed);
        }
        let (target, shape, counters, stop) =
            (target.clone(), shape.clone(), Arc::clone(&counters), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = carry(near, &target, &shape, &counters) => {}
            }
        });
    }
}

async fn carry(near: TcpStream, target: &str, shape: &watch::Receiver<Shape>, counters: &Counters) {
    let mut shape_seen = shape.clone();
    let reachable = |shape: &Shape| shape.cut == Cut::Nothing || shape.cut == Cut::Back;
    if shape_seen.wait_for(reachable).await.is_err() {
        return;
    }
    let far = match timeout(PROXY_CONNECT_WAIT_MAX, TcpStream::connect(target)).await {
        Ok(Ok(far)) => far,
        Ok(Err(error)) => return debug!(target, %error, "other side refuses"),
        Err(_) => return debug!(target, "other side is silent"),
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(
        pump(near_read, far_write, Cut::Forth, shape.clone(), counters),
        pump(far_read, near_write, Cut::Back, shape.clone(), counters),
    );
}

/// What can be read; nothing at the end.
async fn next_piece(from: &OwnedReadHalf) -> io::Result<Vec<u8>> {
    loop {
        from.readable().await?;
        let mut piece = Vec::with_capacity(PROXY_BUFFER_BYTES);
        match from.try_read_buf(&mut piece) {
            Ok(_) => {
                piece.shrink_to_fit();
                return Ok(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What was read and is not written yet.
struct Piece {
    due: Instant,
    late: bool,
    bytes: Vec<u8>,
    /// Its room among what may wait.
    _place: OwnedSemaphorePermit,
}

/// Moves one direction. Bytes read while the direction is cut are swallowed; a stream with a hole in it cannot go on
/// after the cut, so the connection is closed when the cut ends.
async fn pump(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Cut,
    shape: watch::Receiver<Shape>,
    counters: &Counters,
) {
    let (delayed, mut due) = mpsc::channel::<Piece>(PROXY_DELAYED_PIECES_MAX);
    let room = Arc::new(Semaphore::new(PROXY_DELAYED_BYTES_MAX));
    let is_cut = |shape: &Shape| shape.cut == direction || shape.cut == Cut::Both;
    let mut shape_reading = shape.clone();
    let reading = async move {
        let mut holed = false;
        loop {
            // Room is made when there is something to read: a connection that waits holds none.
            let read = tokio::select! {
                piece = next_piece(&from) => piece,
                _ = shape_reading.wait_for(|shape| holed && !is_cut(shape)) => return,
            };
            let Ok(piece) = read else { return };
            let bytes = piece.len();
            if bytes == 0 && !holed {
                return;
            }
            let now = *shape_reading.borrow();
            if is_cut(&now) || holed {
                holed = true;
                counters.swallowed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                if bytes == 0 && shape_reading.wait_for(|shape| !is_cut(shape)).await.is_ok() {
                    return;
                }
                continue;
            }
            let Ok(place) = Arc::clone(&room).acquire_many_owned(bytes as u32).await else { return };
            let due = Instant::now() + now.latency;
            let late = !now.latency.is_zero();
            if delayed.send(Piece { due, late, bytes: piece, _place: place }).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some(Piece { due: at, late, bytes: piece, _place }) = due.recv().await {
            sleep_until(at).await;
            let rate = shape.borrow().bytes_per_second;
            if let Some(rate) = rate {
                let micros = piece.len() as u64 * 1_000_000 / rate.max(1);
                sleep(Duration::from_micros(micros)).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
            counters.carried_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if late || rate.is_some() {
                counters.slowed_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(LOOPBACK).await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn proxied() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(LOOPBACK, echo().await.to_string()).await.expect("starts");
        let stream = TcpStream::connect(proxy.address()).await.expect("accepts");
        (proxy, stream)
    }

    #[tokio::test]
    async fn an_unshaped_proxy_carries_bytes_both_ways() {
        let (_proxy, mut stream) = proxied().await;
        let mut answer = [0; 4];

        stream.write_all(b"ping").await.expect("sent");
        stream.read_exact(&mut answer).await.expect("answered");

        assert_eq!(&answer, b"ping");
    }

    #[tokio::test]
    async fn a_cut_swallows_bytes_and_counts_them() {
        let (proxy, mut stream) = proxied().await;
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.expect("sent");
        stream.read_exact(&mut answer).await.expect("answered");

        proxy.reshape(Shape { cut: Cut::Both, ..Shape::default() });
        stream.write_all(b"lost").await.expect("taken by the kernel");
        let heard = timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;

        assert!(heard.is_err());
        assert_eq!(proxy.counters().swallowed_bytes, 4);
    }

    #[tokio::test]
    async fn a_slow_proxy_carries_everything_late_and_counts_it() {
        let (proxy, mut stream) = proxied().await;
        let mut answer = [0; 4];
        proxy.reshape(Shape { latency: Duration::from_millis(20), ..Shape::default() });
        let sent = Instant::now();

        stream.write_all(b"ping").await.expect("sent");
        stream.read_exact(&mut answer).await.expect("answered");

        assert_eq!(&answer, b"ping");
        assert!(sent.elapsed() >= Duration::from_millis(40));
        assert_eq!(proxy.counters().slowed_bytes, 8);
    }

    #[tokio::test]
    async fn a_connection_with_a_hole_is_closed_when_the_cut_ends() {
        let (proxy, mut stream) = proxied().await;
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.expect("sent");
        stream.read_exact(&mut answer).await.expect("answered");
        proxy.reshape(Shape { cut: Cut::Forth, ..Shape::default() });
        stream.write_all(b"lost").await.expect("taken by the kernel");
        while proxy.counters().swallowed_bytes == 0 {
            tokio::task::yield_now().await;
        }

        proxy.reshape(Shape::default());

        assert_eq!(stream.read(&mut answer).await.expect("closed in order"), 0);
    }
}
