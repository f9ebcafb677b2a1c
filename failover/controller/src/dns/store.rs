//! The zone as a file: written whole, and moved into place when it is durable.
//!
//! `LWDNSZON`, version (u16), origin (u16 length, text), serial (u32), number of records (u32), each record (u16
//! length, RFC 1035 wire form), CRC-32C of all before. Integers are big-endian.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use hickory_proto::{
    rr::{Name, Record},
    serialize::binary::{BinDecodable as _, BinEncodable as _},
};

use super::zone::{Zone, folded};

const MAGIC: &[u8; 8] = b"LWDNSZON";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Why a zone's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("zone file {path} cannot be read or written")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is no zone file")]
    Magic { path: PathBuf },
    #[error("zone file {path} has format version {found}; this program reads version {VERSION}")]
    Version { path: PathBuf, found: u16 },
    #[error("zone file {path} is damaged: {what}")]
    Damaged { path: PathBuf, what: &'static str },
    #[error("zone file {path} holds zone {found}, not {expected}")]
    OtherZone { path: PathBuf, found: String, expected: String },
}

/// The zone as last saved; `None` where there is no file.
pub(crate) fn load(path: &Path, origin: &Name) -> Result<Option<Zone>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::File { path: path.to_owned(), source }),
    };
    let zone = decode(&bytes, path)?;
    if *zone.origin() != folded(origin) {
        let (found, expected) = (zone.origin().to_ascii(), folded(origin).to_ascii());
        return Err(StoreError::OtherZone { path: path.to_owned(), found, expected });
    }
    Ok(Some(zone))
}

/// Returns when the zone would survive a crash.
pub(crate) fn save(path: &Path, zone: &Zone) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(&encode(zone)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn crc(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc_fast::crc32_iscsi(bytes).to_be_bytes()
}

pub(crate) fn encode(zone: &Zone) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_be_bytes());
    put(&mut bytes, zone.origin().to_ascii().as_bytes());
    bytes.extend(zone.serial().to_be_bytes());
    let records: Vec<Record> = zone.records().collect();
    bytes.extend((records.len() as u32).to_be_bytes());
    for record in records {
        put(&mut bytes, &record.to_bytes().expect("a record that came over the wire fits it"));
    }
    let crc = crc(&bytes);
    bytes.extend(crc);
    bytes
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).expect("a DNS message bounds its records");
    bytes.extend(length.to_be_bytes());
    bytes.extend(part);
}

pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Zone, StoreError> {
    let damaged = |what| StoreError::Damaged { path: path.to_owned(), what };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| StoreError::Magic { path: path.to_owned() })?;
    let (version, rest) = rest.split_first_chunk().ok_or_else(|| damaged("it ends early"))?;
    let version = u16::from_be_bytes(*version);
    if version != VERSION {
        return Err(StoreError::Version { path: path.to_owned(), found: version });
    }
    let (body, found) = rest.split_last_chunk().ok_or_else(|| damaged("it ends early"))?;
    if crc(&bytes[..bytes.len() - CHECKSUM_BYTES]) != *found {
        return Err(damaged("its checksum does not match"));
    }
    fields(body).ok_or_else(|| damaged("its records do not make a zone"))
}

fn fields(mut body: &[u8]) -> Option<Zone> {
    let origin = Name::from_ascii(std::str::from_utf8(take(&mut body)?).ok()?).ok()?;
    let (serial, rest) = body.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    body = rest;
    let mut records = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        records.push(Record::from_bytes(take(&mut body)?).ok()?);
    }
    if !body.is_empty() {
        return None;
    }
    Zone::from_records(&origin, u32::from_be_bytes(*serial), records)
}

fn take<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *body = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{
        RData,
        rdata::{A, TXT},
    };

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("golden-zone-v1.bin");

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn zone() -> Zone {
        let marker = TXT::new(vec!["epoch=8 region=fra".into()]);
        let records = vec![
            Record::from_rdata(name("kafka.example.test."), 15, RData::A(A::new(127, 0, 0, 2))),
            Record::from_rdata(name("_leeward-epoch.kafka.example.test."), 15, RData::TXT(marker)),
        ];
        Zone::from_records(&name("example.test."), 7, records).unwrap()
    }

    #[test]
    fn the_format_is_the_one_in_the_tree() {
        assert_eq!(encode(&zone()), GOLDEN);
        assert_eq!(decode(GOLDEN, Path::new("golden")).unwrap(), zone());
    }

    #[test]
    fn a_zone_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zone");

        save(&path, &zone()).unwrap();

        assert_eq!(load(&path, &name("EXAMPLE.test.")).unwrap(), Some(zone()));
    }

    #[test]
    fn a_file_with_any_byte_changed_or_cut_is_refused() {
        for at in 0..GOLDEN.len() {
            let mut changed = GOLDEN.to_vec();
            changed[at] ^= 1;

            assert!(decode(&changed, Path::new("changed")).is_err(), "byte {at}");
            assert!(decode(&GOLDEN[..at], Path::new("cut")).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_zones_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zone");
        save(&path, &zone()).unwrap();

        let refused = load(&path, &name("other.test."));

        assert!(matches!(refused, Err(StoreError::OtherZone { .. })));
    }
}
