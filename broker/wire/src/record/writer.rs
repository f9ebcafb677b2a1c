//! Writes a record's varints and byte strings.

use super::Header;

pub(super) fn put_varint(into: &mut Vec<u8>, value: i32) {
    put_varlong(into, i64::from(value));
}

pub(super) fn put_varlong(into: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// Bytes that [`put_varlong`] writes.
pub(super) fn varint_bytes(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

pub(super) fn put_nullable_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(into, -1),
        Some(bytes) => {
            put_varlong(into, bytes.len() as i64);
            into.extend_from_slice(bytes);
        }
    }
}

pub(super) fn put_headers(into: &mut Vec<u8>, headers: &[Header<'_>]) {
    put_varlong(into, headers.len() as i64);
    for header in headers {
        put_nullable_bytes(into, Some(header.key));
        put_nullable_bytes(into, header.value);
    }
}

/// Bytes that key, value and headers of a record take.
pub(super) fn content_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    let headers_bytes: usize =
        headers.iter().map(|header| nullable_bytes(Some(header.key)) + nullable_bytes(header.value)).sum();
    nullable_bytes(key) + nullable_bytes(value) + varint_bytes(headers.len() as i64) + headers_bytes
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
