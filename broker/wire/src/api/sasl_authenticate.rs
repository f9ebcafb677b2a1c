//! `SaslAuthenticate`: carries one SASL token each way.

use bytes::Bytes;

api!(SaslAuthenticate: SaslAuthenticateRequest => SaslAuthenticateResponse, 0..=2, flexible 2);

message! {
    SaslAuthenticateRequest {
        auth_bytes: Bytes [0..];
    }

    SaslAuthenticateResponse {
        error_code: i16 [0..];
        error_message: Option<String> [0..] = Some(String::new());
        auth_bytes: Bytes [0..];
        session_lifetime_ms: i64 [1..], ignorable;
    }
}
