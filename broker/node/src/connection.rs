//! One connection: requests in, answers out, in order, until it ends.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use leeward_wire::frame::PREFIX_BYTES;
use leeward_wire::{FrameDecoder, FrameError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{self, RequestError};
use crate::limits::{READ_BYTES, READ_BYTES_MIN, REQUEST_SILENCE_MAX, TAKE_WAIT_MAX};
use crate::shared::{Peer, Shared};

/// Why a connection was closed by the node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("input or output failed")]
    Io(#[from] io::Error),
    #[error("the peer was silent for too long")]
    Idle,
    #[error("the peer does not take its answer")]
    Deaf,
    #[error("the peer hung up in the middle of a request")]
    Cut,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Serves until the peer hangs up, says something that is no request, or the node stops.
pub(crate) async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<(), ConnectionError> {
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.split();
    let mut incoming = Incoming {
        decoder: FrameDecoder { max_frame_bytes: shared.cluster.config.request_bytes_max },
        received: BytesMut::new(),
    };
    let idle_max = shared.cluster.config.idle_max;
    let mut peer = Peer { address, room: shared.answers.peer() };
    loop {
        let request = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            request = timeout(idle_max, incoming.next(&mut from)) => request,
        };
        let Some(request) = request.map_err(|_| ConnectionError::Idle)?? else {
            return Ok(());
        };
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            answer = dispatch::answer(shared, &mut peer, request) => answer?,
        };
        if let Some(answer) = answer {
            tell(&mut to, answer).await?;
        }
        peer.room.give_back();
    }
}

/// Writes an answer as fast as the peer takes it.
async fn tell(to: &mut WriteHalf<'_>, mut answer: Bytes) -> Result<(), ConnectionError> {
    while answer.has_remaining() {
        let taken = timeout(TAKE_WAIT_MAX, to.write_buf(&mut answer)).await;
        if taken.map_err(|_| ConnectionError::Deaf)?? == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
    }
    Ok(())
}

struct Incoming {
    decoder: FrameDecoder,
    received: BytesMut,
}

impl Incoming {
    /// The next whole request; `None` once the peer hung up between two. Memory grows with what was received only.
    async fn next(&mut self, from: &mut ReadHalf<'_>) -> Result<Option<Bytes>, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.received)? {
                return Ok(Some(frame));
            }
            self.make_room();
            let begun = !self.received.is_empty();
            let reading = from.read_buf(&mut self.received);
            let read = if begun {
                timeout(REQUEST_SILENCE_MAX, reading).await.map_err(|_| ConnectionError::Idle)??
            } else {
                reading.await?
            };
            if read == 0 {
                return if begun { Err(ConnectionError::Cut) } else { Ok(None) };
            }
        }
    }
    /// Makes room for the rest of a request that has begun, in steps no larger than what came; a connection that
    /// waits for its next request holds little.
    fn make_room(&mut self) {
        let have = self.received.len();
        if have == 0 {
            self.received = BytesMut::with_capacity(READ_BYTES_MIN);
            return;
        }
        let declared = self.received.first_chunk().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
        let missing = (PREFIX_BYTES + declared).saturating_sub(have);
        self.received.reserve(missing.clamp(READ_BYTES_MIN, have.max(READ_BYTES)));
    }
}
