//! A link's map: its records as they stand in the map topic, and the map that they make.

use leeward_mirror_core::map::{MapRecord, OffsetMap, begun_behind, decode, encode_key, encode_value};
use leeward_model::{SourceOffset, TargetOffset};

use super::{parts, sealed};

/// Keys and values in turn, with checksums made to fit; an empty value is none. Their runs become a map.
pub(crate) fn maps(input: &[u8]) {
    let mut runs = Vec::new();
    let mut end = TargetOffset::FIRST;
    for pair in parts(input).chunks(2) {
        let _ = decode(pair[0], pair.get(1).copied());
        let Some(key) = sealed(pair[0]) else { continue };
        let value = pair.get(1).and_then(|value| sealed(value));
        let Ok((topic, partition, record)) = decode(&key, value.as_deref()) else { continue };
        let (again, value) = (encode_key(topic, partition, &record), encode_value(&record));
        assert_eq!(decode(&again, value.as_deref()), Ok((topic, partition, record.clone())));
        match record {
            MapRecord::Run(run) => runs.push(run),
            MapRecord::Checkpoint { target, .. } => end = target,
            MapRecord::RunRemoved(source) => runs.retain(|run| run.source != source),
            MapRecord::CheckpointRemoved | MapRecord::Names { .. } | MapRecord::NamesRemoved => {}
        }
    }
    let Ok(map) = OffsetMap::load(runs, end) else { return };
    let resume = map.resume_at(end).unwrap_or(SourceOffset::FIRST);
    for run in map.runs() {
        let source = map.to_source(run.target, end);
        let target = map.to_target(run.source, resume, end);
        let _ = (source, target);
    }
    let _ = begun_behind((map.runs().to_vec(), end), (map.runs(), Some(end)), resume);
}
