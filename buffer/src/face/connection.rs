//! One client's connection: requests are read in order and answered in order. Batches are handed to the disk as they
//! come; everything else waits for its turn, as at a broker.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use leeward_wire::api::RequestBody;
use leeward_wire::frame::FrameDecoder;
use leeward_wire::{ApiKey, Reader, RequestHeader, decode_request_header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::asked::{Asked, Closed};
use super::produce::{self, Produced};
use super::upstream::Upstream;
use super::{Face, relay, versions};
use crate::limits::{
    CLIENT_IDLE_MAX, CLIENT_SILENCE_MAX, CLIENT_WRITE_TIMEOUT, READ_ROOM_BYTES, READ_ROOM_BYTES_IDLE,
    REQUEST_FRAME_BYTES_MAX, REQUESTS_WAITING_BYTES_MAX, REQUESTS_WAITING_MAX,
};

/// A request that waits for its turn.
pub(super) enum Job {
    Produced { header: RequestHeader, produced: Produced },
    Asked(Asked),
}

/// A request that waits, with the room that its bytes take among those of the connection.
type Waiting = (Job, OwnedSemaphorePermit);

pub(super) async fn serve(
    face: Face,
    reading: impl AsyncRead + Unpin + Send,
    writing: impl AsyncWrite + Unpin + Send,
) {
    let (jobs, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
    let reader = read(face.clone(), reading, jobs);
    let worker = work(face, writing, waiting);
    tokio::select! {
        () = worker => {}
        () = async { reader.await; std::future::pending().await } => {}
    }
}

async fn read(face: Face, mut stream: impl AsyncRead + Unpin + Send, jobs: mpsc::Sender<Waiting>) {
    let decoder = FrameDecoder { max_frame_bytes: REQUEST_FRAME_BYTES_MAX };
    let room = Arc::new(Semaphore::new(REQUESTS_WAITING_BYTES_MAX));
    let mut received = BytesMut::new();
    loop {
        match decoder.decode(&mut received) {
            Ok(Some(frame)) => {
                let bytes = u32::try_from(frame.len().min(REQUESTS_WAITING_BYTES_MAX)).unwrap_or(u32::MAX);
                let Ok(place) = room.clone().acquire_many_owned(bytes).await else { return };
                let Ok(job) = take(&face, frame) else { return };
                if jobs.send((job, place)).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                let silence_max = if received.is_empty() { CLIENT_IDLE_MAX } else { CLIENT_SILENCE_MAX };
                make_room(&mut received);
                match tokio::time::timeout(silence_max, stream.read_buf(&mut received)).await {
                    Ok(Ok(1..)) => {}
                    Ok(Ok(_) | Err(_)) | Err(_) => return,
                }
            }
            Err(error) => {
                tracing::debug!(%error, "client sends what is no request");
                return;
            }
        }
    }
}

/// A connection that waits for its next request holds little; one in the middle of a request grows as it comes.
fn make_room(received: &mut BytesMut) {
    if received.is_empty() {
        *received = BytesMut::with_capacity(READ_ROOM_BYTES_IDLE);
    } else {
        received.reserve(READ_ROOM_BYTES);
    }
}

/// Reads a request; batches go to the disk at once.
fn take(face: &Face, frame: Bytes) -> Result<Job, Closed> {
    let mut input = Reader::new(frame);
    let header = decode_request_header(&mut input).map_err(|error| {
        tracing::debug!(%error, "client sends what is no request");
        Closed
    })?;
    if header.api_key == ApiKey::ApiVersions {
        return Ok(Job::Asked(versions::asked(header)));
    }
    if !versions::speaks(header.api_key, header.api_version) {
        tracing::debug!(api = ?header.api_key, version = header.api_version, "client speaks another version");
        return Err(Closed);
    }
    let raw = input.clone().into_rest();
    let body = RequestBody::decode(header.api_key, header.api_version, &mut input).map_err(|error| {
        tracing::debug!(%error, "client sends what is no request");
        Closed
    })?;
    match body {
        RequestBody::Produce(request) if request.transactional_id.is_none() => {
            let produced = produce::produce(face, request);
            Ok(Job::Produced { header, produced })
        }
        body => Ok(Job::Asked(Asked { header, raw, body })),
    }
}

async fn work(face: Face, mut stream: impl AsyncWrite + Unpin + Send, mut jobs: mpsc::Receiver<Waiting>) {
    let mut upstream = Upstream::new(&face.hub);
    let mut room = face.answers.peer();
    while let Some((job, _place)) = jobs.recv().await {
        let answer = match job {
            Job::Produced { header, produced } => produced.answer(&header).await,
            Job::Asked(asked) => relay::answer(&face, &mut upstream, asked, &mut room).await,
        };
        match answer {
            Ok(Some(frame)) => {
                let written = tokio::time::timeout(CLIENT_WRITE_TIMEOUT, write(&mut stream, &frame)).await;
                if !matches!(written, Ok(Ok(()))) {
                    return;
                }
            }
            Ok(None) => {}
            Err(Closed) => return,
        }
        room.give_back();
    }
}

/// Writes a frame. What encrypts keeps the end of a frame back until it is flushed.
async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    stream.write_all(frame).await?;
    stream.flush().await
}
