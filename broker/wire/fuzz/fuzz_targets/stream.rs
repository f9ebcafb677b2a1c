//! A client's byte stream as a server meets it: frames, headers, bodies. The golden frames are its corpus.

#![no_main]

use bytes::{Bytes, BytesMut};
use leeward_wire::api::RequestBody;
use leeward_wire::{FrameDecoder, Reader, decode_request_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut received = BytesMut::from(input);
    while let Ok(Some(frame)) = FrameDecoder::default().decode(&mut received) {
        serve(frame);
    }
});

fn serve(frame: Bytes) {
    let mut reader = Reader::new(frame);
    let Ok(header) = decode_request_header(&mut reader) else { return };
    let Ok(body) = RequestBody::decode(header.api_key, header.api_version, &mut reader) else { return };
    let mut out = BytesMut::new();
    body.encode(header.api_version, &mut out).expect("what was decoded can be said in its version");
    let again = RequestBody::decode(header.api_key, header.api_version, &mut Reader::new(out.freeze()));
    assert_eq!(again, Ok(body));
}
