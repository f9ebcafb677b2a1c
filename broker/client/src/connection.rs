//! One connection to one broker: requests go out in call order, answers come back in the same order.

mod frame;
mod login;
mod open;
mod tasks;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use leeward_wire::{
    ApiKey, Message, Reader, Request, RequestHeader, encode_request, encode_request_around,
    record::RecordBatch,
};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) use frame::Frame;
pub(crate) use open::{Dialer, Opened};

use crate::{Address, CloseReason, RequestError, Unsupported};

/// A handle on one connection; clones share it. It closes when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

/// What handle and tasks have in common.
struct Shared {
    address: Address,
    client_id: String,
    /// Within which a request is answered where its caller says nothing else.
    request_timeout: Duration,
    line: Arc<Line>,
    versions: OnceLock<BTreeMap<ApiKey, (i16, i16)>>,
    /// When the login runs out and new requests should go elsewhere.
    stale_at: OnceLock<Instant>,
    next_correlation: AtomicI32,
    room: Arc<Semaphore>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.line.close(CloseReason::ByUs);
    }
}

/// The way to the tasks that read and write.
struct Line {
    /// Requests in the order of their going out, with the lock that keeps both orders the same.
    waiting: Mutex<Waiting>,
    closed: OnceLock<CloseReason>,
    stop: CancellationToken,
}

struct Waiting {
    answers: VecDeque<Expected>,
    /// Unbounded, but each entry holds a permit of `room`.
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

/// An answer that is due.
struct Expected {
    correlation_id: i32,
    reply: oneshot::Sender<Result<Bytes, CloseReason>>,
    _room: OwnedSemaphorePermit,
}

/// A frame to be written.
struct Outgoing {
    frame: Frame,
    /// Held until the frame is written, where no answer will free it.
    room: Option<OwnedSemaphorePermit>,
}

impl Line {
    /// Ends the connection; the first reason stays.
    fn close(&self, reason: CloseReason) {
        let reason = self.closed.get_or_init(|| reason).clone();
        let answers = std::mem::take(&mut self.waiting.lock().answers);
        for expected in answers {
            // A caller that no longer waits needs no reason.
            let _ = expected.reply.send(Err(reason.clone()));
        }
        self.stop.cancel();
    }
}

/// The answer to a request that is on its way. Dropping it does not take the request back.
#[must_use = "the answer is lost unless it is awaited"]
pub struct Pending<R: Request> {
    raw: PendingRaw,
    version: i16,
    request: std::marker::PhantomData<fn() -> R>,
}

impl<R: Request> Pending<R> {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; after a timeout the connection is closed.
    pub async fn answer(self) -> Result<R::Response, RequestError> {
        let address = self.raw.connection.shared.address.clone();
        let bytes = self.raw.answer().await?;
        decode_body::<R>(bytes, self.version).map_err(|source| RequestError::Decode { address, source })
    }

    /// The version the request went out in.
    pub fn version(&self) -> i16 {
        self.version
    }
}

fn decode_body<R: Request>(bytes: Bytes, version: i16) -> Result<R::Response, leeward_wire::DecodeError> {
    let mut input = Reader::new(bytes);
    let response = R::Response::decode(&mut input, version)?;
    input.finish()?;
    Ok(response)
}

/// The undecoded answer to a request that is on its way.
#[must_use = "the answer is lost unless it is awaited"]
pub struct PendingRaw {
    connection: Connection,
    api: ApiKey,
    version: i16,
    after: Duration,
    deadline: Instant,
    reply: oneshot::Receiver<Result<Bytes, CloseReason>>,
}

impl PendingRaw {
    /// Waits for the answer's body.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; after a timeout the connection is closed.
    pub async fn answer(self) -> Result<Bytes, RequestError> {
        let shared = &self.connection.shared;
        let frame = match tokio::time::timeout_at(self.deadline, self.reply).await {
            Ok(Ok(Ok(frame))) => frame,
            Ok(Ok(Err(reason))) => return Err(shared.closed(self.api, reason)),
            Ok(Err(_)) => return Err(shared.closed(self.api, shared.close_reason())),
            Err(_) => {
                shared.line.close(CloseReason::Timeout { api: self.api, after: self.after });
                return Err(shared.timeout(self.api, self.after));
            }
        };
        let mut input = Reader::new(frame);
        leeward_wire::decode_response_header(&mut input, self.api, self.version)
            .map_err(|source| RequestError::Decode { address: shared.address.clone(), source })?;
        Ok(input.into_rest())
    }
}

impl Shared {
    fn closed(&self, api: ApiKey, reason: CloseReason) -> RequestError {
        RequestError::Closed { address: self.address.clone(), api, source: reason }
    }

    fn timeout(&self, api: ApiKey, after: Duration) -> RequestError {
        RequestError::Timeout { address: self.address.clone(), api, after }
    }

    fn close_reason(&self) -> CloseReason {
        self.line.closed.get().cloned().unwrap_or(CloseReason::ByUs)
    }

    fn next_correlation(&self) -> i32 {
        self.next_correlation.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }
}

impl Connection {
    /// Where the broker was reached.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Whether new requests should take a new connection: this one has ended, or its login soon will.
    pub fn is_spent(&self) -> bool {
        self.shared.line.closed.get().is_some()
            || self.shared.stale_at.get().is_some_and(|at| Instant::now() >= *at)
    }

    /// Why the connection ended; `None` while it lives.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.line.closed.get().cloned()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.shared.line.stop.cancelled().await;
    }

    /// Ends the connection; everybody who waits for an answer is told.
    pub fn close(&self) {
        self.shared.line.close(CloseReason::ByUs);
    }

    /// The versions of an API that the broker speaks.
    pub fn broker_versions(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.shared.versions.get().and_then(|versions| versions.get(&api)).copied()
    }

    /// The newest version of `R` that both sides speak.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] where there is none.
    pub fn version_for<R: Request>(&self) -> Result<i16, Unsupported> {
        self.version_up_to::<R>(R::MAX_VERSION)
    }

    /// The newest version of `R` that both sides speak and that is not above `cap`.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] where there is none.
    pub fn version_up_to<R: Request>(&self, cap: i16) -> Result<i16, Unsupported> {
        let ours = (R::MIN_VERSION, R::MAX_VERSION.min(cap));
        let broker = self.broker_versions(R::KEY);
        let unsupported = || Unsupported { address: self.shared.address.clone(), api: R::KEY, broker, ours };
        let (min, max) = broker.ok_or_else(unsupported)?;
        let newest = max.min(ours.1);
        if newest >= min.max(ours.0) { Ok(newest) } else { Err(unsupported()) }
    }

    /// Sends `request` and waits for its answer, as long as the configuration says.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn send<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, RequestError> {
        self.send_within(request, version, self.shared.request_timeout).await
    }

    /// Sends `request` and waits for its answer for at most `timeout`; then the connection is closed.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn send_within<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<R::Response, RequestError> {
        self.submit(request, version, timeout).await?.answer().await
    }

    /// Puts `request` in line and returns at once when there is room. Requests go out in the order in which calls of
    /// this return, so a caller that awaits each before the next has them in its own order.
    ///
    /// # Errors
    ///
    /// [`RequestError`] when the request cannot be encoded, or the connection has ended.
    pub async fn submit<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<Pending<R>, RequestError> {
        let correlation_id = self.shared.next_correlation();
        let frame = self.encode(request, version, correlation_id)?.into();
        let raw = self.submit_frame(R::KEY, version, correlation_id, frame, timeout).await?;
        Ok(Pending { raw, version, request: std::marker::PhantomData })
    }

    /// As [`Connection::submit`]; the request's record batches go out under the headers of `batches`, without being copied. The
    /// request has those batches as its byte fields, in the same order.
    pub(crate) async fn submit_batches<R: Request>(
        &self,
        request: &R,
        batches: &[&RecordBatch],
        version: i16,
        timeout: Duration,
    ) -> Result<Pending<R>, RequestError> {
        let correlation_id = self.shared.next_correlation();
        let frame = self.encode_around(request, batches, version, correlation_id)?;
        let raw = self.submit_frame(R::KEY, version, correlation_id, frame, timeout).await?;
        Ok(Pending { raw, version, request: std::marker::PhantomData })
    }

    /// As [`Connection::submit_batches`], for a request that no broker answers; returns when it is in line.
    pub(crate) async fn send_batches_no_response<R: Request>(
        &self,
        request: &R,
        batches: &[&RecordBatch],
        version: i16,
    ) -> Result<(), RequestError> {
        let frame = self.encode_around(request, batches, version, self.shared.next_correlation())?;
        self.send_no_response_frame(R::KEY, frame).await
    }

    /// Sends a request that no broker answers, as a produce request with acks 0; returns when it is in line.
    ///
    /// # Errors
    ///
    /// [`RequestError`] when the request cannot be encoded, or the connection has ended.
    pub async fn send_no_response<R: Request>(&self, request: &R, version: i16) -> Result<(), RequestError> {
        let frame = self.encode(request, version, self.shared.next_correlation())?;
        self.send_no_response_frame(R::KEY, frame.into()).await
    }

    /// Puts a request in line whose body is already encoded in the version that `header` names. The header's correlation
    /// id is replaced by one of ours; the answer is the response's body, without its header.
    ///
    /// # Errors
    ///
    /// [`RequestError`] when the header cannot be encoded, or the connection has ended.
    pub async fn submit_raw(
        &self,
        header: &RequestHeader,
        body: &[u8],
        timeout: Duration,
    ) -> Result<PendingRaw, RequestError> {
        let correlation_id = self.shared.next_correlation();
        let frame = self.encode_raw(header, body, correlation_id)?;
        self.submit_frame(header.api_key, header.api_version, correlation_id, frame.into(), timeout).await
    }

    /// [`Connection::submit_raw`], and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn send_raw(
        &self,
        header: &RequestHeader,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        self.submit_raw(header, body, timeout).await?.answer().await
    }

    /// [`Connection::submit_raw`] for a request that no broker answers.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn send_raw_no_response(
        &self,
        header: &RequestHeader,
        body: &[u8],
    ) -> Result<(), RequestError> {
        let frame = self.encode_raw(header, body, self.shared.next_correlation())?;
        self.send_no_response_frame(header.api_key, frame.into()).await
    }

    /// How long a request waits for its answer where its caller says nothing else.
    pub fn request_timeout(&self) -> Duration {
        self.shared.request_timeout
    }

    fn encode<R: Request>(
        &self,
        request: &R,
        version: i16,
        correlation_id: i32,
    ) -> Result<Bytes, RequestError> {
        encode_request(version, correlation_id, Some(&self.shared.client_id), request)
            .map_err(|source| RequestError::Encode { address: self.shared.address.clone(), source })
    }

    fn encode_around<R: Request>(
        &self,
        request: &R,
        batches: &[&RecordBatch],
        version: i16,
        correlation_id: i32,
    ) -> Result<Frame, RequestError> {
        encode_request_around(version, correlation_id, Some(&self.shared.client_id), request)
            .map(|around| Frame::around(around, batches))
            .map_err(|source| RequestError::Encode { address: self.shared.address.clone(), source })
    }

    fn encode_raw(
        &self,
        header: &RequestHeader,
        body: &[u8],
        correlation_id: i32,
    ) -> Result<Bytes, RequestError> {
        let header = RequestHeader { correlation_id, ..header.clone() };
        let mut head = BytesMut::new();
        header
            .encode(&mut head)
            .map_err(|source| RequestError::Encode { address: self.shared.address.clone(), source })?;
        let size = head.len() + body.len();
        let mut frame = BytesMut::with_capacity(leeward_wire::frame::PREFIX_BYTES + size);
        frame.put_i32(i32::try_from(size).unwrap_or(i32::MAX));
        frame.extend_from_slice(&head);
        frame.extend_from_slice(body);
        Ok(frame.freeze())
    }

    async fn room(
        &self,
        api: ApiKey,
        deadline: Instant,
        after: Duration,
    ) -> Result<OwnedSemaphorePermit, RequestError> {
        let acquired = tokio::select! {
            biased;
            () = self.shared.line.stop.cancelled() => {
                return Err(self.shared.closed(api, self.shared.close_reason()));
            }
            acquired = tokio::time::timeout_at(deadline, self.shared.room.clone().acquire_owned()) => acquired,
        };
        match acquired {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(self.shared.timeout(api, after)),
        }
    }

    async fn submit_frame(
        &self,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        frame: Frame,
        after: Duration,
    ) -> Result<PendingRaw, RequestError> {
        let deadline = Instant::now() + after;
        let room = self.room(api, deadline, after).await?;
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = self.shared.line.waiting.lock();
            if let Some(reason) = self.shared.line.closed.get() {
                return Err(self.shared.closed(api, reason.clone()));
            }
            waiting.answers.push_back(Expected { correlation_id, reply, _room: room });
            // The receiver lives until the line is closed, which then answers for it.
            let _ = waiting.outgoing.send(Outgoing { frame, room: None });
        }
        Ok(PendingRaw { connection: self.clone(), api, version, after, deadline, reply: answer })
    }

    async fn send_no_response_frame(&self, api: ApiKey, frame: Frame) -> Result<(), RequestError> {
        let after = self.shared.request_timeout;
        let room = self.room(api, Instant::now() + after, after).await?;
        let waiting = self.shared.line.waiting.lock();
        if let Some(reason) = self.shared.line.closed.get() {
            return Err(self.shared.closed(api, reason.clone()));
        }
        // The receiver lives until the line is closed.
        let _ = waiting.outgoing.send(Outgoing { frame, room: Some(room) });
        Ok(())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.shared.address)
            .field("closed", &self.shared.line.closed.get())
            .finish_non_exhaustive()
    }
}

impl<R: Request> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

impl fmt::Debug for PendingRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRaw").field("api", &self.api).finish_non_exhaustive()
    }
}
