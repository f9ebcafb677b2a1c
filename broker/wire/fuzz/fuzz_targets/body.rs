//! A body of any API, both directions: the first two bytes pick API and version.

#![no_main]

use bytes::{Bytes, BytesMut};
use leeward_wire::Reader;
use leeward_wire::api::{RequestBody, ResponseBody, SPOKEN, versions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [api, version, body @ ..] = input else { return };
    let api = SPOKEN[usize::from(*api) % SPOKEN.len()];
    let (min, max) = versions(api).expect("spoken");
    let version = min + i16::from(*version) % (max - min + 1);
    let body = Bytes::copy_from_slice(body);
    if let Ok(request) = RequestBody::decode(api, version, &mut Reader::new(body.clone())) {
        let mut out = BytesMut::new();
        request.encode(version, &mut out).expect("what was decoded can be said in its version");
        assert_eq!(RequestBody::decode(api, version, &mut Reader::new(out.freeze())), Ok(request));
    }
    if let Ok(response) = ResponseBody::decode(api, version, &mut Reader::new(body)) {
        let mut out = BytesMut::new();
        response.encode(version, &mut out).expect("what was decoded can be said in its version");
        assert_eq!(ResponseBody::decode(api, version, &mut Reader::new(out.freeze())), Ok(response));
    }
});
