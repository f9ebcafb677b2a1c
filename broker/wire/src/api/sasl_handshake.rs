//! `SaslHandshake`: picks the SASL mechanism.

api!(SaslHandshake: SaslHandshakeRequest => SaslHandshakeResponse, 0..=1, flexible i16::MAX);

message! {
    SaslHandshakeRequest {
        mechanism: String [0..];
    }

    SaslHandshakeResponse {
        error_code: i16 [0..];
        mechanisms: Vec<String> [0..];
    }
}
