//! Values for tests: any message, with every field that a version has, from a seed.

use bytes::Bytes;

use super::{Field, Shape, Wire};
use crate::Uuid;

const TEXTS: [&str; 5] = [
    "",
    "t",
    "orders.eu-1",
    "größe",
    "a text that is a good deal longer than a compact length of one byte would allow it to be, \
     so that its length takes two bytes on the wire",
];
const ELEMENTS_MAX: u64 = 3;

/// A stream of numbers that one seed fixes.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A value that the version can say in this field.
    pub(crate) fn field<T: Sample>(&mut self, field: Field, shape: Shape, default: T) -> T {
        if !field.is_in(shape.version) {
            return default;
        }
        loop {
            let value = T::sample(self, shape);
            if shape.version >= field.null_from || !value.is_null() {
                return value;
            }
        }
    }
}

pub(crate) trait Sample: Wire {
    fn sample(seed: &mut Seed, shape: Shape) -> Self;
}

macro_rules! integer_samples {
    ($($type:ty)+) => {$(
        impl Sample for $type {
            fn sample(seed: &mut Seed, _: Shape) -> Self {
                match seed.below(4) {
                    0 => Self::MIN,
                    1 => Self::MAX,
                    2 => -1,
                    _ => seed.next() as Self,
                }
            }
        }
    )+};
}

integer_samples!(i8 i16 i32 i64);

impl Sample for bool {
    fn sample(seed: &mut Seed, _: Shape) -> Self {
        seed.below(2) == 0
    }
}

impl Sample for Uuid {
    fn sample(seed: &mut Seed, _: Shape) -> Self {
        Self((u128::from(seed.next()) << 64 | u128::from(seed.next())).to_be_bytes())
    }
}

impl Sample for String {
    fn sample(seed: &mut Seed, _: Shape) -> Self {
        TEXTS[seed.below(TEXTS.len() as u64) as usize].to_owned()
    }
}

impl Sample for Bytes {
    fn sample(seed: &mut Seed, _: Shape) -> Self {
        (0..seed.below(200)).map(|_| seed.next() as u8).collect()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(seed: &mut Seed, shape: Shape) -> Self {
        (0..seed.below(ELEMENTS_MAX + 1)).map(|_| T::sample(seed, shape)).collect()
    }
}

impl<T: Sample> Sample for Option<T>
where
    Self: Wire,
{
    fn sample(seed: &mut Seed, shape: Shape) -> Self {
        (seed.below(4) > 0).then(|| T::sample(seed, shape))
    }
}
