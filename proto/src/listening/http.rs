//! HTTP/1.1 with every part of a request bounded in bytes and in time.

use std::{convert::Infallible, error::Error};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::CONNECTION,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Duration, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::codegen::Service;
use tracing::debug;

use super::{Certified, Connection, Connections, Patience};
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, SHUTDOWN_WAIT_MAX};

/// Serves until `stop`; requests that are worked on then get [`SHUTDOWN_WAIT_MAX`]. Who shows no certificate where the
/// port has TLS may read, and no more.
pub async fn serve_http<S, B>(mut connections: Connections, service: S, stop: CancellationToken)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + From<&'static str> + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let patience = connections.patience;
    let tasks = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = connections.accept() => accepted,
        };
        let (service, stop) = (service.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serve_one(stream, service, patience, stop).await {
                debug!(%peer, %error, "http connection closed");
            }
        });
    }
    tasks.close();
    // Those who are still served are told nothing more: the process ends.
    let _ = timeout(SHUTDOWN_WAIT_MAX, tasks.wait()).await;
}

async fn serve_one<S, B>(
    stream: Connection,
    service: S,
    patience: Patience,
    stop: CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + From<&'static str> + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let certified = stream.certified();
    let answer = service_fn(move |request| answer(service.clone(), certified, patience.body, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        ended = connection.as_mut() => return ended,
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Has the body before anybody works on the request.
async fn answer<S, B>(
    mut service: S,
    certified: Certified,
    body_max: Duration,
    request: Request<Incoming>,
) -> Result<Response<B>, Infallible>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: From<&'static str>,
{
    let (head, body) = request.into_parts();
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if certified == Certified::No && !reads {
        return Ok(refused(StatusCode::FORBIDDEN, "only who shows a certificate may do more than read\n"));
    }
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n"));
    }
    match timeout(body_max, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => service.call(Request::from_parts(head, Full::new(body.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n"))
        }
        Ok(Err(_)) => Ok(refused(StatusCode::BAD_REQUEST, "the body cannot be read\n")),
        Err(_) => Ok(refused(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")),
    }
}

fn refused<B: From<&'static str>>(status: StatusCode, why: &'static str) -> Response<B> {
    let mut response = Response::new(B::from(why));
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
    response
}
