//! The shared key that updates are signed with (RFC 8945).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hickory_proto::rr::{Name, TSigner, rdata::tsig::TsigAlgorithm};
use leeward_policies::TsigAlgorithm as Algorithm;
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::limits::FUDGE_SECONDS;

/// Bytes of a generated key: as many as HMAC-SHA256 puts out.
const GENERATED_BYTES: usize = 32;

/// A key that both sides know, by name.
///
/// Invariant: never printed; `Debug` shows its name only.
#[derive(Clone)]
pub struct Tsig(TSigner);

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    #[error("`{0}` is not a key's name")]
    Name(String),
    #[error("the secret of key `{0}` is not base64")]
    Base64(String),
    #[error("the secret of key `{0}` is empty")]
    Empty(String),
    #[error("key `{name}` cannot sign: {reason}")]
    Unusable { name: String, reason: String },
}

impl Tsig {
    /// A key with its secret as name servers' configurations write it: base64.
    pub fn new(name: &str, algorithm: Algorithm, secret: &SecretString) -> Result<Self, InvalidKey> {
        let secret = STANDARD
            .decode(secret.expose_secret().trim())
            .map_err(|_| InvalidKey::Base64(name.to_owned()))?;
        Self::of_bytes(name, algorithm, secret)
    }

    /// A fresh HMAC-SHA256 key, for a server that starts with us and ends with us.
    pub fn generate(name: &str) -> Result<Self, InvalidKey> {
        let mut secret = vec![0; GENERATED_BYTES];
        rand::rng().fill_bytes(&mut secret);
        Self::of_bytes(name, Algorithm::HmacSha256, secret)
    }

    fn of_bytes(name: &str, algorithm: Algorithm, secret: Vec<u8>) -> Result<Self, InvalidKey> {
        let parsed = Name::from_ascii(name).map_err(|_| InvalidKey::Name(name.to_owned()))?;
        if secret.is_empty() {
            return Err(InvalidKey::Empty(name.to_owned()));
        }
        let algorithm = match algorithm {
            Algorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            Algorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
            Algorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        TSigner::new(secret, algorithm, parsed, FUDGE_SECONDS)
            .map(Self)
            .map_err(|error| InvalidKey::Unusable { name: name.to_owned(), reason: error.to_string() })
    }

    /// The key's name, without the dot at its end.
    pub fn name(&self) -> String {
        self.0.signer_name().to_ascii().trim_end_matches('.').to_owned()
    }

    /// The secret in base64, for other tools that are to update the same server.
    pub fn secret(&self) -> SecretString {
        STANDARD.encode(self.0.key()).into()
    }

    pub(crate) fn signer(&self) -> &TSigner {
        &self.0
    }
}

impl fmt::Debug for Tsig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tsig").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = Tsig::new("leeward", Algorithm::HmacSha256, &"c2VjcmV0".to_owned().into()).unwrap();

        assert_eq!(format!("{key:?}"), r#"Tsig("leeward")"#);
    }

    #[test]
    fn a_secret_that_is_not_base64_is_refused() {
        let refused = Tsig::new("leeward", Algorithm::HmacSha256, &"not base64!".to_owned().into());

        assert!(matches!(refused, Err(InvalidKey::Base64(_))));
    }

    #[test]
    fn a_generated_key_survives_its_text_form() {
        let key = Tsig::generate("leeward").unwrap();

        let copied = Tsig::new("leeward", Algorithm::HmacSha256, &key.secret()).unwrap();

        assert_eq!(copied.signer().key(), key.signer().key());
    }
}
