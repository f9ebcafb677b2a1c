//! SCRAM-SHA-256 and SCRAM-SHA-512, the client's half (RFC 5802, RFC 7677). Does no input or output.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::limits::{SASL_MESSAGE_BYTES_MAX, SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN};

/// Which hash the exchange uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScramHash {
    Sha256,
    Sha512,
}

/// Why a SCRAM exchange failed. Never carries the password or a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("server's {message} message is malformed: {what}")]
    Malformed { message: &'static str, what: &'static str },
    #[error("server asks for {asked} iterations; taken are {SCRAM_ITERATIONS_MIN} to {SCRAM_ITERATIONS_MAX}")]
    Iterations { asked: u64 },
    #[error("server's nonce does not continue ours")]
    Nonce,
    #[error("server refused the login: {0}")]
    Refused(String),
    #[error("server does not know our password: its signature is wrong")]
    ServerSignature,
}

/// An exchange whose first message is out.
pub(crate) struct ScramStart {
    hash: ScramHash,
    password: SecretString,
    client_nonce: String,
    client_first_bare: String,
}

/// What a server asks for in its first message.
struct Challenge<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

/// An exchange whose proof is out.
pub(crate) struct ScramProof {
    server_signature: Vec<u8>,
}

const GS2_HEADER: &str = "n,,";

/// A nonce of 18 random bytes as text.
pub(crate) fn random_nonce(random: &mut impl RngCore) -> String {
    let mut bytes = [0; 18];
    random.fill_bytes(&mut bytes);
    STANDARD.encode(bytes)
}

impl ScramStart {
    /// Begins an exchange; the text is the first message to send.
    pub(crate) fn new(
        hash: ScramHash,
        username: &str,
        password: SecretString,
        client_nonce: String,
    ) -> (Self, String) {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let client_first_bare = format!("n={name},r={client_nonce}");
        let first = format!("{GS2_HEADER}{client_first_bare}");
        (Self { hash, password, client_nonce, client_first_bare }, first)
    }

    /// Answers the server's first message; the text is the next message to send.
    ///
    /// # Errors
    ///
    /// [`ScramError`] where the message is malformed, repeats no nonce of ours or asks for too much work.
    pub(crate) fn answer(self, server_first: &[u8]) -> Result<(ScramProof, String), ScramError> {
        let Challenge { text, nonce, salt, iterations } = self.challenge(server_first)?;
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(GS2_HEADER));
        let auth_message = format!("{},{text},{without_proof}", self.client_first_bare);
        let (proof, server_signature) =
            self.hash.prove(self.password.expose_secret().as_bytes(), &salt, iterations, &auth_message);
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((ScramProof { server_signature }, message))
    }

    /// The iterations that the server asks for, where its first message is one to answer.
    pub(crate) fn iterations(&self, server_first: &[u8]) -> Result<u32, ScramError> {
        self.challenge(server_first).map(|challenge| challenge.iterations)
    }

    fn challenge<'a>(&self, server_first: &'a [u8]) -> Result<Challenge<'a>, ScramError> {
        const MESSAGE: &str = "first";
        let text = message_text(MESSAGE, server_first)?;
        let mut fields = text.split(',');
        let nonce = field(MESSAGE, &mut fields, "r=")?;
        let salt = STANDARD
            .decode(field(MESSAGE, &mut fields, "s=")?)
            .map_err(|_| malformed(MESSAGE, "salt is not base64"))?;
        let asked: u64 = field(MESSAGE, &mut fields, "i=")?
            .parse()
            .map_err(|_| malformed(MESSAGE, "iteration count is no number"))?;
        if nonce.len() <= self.client_nonce.len() || !nonce.starts_with(&self.client_nonce) {
            return Err(ScramError::Nonce);
        }
        let iterations = u32::try_from(asked)
            .ok()
            .filter(|asked| (SCRAM_ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX).contains(asked))
            .ok_or(ScramError::Iterations { asked })?;
        Ok(Challenge { text, nonce, salt, iterations })
    }
}

impl ScramProof {
    /// Checks the server's last message: it must know the password too.
    ///
    /// # Errors
    ///
    /// [`ScramError::Refused`] with the server's word, or [`ScramError::ServerSignature`].
    pub(crate) fn finish(&self, server_final: &[u8]) -> Result<(), ScramError> {
        const MESSAGE: &str = "final";
        let text = message_text(MESSAGE, server_final)?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(ScramError::Refused(error.to_owned()));
        }
        let encoded = field(MESSAGE, &mut text.split(','), "v=")?;
        let signature =
            STANDARD.decode(encoded).map_err(|_| malformed(MESSAGE, "signature is not base64"))?;
        if bool::from(signature.ct_eq(&self.server_signature)) {
            Ok(())
        } else {
            Err(ScramError::ServerSignature)
        }
    }
}

impl std::fmt::Debug for ScramStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramStart").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ScramProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramProof").finish_non_exhaustive()
    }
}

/// Client proof and server signature, for one hash.
macro_rules! prove {
    ($hash:ty, $bytes:literal, $password:expr, $salt:expr, $iterations:expr, $auth_message:expr) => {{
        let mac = |key: &[u8], message: &[u8]| {
            let mut mac = Hmac::<$hash>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(message);
            mac.finalize().into_bytes()
        };
        let salted = pbkdf2::pbkdf2_hmac_array::<$hash, $bytes>($password, $salt, $iterations);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = <$hash>::digest(&client_key);
        let client_signature = mac(&stored_key, $auth_message);
        let proof = client_key.iter().zip(client_signature.iter()).map(|(key, sign)| key ^ sign).collect();
        let server_key = mac(&salted, b"Server Key");
        (proof, mac(&server_key, $auth_message).to_vec())
    }};
}

impl ScramHash {
    fn prove(self, password: &[u8], salt: &[u8], iterations: u32, auth_message: &str) -> (Vec<u8>, Vec<u8>) {
        let auth_message = auth_message.as_bytes();
        match self {
            Self::Sha256 => prove!(Sha256, 32, password, salt, iterations, auth_message),
            Self::Sha512 => prove!(Sha512, 64, password, salt, iterations, auth_message),
        }
    }
}

fn malformed(message: &'static str, what: &'static str) -> ScramError {
    ScramError::Malformed { message, what }
}

fn message_text<'a>(message: &'static str, bytes: &'a [u8]) -> Result<&'a str, ScramError> {
    if bytes.len() > SASL_MESSAGE_BYTES_MAX {
        return Err(malformed(message, "too long"));
    }
    std::str::from_utf8(bytes).map_err(|_| malformed(message, "not UTF-8"))
}

fn field<'a>(
    message: &'static str,
    fields: &mut std::str::Split<'a, char>,
    prefix: &'static str,
) -> Result<&'a str, ScramError> {
    fields
        .next()
        .and_then(|field| field.strip_prefix(prefix))
        .ok_or(malformed(message, "an attribute is missing or out of order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn start() -> ScramStart {
        ScramStart::new(ScramHash::Sha256, "user", "pencil".to_owned().into(), NONCE.to_owned()).0
    }

    #[test]
    fn the_exchange_of_rfc_7677_comes_out_as_printed_there() {
        let (start, first) =
            ScramStart::new(ScramHash::Sha256, "user", "pencil".to_owned().into(), NONCE.to_owned());

        let (proof, answer) = start.answer(SERVER_FIRST.as_bytes()).expect("the RFC's message");

        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proof.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (proof, _) = start().answer(SERVER_FIRST.as_bytes()).expect("the RFC's message");

        let refused = proof.finish(b"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

        assert_eq!(refused, Err(ScramError::ServerSignature));
    }

    #[test]
    fn iteration_counts_that_burn_time_or_hide_nothing_are_refused() {
        for count in ["4095", "1000001", "99999999999999"] {
            let first = SERVER_FIRST.replace("4096", count);

            assert!(
                matches!(start().answer(first.as_bytes()), Err(ScramError::Iterations { .. })),
                "{count}"
            );
        }
    }

    #[test]
    fn a_nonce_that_is_not_ours_is_refused() {
        let replayed = SERVER_FIRST.replace("rOpr", "xOpr");

        assert_eq!(start().answer(replayed.as_bytes()).err(), Some(ScramError::Nonce));
    }

    #[test]
    fn a_nonce_without_the_servers_part_is_refused() {
        let first = format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");

        assert_eq!(start().answer(first.as_bytes()).err(), Some(ScramError::Nonce));
    }

    #[test]
    fn commas_and_equal_signs_in_a_name_are_quoted() {
        let (_, first) = ScramStart::new(ScramHash::Sha512, "a=b,c", "x".to_owned().into(), "n".to_owned());

        assert_eq!(first, "n,,n=a=3Db=2Cc,r=n");
    }

    #[test]
    fn a_servers_word_of_refusal_is_passed_on() {
        let (proof, _) = start().answer(SERVER_FIRST.as_bytes()).expect("the RFC's message");

        assert_eq!(proof.finish(b"e=invalid-proof"), Err(ScramError::Refused("invalid-proof".to_owned())));
    }
}
