//! The two tasks of a connection: one writes frames, one reads answers and hands them to whoever waits.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use leeward_wire::frame::{FrameDecoder, PREFIX_BYTES};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use super::{Line, Outgoing, frame::Unwritten};
use crate::{
    CloseReason,
    limits::{READ_AHEAD_BYTES_MAX, RESPONSE_BYTES_MAX},
};

pub(super) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Starts both; they end with the line.
pub(super) fn spawn(
    line: &Arc<Line>,
    read: ReadHalf,
    write: WriteHalf,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
) {
    let writer = line.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = writer.stop.cancelled() => {}
            result = write_frames(write, outgoing) => {
                if let Err(error) = result {
                    writer.close(CloseReason::Io(Arc::new(error)));
                }
            }
        }
    });
    let reader = line.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = reader.stop.cancelled() => {}
            reason = read_answers(read, &reader) => reader.close(reason),
        }
    });
}

async fn write_frames(
    mut write: WriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> std::io::Result<()> {
    let mut unwritten = Unwritten::default();
    // Room of requests without an answer, held until they are written.
    let mut rooms = Vec::new();
    while let Some(first) = outgoing.recv().await {
        unwritten.push(first.frame);
        rooms.extend(first.room);
        while !unwritten.is_empty() {
            while let Ok(next) = outgoing.try_recv() {
                unwritten.push(next.frame);
                rooms.extend(next.room);
            }
            unwritten.write_some(&mut write).await?;
        }
        write.flush().await?;
        rooms.clear();
    }
    Ok(())
}

async fn read_answers(mut read: ReadHalf, line: &Line) -> CloseReason {
    let decoder = FrameDecoder { max_frame_bytes: RESPONSE_BYTES_MAX };
    let mut received = BytesMut::new();
    loop {
        match decoder.decode(&mut received) {
            Ok(Some(frame)) => {
                if let Err(reason) = hand_over(line, frame) {
                    return reason;
                }
            }
            Ok(None) => {
                received.reserve(read_ahead(&received));
                match read.read_buf(&mut received).await {
                    Ok(0) => return CloseReason::ByBroker,
                    Ok(_) => {}
                    Err(error) => return CloseReason::Io(Arc::new(error)),
                }
            }
            Err(error) => return error.into(),
        }
    }
}

/// How much room to make: for the rest of the frame, but not for all that a prefix may claim.
fn read_ahead(received: &BytesMut) -> usize {
    const SMALL: usize = 16 * 1024;
    let rest = received.first_chunk::<PREFIX_BYTES>().map_or(0, |prefix| {
        usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0).saturating_add(PREFIX_BYTES)
            - received.len()
    });
    rest.clamp(SMALL, READ_AHEAD_BYTES_MAX)
}

fn hand_over(line: &Line, frame: Bytes) -> Result<(), CloseReason> {
    let expected = line.waiting.lock().answers.pop_front().ok_or(CloseReason::OutOfOrder)?;
    let in_order =
        frame.first_chunk::<4>().is_some_and(|bytes| i32::from_be_bytes(*bytes) == expected.correlation_id);
    if !in_order {
        // This one is out of the queue already, so it is told here.
        let _ = expected.reply.send(Err(CloseReason::OutOfOrder));
        return Err(CloseReason::OutOfOrder);
    }
    // A caller that no longer waits does not need the answer.
    let _ = expected.reply.send(Ok(frame));
    Ok(())
}
