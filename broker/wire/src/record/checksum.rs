//! CRC-32C, and its change when bytes far from the end change.
//!
//! CRC is linear: for two messages of one length, the XOR of their CRCs depends on the XOR of their bytes
//! only. Where they differ in a window, that is the window's own CRC difference carried over as many zero
//! bytes as follow it, and carrying is one multiplication by a power of x for each byte of the length.

/// The Castagnoli polynomial, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;
const X_TO_THE_8: u32 = 1 << 23;

/// `ZEROS[place][digit]` carries a CRC over `digit * 256^place` zero bytes.
static ZEROS: [[u32; 256]; 4] = zeros();

/// The CRC-32C that Kafka puts on batches.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC-32C of a header's covered part with its payload behind it.
pub(super) fn crc32c_of_parts(covered: &[u8], payload: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(covered);
    digest.update(payload);
    digest.finalize() as u32
}

/// What `difference`, the XOR of two CRCs, becomes when `zeros` equal bytes follow both messages.
pub(super) fn carried_over(difference: u32, zeros: u32) -> u32 {
    ZEROS
        .iter()
        .zip(zeros.to_le_bytes())
        .filter(|(_, digit)| *digit != 0)
        .fold(difference, |carried, (place, digit)| multiply(place[usize::from(digit)], carried))
}

/// The product of two polynomials modulo CRC-32C's.
const fn multiply(left: u32, mut right: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        product ^= right & 0u32.wrapping_sub((left >> bit) & 1);
        right = (right >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(right & 1));
    }
    product
}

const fn zeros() -> [[u32; 256]; 4] {
    let mut table = [[ONE; 256]; 4];
    let mut step = X_TO_THE_8;
    let mut place = 0;
    while place < 4 {
        let mut digit = 1;
        while digit < 256 {
            table[place][digit] = multiply(table[place][digit - 1], step);
            digit += 1;
        }
        step = multiply(table[place][255], step);
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_check_string_is_the_published_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn carrying_over_zeros_equals_a_full_pass() {
        for zeros in [0usize, 1, 7, 255, 256, 257, 65_535, 65_536, 20_000_000] {
            let mut left = b"one window".to_vec();
            let mut right = b"two window".to_vec();
            let difference = crc32c(&left) ^ crc32c(&right);
            left.resize(left.len() + zeros, 0x5a);
            right.resize(right.len() + zeros, 0x5a);

            let carried = carried_over(difference, zeros as u32);

            assert_eq!(carried, crc32c(&left) ^ crc32c(&right), "{zeros} zeros");
        }
    }
}
