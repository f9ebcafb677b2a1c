//! Kafka's 128-bit identifiers, as in topic ids.

use std::fmt;

/// A 128-bit identifier; all zeroes means "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

impl Uuid {
    /// The identifier that stands for "no identifier".
    pub const ZERO: Self = Self([0; 16]);

    /// True for [`Uuid::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Reads the 22 characters of URL-safe base64 that Kafka prints; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let mut value: u128 = 0;
        for (at, byte) in text.bytes().enumerate() {
            let six = ALPHABET.iter().position(|c| *c == byte)? as u128;
            if at + 1 == TEXT_LEN {
                if six & 0xF != 0 {
                    return None;
                }
                value = (value << 2) | (six >> 4);
            } else {
                value = (value << 6) | six;
            }
        }
        Some(Self(value.to_be_bytes()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let mut text = String::with_capacity(TEXT_LEN);
        for at in 0..TEXT_LEN {
            let six = if at + 1 == TEXT_LEN { (value & 0x3) << 4 } else { (value >> (122 - 6 * at)) & 0x3F };
            text.push(char::from(ALPHABET[six as usize]));
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kafkas_base64() {
        let uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

        assert_eq!(uuid.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn text_reads_back() {
        let uuid = Uuid([0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);

        assert_eq!(Uuid::parse(&uuid.to_string()), Some(uuid));
    }

    #[test]
    fn a_text_with_stray_low_bits_is_refused() {
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAB"), None);
    }
}
