//! Netlink attributes (`struct nlattr`, include/uapi/linux/netlink.h): type, length, value; nested without limit of depth.

use unrefuse_facts::text::from_bytes;

/// The attributes in `0`, in order. One that is cut ends the list.
#[derive(Clone, Copy)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        // The two highest bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER.
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get((length + 3) & !3..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Attributes of one level by number: those up to `N`, each at most once.
pub(crate) struct Table<'a, const N: usize>([Option<&'a [u8]>; N]);

impl<'a, const N: usize> Table<'a, N> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut found = [None; N];
        for (kind, value) in Attrs(bytes) {
            if let Some(slot) = found.get_mut(usize::from(kind)) {
                *slot = Some(value);
            }
        }
        Self(found)
    }

    pub(crate) fn get(&self, kind: usize) -> Option<&'a [u8]> {
        self.0.get(kind).copied().flatten()
    }

    /// A number of 32 bits; nf_tables writes its numbers in network byte order.
    pub(crate) fn be32(&self, kind: usize) -> Option<u32> {
        be32(self.get(kind)?)
    }

    pub(crate) fn be64(&self, kind: usize) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.get(..8)?.try_into().ok()?))
    }

    pub(crate) fn u8(&self, kind: usize) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    pub(crate) fn name(&self, kind: usize) -> Option<String> {
        Some(name(self.get(kind)?))
    }
}

pub(crate) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// Text up to the first NUL.
pub(crate) fn name(bytes: &[u8]) -> String {
    from_bytes(until_nul(bytes))
}

pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// The value of user data: type and length are one byte each (libnftnl `struct nftnl_udata`).
pub(crate) fn udata(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    while let [kind, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        rest = &tail[usize::from(*length)..];
    }
    None
}

/// A comment in user data.
pub(crate) fn comment(bytes: &[u8], kind: u8) -> Option<String> {
    udata(bytes, kind).map(name).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_ends_the_list() {
        let bytes = [6, 0, 1, 0, 7, 8, 0, 0, 5, 0, 2, 0x80, 9, 0, 0, 0];
        assert_eq!(Attrs(&bytes).collect::<Vec<_>>(), [(1, &[7, 8][..]), (2, &[9][..])]);
        for cut in 0..bytes.len() {
            assert!(Attrs(&bytes[..cut]).count() <= 2);
        }
        assert_eq!(Attrs(&[0, 0, 1, 0, 0, 0, 0, 0]).count(), 0);
    }

    #[test]
    fn user_data_with_a_wrong_length_is_none() {
        assert_eq!(comment(&[0, 3, b'h', b'i', 0], 0).as_deref(), Some("hi"));
        assert_eq!(comment(&[1, 1, 0, 0, 3, b'h', b'i', 0], 0).as_deref(), Some("hi"));
        assert_eq!(comment(&[0, 9, b'h'], 0), None);
    }
}
