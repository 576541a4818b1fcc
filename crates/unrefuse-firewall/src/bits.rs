//! Values of which only some bits are known.

use crate::model::{Op, Scalar};

/// A number of which the bits in `known` are known; the others may be anything within the field's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bits {
    /// The known bits; zero elsewhere.
    pub value: Scalar,
    /// Which bits are known.
    pub known: Scalar,
    /// All bits of the field.
    pub width: Scalar,
}

/// The mask of the lowest `bits` bits.
pub const fn ones(bits: u32) -> Scalar {
    if bits >= 128 { Scalar::MAX } else { (1 << bits) - 1 }
}

/// True, false, or not known.
pub type Maybe = Option<bool>;

impl Bits {
    /// A value that is known, `width` bits wide.
    pub const fn known(value: Scalar, width: u32) -> Self {
        Self { value: value & ones(width), known: ones(width), width: ones(width) }
    }

    /// A value of `width` bits of which nothing is known.
    pub const fn unknown(width: u32) -> Self {
        Self { value: 0, known: 0, width: ones(width) }
    }

    /// `value` under the mask `known`.
    pub const fn partly(value: Scalar, known: Scalar, width: u32) -> Self {
        let mask = ones(width);
        Self { value: value & known & mask, known: known & mask, width: mask }
    }

    /// A known value, else unknown.
    pub const fn of(value: Option<Scalar>, width: u32) -> Self {
        match value {
            Some(v) => Self::known(v, width),
            None => Self::unknown(width),
        }
    }

    /// The number, where every bit is known.
    pub const fn exact(self) -> Option<Scalar> {
        if self.known == self.width { Some(self.value) } else { None }
    }

    /// The number, where the lowest `width` bits are known.
    pub const fn exact_in(self, width: u32) -> Option<Scalar> {
        let mask = self.width & ones(width);
        if self.known & mask == mask { Some(self.value & mask) } else { None }
    }

    /// The lowest number it may be.
    pub const fn min(self) -> Scalar {
        self.value
    }

    /// The highest number it may be.
    pub const fn max(self) -> Scalar {
        self.value | (self.width & !self.known)
    }

    /// Whether it may be `value`; known where all bits are.
    pub const fn is(self, value: Scalar) -> Maybe {
        if (self.value ^ value) & self.known != 0 || value & !self.width != 0 {
            Some(false)
        } else if self.known == self.width {
            Some(true)
        } else {
            None
        }
    }

    /// Compared with a number, as unsigned.
    pub fn compare(self, op: Op, right: Scalar) -> Maybe {
        let (min, max) = (self.min(), self.max());
        match op {
            Op::Eq => self.is(right),
            Op::Ne => self.is(right).map(|b| !b),
            Op::Lt => between(max < right, min >= right),
            Op::Le => between(max <= right, min > right),
            Op::Gt => between(min > right, max <= right),
            Op::Ge => between(min >= right, max < right),
        }
    }

    /// Within `from ..= to`.
    pub fn within(self, from: Scalar, to: Scalar) -> Maybe {
        between(self.min() >= from && self.max() <= to, self.max() < from || self.min() > to)
    }

    /// `(self & mask) ^ xor`.
    pub const fn masked(self, mask: Scalar, xor: Scalar) -> Self {
        let known = self.known | (self.width & !mask);
        Self { value: ((self.value & mask) ^ xor) & known & self.width, known, width: self.width }
    }

    /// Bit by bit and.
    pub const fn and(self, other: Self) -> Self {
        let zero = (self.known & !self.value) | (other.known & !other.value);
        let width = self.width | other.width;
        let known = ((self.known & other.known) | zero) & width;
        Self { value: self.value & other.value & known, known, width }
    }

    /// Bit by bit or.
    pub const fn or(self, other: Self) -> Self {
        let one = (self.known & self.value) | (other.known & other.value);
        let width = self.width | other.width;
        let known = ((self.known & other.known) | one) & width;
        Self { value: (self.value | other.value) & known, known, width }
    }

    /// Bit by bit exclusive or.
    pub const fn xor(self, other: Self) -> Self {
        let width = self.width | other.width;
        let known = self.known & other.known;
        Self { value: (self.value ^ other.value) & known, known, width }
    }

    /// Shifted left (positive) or right within its width.
    pub const fn shifted(self, by: i8) -> Self {
        let n = by.unsigned_abs() as u32;
        if n >= 128 {
            return Self { value: 0, known: self.width, width: self.width };
        }
        if by >= 0 {
            let known = ((self.known << n) | ones(n)) & self.width;
            Self { value: (self.value << n) & known, known, width: self.width }
        } else {
            let known = (self.known >> n) | (self.width & !(self.width >> n));
            Self { value: (self.value >> n) & known, known, width: self.width }
        }
    }
}

const fn between(yes: bool, no: bool) -> Maybe {
    match (yes, no) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation on partly known 4-bit values holds for each number they may stand for.
    #[test]
    fn sound_for_every_small_value() {
        let all: Vec<Bits> = (0..16).flat_map(|known| (0..16).map(move |v| Bits::partly(v, known, 4))).collect();
        let members = |b: Bits| (0..16).filter(move |n| (n ^ b.value) & b.known == 0);
        for &a in &all {
            for right in 0..16 {
                for op in [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge] {
                    let held: Vec<bool> = members(a)
                        .map(|n| match op {
                            Op::Eq => n == right,
                            Op::Ne => n != right,
                            Op::Lt => n < right,
                            Op::Le => n <= right,
                            Op::Gt => n > right,
                            Op::Ge => n >= right,
                        })
                        .collect();
                    if let Some(b) = a.compare(op, right) {
                        assert!(held.iter().all(|h| *h == b), "{a:?} {op:?} {right}");
                    }
                }
                let m = a.masked(right, 5);
                assert!(members(a).all(|n| members(m).any(|x| x == ((n & right) ^ 5))));
            }
            for by in -4..=4i8 {
                let s = a.shifted(by);
                let shift = |n: u128| if by >= 0 { (n << by) & 15 } else { n >> -by };
                assert!(members(a).all(|n| members(s).any(|x| x == shift(n))), "{a:?} {by}");
            }
            for &b in &all {
                for (c, f) in [
                    (a.and(b), (|x, y| x & y) as fn(u128, u128) -> u128),
                    (a.or(b), |x, y| x | y),
                    (a.xor(b), |x, y| x ^ y),
                ] {
                    assert!(members(a).all(|x| members(b).all(|y| members(c).any(|z| z == f(x, y)))));
                }
            }
        }
    }

    #[test]
    fn known_values_decide() {
        assert_eq!(Bits::known(7, 8).compare(Op::Lt, 8), Some(true));
        assert_eq!(Bits::partly(0x8000, 0x8000, 16).within(1024, 65535), Some(true));
        assert_eq!(Bits::unknown(16).within(1024, 65535), None);
        assert_eq!(Bits::unknown(16).within(0, 65535), Some(true));
    }
}
