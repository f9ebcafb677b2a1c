//! Which producer a partition's mirror writes as. The hash is part of what is stored in targets: it never changes.

use leeward_model::{LinkName, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The producer id of a link's writes to one partition.
pub fn producer_of(link: &LinkName, topic: TopicId, partition: PartitionIndex) -> ProducerId {
    let bytes =
        link.as_str().bytes().chain([0]).chain(topic.to_wire()).chain(partition.to_wire().to_be_bytes());
    let hash = bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    ProducerId::derived(spread(hash))
}

/// The epoch of writes behind a number of anchors; wraps to 0, which a broker takes once it has forgotten the last.
pub(super) fn epoch_of(anchors: u64) -> ProducerEpoch {
    let epoch = i16::try_from(anchors % (1 << 15)).expect("below 2^15");
    ProducerEpoch::from_wire(epoch).expect("not negative")
}

/// Lets each bit of the hash depend on each bit of the input's end.
fn spread(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producer_of_a_partition_never_changes() {
        let link = LinkName::new("a-to-b").unwrap();
        let topic = TopicId::from_wire([7; 16]).unwrap();
        let partition = PartitionIndex::from_wire(3).unwrap();

        let producer = producer_of(&link, topic, partition);

        assert_eq!(producer.to_wire(), 6_967_773_372_751_011_634);
    }
}
