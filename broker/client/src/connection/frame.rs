//! A request on its way out: the pieces that it is written from, so that record batches are never copied together.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};
use leeward_wire::{
    FrameAround,
    record::{RecordBatch, header::HEADER_BYTES},
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::limits::WRITE_SLICES_MAX;

/// The bytes of one frame, in order.
#[derive(Debug)]
pub(crate) struct Frame {
    pieces: Vec<Bytes>,
}

impl From<Bytes> for Frame {
    fn from(whole: Bytes) -> Self {
        Self { pieces: vec![whole] }
    }
}

impl Frame {
    /// The frame with its batches put back, each under its present header.
    pub(super) fn around(frame: FrameAround, batches: &[&RecordBatch]) -> Self {
        assert_eq!(frame.left_out.len(), batches.len(), "the request's byte fields are its batches");
        let mut pieces = Vec::with_capacity(3 * batches.len() + 1);
        let mut taken = 0;
        for ((before, source), batch) in frame.left_out.into_iter().zip(batches) {
            pieces.push(frame.encoded.slice(taken..before));
            pieces.push(Bytes::copy_from_slice(batch.header()));
            pieces.push(source.slice(HEADER_BYTES..));
            taken = before;
        }
        pieces.push(frame.encoded.slice(taken..));
        Self { pieces }
    }
}

/// What was put in line and is not written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pieces: VecDeque<Bytes>,
}

impl Unwritten {
    pub(super) fn push(&mut self, frame: Frame) {
        self.pieces.extend(frame.pieces.into_iter().filter(|piece| !piece.is_empty()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes once, from as many pieces as the writer takes.
    pub(super) async fn write_some(&mut self, write: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            used += 1;
        }
        match write.write_vectored(&slices[..used]).await? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            written => {
                self.advance(written);
                Ok(())
            }
        }
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.pieces.front_mut().filter(|_| written > 0) {
            let whole = first.len() <= written;
            let taken = first.len().min(written);
            written -= taken;
            first.advance(taken);
            if whole {
                self.pieces.pop_front();
            }
        }
    }
}
