//! A connection that ends by itself when its peer is silent or does not read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A peer's connection, with its place among those of the port.
#[derive(Debug)]
pub struct GuardedStream {
    stream: TcpStream,
    silence: Option<Deadline>,
    take: Deadline,
    _place: OwnedSemaphorePermit,
}

impl GuardedStream {
    pub(super) fn new(
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        silence_max: Option<Duration>,
        take_max: Duration,
    ) -> Self {
        let silence = silence_max.map(Deadline::new);
        Self { stream, silence, take: Deadline::new(take_max), _place: place }
    }

    /// Errs where nothing could be written for too long.
    fn taken<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match wrote {
            Poll::Ready(wrote) => {
                self.take.clear();
                Poll::Ready(wrote)
            }
            Poll::Pending => self.take.poll(cx, "the peer does not read").map(Err),
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        match (read, &mut self.silence) {
            (Poll::Pending, Some(silence)) => silence.poll(cx, "the peer is silent").map(Err),
            (read, Some(silence)) => {
                silence.clear();
                read
            }
            (read, None) => read,
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.taken(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.taken(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for GuardedStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

/// Begins to run when something is waited for, and is cleared when it comes.
#[derive(Debug)]
struct Deadline {
    within: Duration,
    sleep: Pin<Box<Sleep>>,
    runs: bool,
}

impl Deadline {
    fn new(within: Duration) -> Self {
        Self { within, sleep: Box::pin(sleep(within)), runs: false }
    }

    fn clear(&mut self) {
        self.runs = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<io::Error> {
        if !self.runs {
            self.runs = true;
            self.sleep.as_mut().reset(Instant::now() + self.within);
        }
        self.sleep.as_mut().poll(cx).map(|()| io::Error::new(io::ErrorKind::TimedOut, what))
    }
}
