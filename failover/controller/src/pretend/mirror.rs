//! A mirror agent that only pretends, over gRPC.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use leeward_proto::link::{
    GroupsReply, LinkEvent, LinkEventsRequest, LinkReply, LinkRequest, PartitionPosition, SealReply,
    SealRequest, StartRequest, TranslateReply, TranslateRequest, Watermark, WatermarkUpdate,
    link_server::{Link, LinkServer},
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status as GrpcStatus};

/// A mirror that keeps up with ten records, and loses the last of them where its source dies.
#[derive(Debug, Default)]
pub(crate) struct PretendMirror {
    /// Links that are sealed, and under which epoch.
    pub(crate) sealed: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Whether it was started again, and nobody gave it leave since.
    pub(crate) waits: Arc<AtomicBool>,
    /// Under which epoch it was started last, once it has begun.
    pub(crate) epoch: Arc<AtomicU64>,
    /// Whether a link that is started begins only once somebody ends its waiting.
    pub(crate) begins_late: bool,
    /// Links whose target's topics were to be made anew.
    pub(crate) made_anew: Arc<Mutex<Vec<String>>>,
    /// Whether its answers to seals get lost.
    pub(crate) loses_answers: bool,
}

impl PretendMirror {
    /// Answers from its own task; says where.
    pub(crate) async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = tonic::transport::Server::builder().add_service(LinkServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, GrpcStatus>> + Send>>;

fn reply(link: &str) -> LinkReply {
    LinkReply {
        link: link.to_owned(),
        state: "running".into(),
        rpo_millis: 20,
        topics_compared: true,
        groups_known: true,
        partitions: vec![PartitionPosition {
            topic: "orders".into(),
            state: "active".into(),
            acknowledged_to: 10,
            source_end: 10,
            ..PartitionPosition::default()
        }],
        ..LinkReply::default()
    }
}

#[tonic::async_trait]
impl Link for PretendMirror {
    type WatermarksStream = Answers<WatermarkUpdate>;
    type EventsStream = Answers<LinkEvent>;

    async fn status(&self, request: Request<LinkRequest>) -> Result<Response<LinkReply>, GrpcStatus> {
        let link = &request.get_ref().link;
        if self.waits.load(Relaxed) {
            return Ok(Response::new(LinkReply { state: "waiting".into(), ..LinkReply::default() }));
        }
        let state = if self.sealed.lock().contains_key(link) { "sealed" } else { "running" };
        Ok(Response::new(LinkReply { state: state.into(), epoch: self.epoch.load(Relaxed), ..reply(link) }))
    }

    async fn watermarks(
        &self,
        _: Request<LinkRequest>,
    ) -> Result<Response<Self::WatermarksStream>, GrpcStatus> {
        Err(GrpcStatus::unimplemented("not asked by the controller"))
    }

    async fn translate(&self, _: Request<TranslateRequest>) -> Result<Response<TranslateReply>, GrpcStatus> {
        Err(GrpcStatus::unimplemented("not asked by the controller"))
    }

    async fn start(&self, request: Request<StartRequest>) -> Result<Response<LinkReply>, GrpcStatus> {
        let asked = request.get_ref();
        let mut sealed = self.sealed.lock();
        let of_seal = sealed.get(&asked.link).copied();
        if of_seal.is_some_and(|epoch| asked.epoch < epoch + u64::from(!asked.takes_back_seal)) {
            return Err(GrpcStatus::failed_precondition("link is fenced"));
        }
        sealed.remove(&asked.link);
        if asked.topics_made_anew {
            self.made_anew.lock().push(asked.link.clone());
        }
        self.waits.store(self.begins_late, Relaxed);
        self.epoch.fetch_max(asked.epoch, Relaxed);
        Ok(Response::new(reply(&asked.link)))
    }

    async fn seal(&self, request: Request<SealRequest>) -> Result<Response<SealReply>, GrpcStatus> {
        if self.waits.load(Relaxed) {
            return Err(GrpcStatus::failed_precondition("link does not run"));
        }
        self.sealed.lock().insert(request.get_ref().link.clone(), request.get_ref().epoch);
        if self.loses_answers {
            return Err(GrpcStatus::unavailable("the answer is lost"));
        }
        let drains = !request.get_ref().drain_to.is_empty();
        let replicated_to = if drains { 10 } else { 9 };
        let watermark = Watermark {
            topic: "orders".into(),
            replicated_to,
            target_end: replicated_to,
            ..Watermark::default()
        };
        Ok(Response::new(SealReply { watermarks: vec![watermark], groups: Vec::new(), drained: drains }))
    }

    async fn groups(&self, _: Request<LinkRequest>) -> Result<Response<GroupsReply>, GrpcStatus> {
        Ok(Response::new(GroupsReply::default()))
    }

    async fn events(
        &self,
        request: Request<LinkEventsRequest>,
    ) -> Result<Response<Self::EventsStream>, GrpcStatus> {
        let event = |number, code: &str| LinkEvent {
            number,
            link: "a-to-b".into(),
            code: code.into(),
            topic: "orders".into(),
            from_offset: 41,
            to_offset: 42,
            ..LinkEvent::default()
        };
        let after = request.get_ref().after;
        let remembered = [event(7, "active"), event(8, "foreign-write")];
        let told = remembered.into_iter().filter(move |event| event.number > after).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(told).chain(tokio_stream::pending()))))
    }
}
