//! Numbers and names of fixed widths, big-endian, read with every length checked.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use leeward_model::{PartitionIndex, RegionName, TopicName, TopicPartition};

use leeward_buffer_core::limits::ORDINAL_MAX;

pub(crate) fn put_text(into: &mut BytesMut, text: &str) {
    let length = u16::try_from(text.len()).expect("names are short");
    into.put_u16(length);
    into.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_partition(into: &mut BytesMut, partition: &TopicPartition) {
    put_text(into, partition.topic.as_str());
    into.put_i32(partition.partition.to_wire());
}

/// Reads; every method gives `None` where the bytes end early or say nothing legal.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) rest: Bytes,
}

impl Cursor {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.rest.try_get_u8().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.rest.try_get_u16().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.rest.try_get_u32().ok()
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.rest.try_get_i16().ok()
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.rest.try_get_i32().ok()
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.rest.try_get_u64().ok()
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.rest.try_get_i64().ok()
    }

    /// An ordinal, or a number of records; none that a log could never reach, so that two of them can be added.
    pub(crate) fn ordinal(&mut self) -> Option<u64> {
        self.u64().filter(|ordinal| *ordinal <= ORDINAL_MAX)
    }

    /// An offset in a region's log, or -1.
    pub(crate) fn offset(&mut self) -> Option<i64> {
        self.i64().filter(|offset| (-1..=ORDINAL_MAX.cast_signed()).contains(offset))
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.rest.len()).then(|| self.rest.split_to(length))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = self.u16()?;
        let bytes = self.bytes(usize::from(length))?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    pub(crate) fn region(&mut self) -> Option<RegionName> {
        RegionName::new(&self.text()?).ok()
    }

    pub(crate) fn partition(&mut self) -> Option<TopicPartition> {
        let topic = TopicName::new(&self.text()?).ok()?;
        let partition = PartitionIndex::from_wire(self.i32()?)?;
        Some(TopicPartition { topic, partition })
    }

    /// A count, then as many elements.
    pub(crate) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Some(list)
    }
}

/// A count, then the elements.
pub(crate) fn put_list<T>(
    into: &mut BytesMut,
    list: impl ExactSizeIterator<Item = T>,
    mut put: impl FnMut(&mut BytesMut, T),
) {
    into.put_u32(u32::try_from(list.len()).expect("lists are bounded"));
    for element in list {
        put(into, element);
    }
}
