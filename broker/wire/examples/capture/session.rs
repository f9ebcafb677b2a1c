//! One connection that keeps what goes over it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use leeward_wire::api::{
    ApiVersionsResponse, DescribeGroupsRequest, DescribeTransactionsRequest, FindCoordinatorRequest,
    InitProducerIdRequest,
};
use leeward_wire::{
    ApiKey, ErrorCode, FrameDecoder, Message, Reader, Request, decode_response_header, encode_request,
};

use crate::{GROUP, TRANSACTION};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ATTEMPTS_MAX: u32 = 100;
const ATTEMPT_GAP: Duration = Duration::from_millis(200);

pub(crate) struct Session {
    address: String,
    stream: TcpStream,
    received: BytesMut,
    pub(crate) broker: ApiVersionsResponse,
    pub(crate) frames: BTreeMap<ApiKey, Vec<u8>>,
}

impl Session {
    pub(crate) fn new(address: &str) -> Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            stream: TcpStream::connect(address)?,
            received: BytesMut::new(),
            broker: ApiVersionsResponse::default(),
            frames: BTreeMap::new(),
        })
    }

    pub(crate) fn versions<R: Request>(&self) -> RangeInclusive<i16> {
        match self.broker.versions(R::KEY) {
            Some((min, max)) => min.max(R::MIN_VERSION)..=max.min(R::MAX_VERSION),
            None => RangeInclusive::new(1, 0),
        }
    }

    /// Asks in the newest common version.
    pub(crate) fn newest<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let version = *self.versions::<R>().end();
        self.ask(version, request)
    }

    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let sent = encode_request(version, i32::from(version), Some("golden"), request)?;
        self.stream.write_all(&sent)?;
        let frame = self.receive()?;
        let kept = self.frames.entry(R::KEY).or_default();
        kept.extend_from_slice(&sent);
        kept.extend_from_slice(&(frame.len() as i32).to_be_bytes());
        kept.extend_from_slice(&frame);
        let mut input = Reader::new(frame);
        decode_response_header(&mut input, R::KEY, version)?;
        let response = R::Response::decode(&mut input, version)?;
        input.finish()?;
        Ok(response)
    }

    fn receive(&mut self) -> Result<Bytes> {
        loop {
            if let Some(frame) = FrameDecoder::default().decode(&mut self.received)? {
                return Ok(frame);
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err("the broker closed".into());
            }
            self.received.extend_from_slice(&chunk[..read]);
        }
    }

    /// Asks the same in every common version.
    pub(crate) fn each<R: Request>(&mut self, request: &R) -> Result<()> {
        for version in self.versions::<R>() {
            self.ask(version, request)?;
        }
        Ok(())
    }

    pub(crate) fn reconnect(&mut self) -> Result<()> {
        self.stream = TcpStream::connect(&self.address)?;
        self.received.clear();
        Ok(())
    }
}

/// Waits until the broker has loaded what it coordinates, so that the captured answers are not all "try again".
pub(crate) fn wait_for_coordinators(address: &str, broker: &ApiVersionsResponse) -> Result<()> {
    let mut session = Session::new(address)?;
    session.broker = broker.clone();
    for _ in 0..ATTEMPTS_MAX {
        let mut loaded = true;
        let producer =
            session.newest(&InitProducerIdRequest { transactional_id: None, ..Default::default() })?;
        loaded &= producer.error_code == 0;
        for (key_type, key) in [(0, GROUP), (1, TRANSACTION)] {
            let coordinator_keys = vec![key.to_owned()];
            let found = session.newest(&FindCoordinatorRequest {
                key_type,
                coordinator_keys,
                ..Default::default()
            })?;
            loaded &= found.coordinators.iter().all(|coordinator| coordinator.error_code == 0);
        }
        if loaded {
            let groups = session
                .newest(&DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() })?;
            let transactions = session
                .newest(&DescribeTransactionsRequest { transactional_ids: vec![TRANSACTION.into()] })?;
            let busy = [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.code(), ErrorCode::NOT_COORDINATOR.code()];
            if !busy.contains(&groups.groups[0].error_code)
                && !busy.contains(&transactions.transaction_states[0].error_code)
            {
                return Ok(());
            }
        }
        thread::sleep(ATTEMPT_GAP);
    }
    Err("the coordinators did not come up".into())
}
