//! Logs in over a fresh connection: SASL PLAIN and SCRAM, inside Kafka's own requests.

use std::time::Duration;

use bytes::Bytes;
use leeward_wire::{
    ErrorCode,
    api::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest},
};
use secrecy::ExposeSecret;

use super::Connection;
use crate::{
    ConnectError, Credentials, RequestError, Sasl, ScramError,
    scram::{ScramHash, ScramStart, random_nonce},
};

/// Logs in; the answer is how long the login holds, where the broker limits it.
pub(super) async fn login(connection: &Connection, sasl: &Sasl) -> Result<Option<Duration>, ConnectError> {
    shake_hands(connection, sasl.mechanism()).await?;
    let lifetime_ms = match sasl {
        Sasl::Plain(credentials) => plain(connection, credentials).await?,
        Sasl::ScramSha256(credentials) => scram(connection, credentials, ScramHash::Sha256).await?,
        Sasl::ScramSha512(credentials) => scram(connection, credentials, ScramHash::Sha512).await?,
    };
    Ok(u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis))
}

fn failed(connection: &Connection) -> impl Fn(RequestError) -> ConnectError + '_ {
    |error| ConnectError::Handshake { address: connection.address().clone(), source: Box::new(error) }
}

async fn shake_hands(connection: &Connection, mechanism: &'static str) -> Result<(), ConnectError> {
    let request = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
    let version = connection.version_for::<SaslHandshakeRequest>().map_err(RequestError::from);
    let version = version.map_err(failed(connection))?;
    let answer = connection.send(&request, version).await.map_err(failed(connection))?;
    match ErrorCode::new(answer.error_code) {
        ErrorCode::NONE => Ok(()),
        _ => Err(ConnectError::Mechanism {
            address: connection.address().clone(),
            mechanism,
            offered: answer.mechanisms,
        }),
    }
}

async fn plain(connection: &Connection, credentials: &Credentials) -> Result<i64, ConnectError> {
    let token = format!("\0{}\0{}", credentials.username, credentials.password.expose_secret());
    Ok(authenticate(connection, &credentials.username, token).await?.session_lifetime_ms)
}

async fn scram(
    connection: &Connection,
    credentials: &Credentials,
    hash: ScramHash,
) -> Result<i64, ConnectError> {
    let username = &credentials.username;
    let failed = |source: ScramError| ConnectError::Scram {
        address: connection.address().clone(),
        username: username.clone(),
        source,
    };
    let nonce = random_nonce(&mut rand::rng());
    let (start, first) = ScramStart::new(hash, username, credentials.password.clone(), nonce);
    let challenge = authenticate(connection, username, first).await?;
    // Many thousand hashes, as the server wants it: not on a thread that others wait for.
    let answering = tokio::task::spawn_blocking(move || start.answer(&challenge.auth_bytes)).await;
    let (proof, answer) = answering.expect("the exchange does not panic").map_err(failed)?;
    let last = authenticate(connection, username, answer).await?;
    proof.finish(&last.auth_bytes).map_err(failed)?;
    Ok(last.session_lifetime_ms)
}

async fn authenticate(
    connection: &Connection,
    username: &str,
    token: String,
) -> Result<SaslAuthenticateResponse, ConnectError> {
    let request = SaslAuthenticateRequest { auth_bytes: Bytes::from(token) };
    let version = connection.version_for::<SaslAuthenticateRequest>().map_err(RequestError::from);
    let version = version.map_err(failed(connection))?;
    let answer = connection.send(&request, version).await.map_err(failed(connection))?;
    match ErrorCode::new(answer.error_code) {
        ErrorCode::NONE => Ok(answer),
        code => Err(ConnectError::Login {
            address: connection.address().clone(),
            username: username.to_owned(),
            code,
            message: answer.error_message,
        }),
    }
}
