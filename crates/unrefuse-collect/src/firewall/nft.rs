//! Questions to nf_tables over netlink. Only `GET` messages: nothing is changed.

use crate::live::netlink::{Netlink, push_attribute};
use rustix::io::Errno;
use unrefuse_firewall::model::Family;
use unrefuse_firewall::nft::{family_number, message};

/// `NFNL_SUBSYS_NFTABLES` (include/uapi/linux/netfilter/nfnetlink.h).
const SUBSYSTEM: u16 = 10 << 8;

/// A socket to ask with.
pub(super) struct Nft(Netlink);

/// The body of a request: `struct nfgenmsg`, then names as attributes.
fn body(family: u8, names: &[(u16, &str)]) -> Vec<u8> {
    let mut body = vec![family, 0, 0, 0];
    for (kind, name) in names {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        push_attribute(&mut body, *kind, &bytes);
    }
    body
}

impl Nft {
    pub(super) fn open() -> Result<Self, Errno> {
        Netlink::netfilter().map(Self)
    }

    /// The ruleset's generation: it grows with every change (`nft_net.base_seq`).
    pub(super) fn generation(&mut self) -> Result<u32, Errno> {
        let answer = self.0.ask(SUBSYSTEM | u16::from(message::GETGEN), &body(0, &[]))?;
        // NFTA_GEN_ID is the first attribute.
        let value = answer.get(8..12).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::BADMSG)?;
        Ok(u32::from_be_bytes(value))
    }

    fn dump(&mut self, kind: u8, body: &[u8], each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        self.0.dump(SUBSYSTEM | u16::from(kind), body, each)
    }

    /// Every table; `0` as family means all.
    pub(super) fn tables(&mut self, each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        self.dump(message::GETTABLE, &body(0, &[]), each)
    }

    /// Every chain.
    pub(super) fn chains(&mut self, each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        self.dump(message::GETCHAIN, &body(0, &[]), each)
    }

    /// Every set, elements left out.
    pub(super) fn sets(&mut self, each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        self.dump(message::GETSET, &body(0, &[]), each)
    }

    /// The rules of one chain. The dump of a whole table takes time that grows with the square of its rules, that of a
    /// chain does not (`nf_tables_dump_rules` starts over from the first chain for every buffer).
    pub(super) fn rules(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        each: impl FnMut(&[u8]),
    ) -> Result<bool, Errno> {
        // NFTA_RULE_TABLE, NFTA_RULE_CHAIN
        let body = body(family_number(family), &[(1, table), (2, chain)]);
        self.dump(message::GETRULE, &body, each)
    }

    /// The elements of one set.
    pub(super) fn elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        each: impl FnMut(&[u8]),
    ) -> Result<bool, Errno> {
        // NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET
        let body = body(family_number(family), &[(1, table), (2, set)]);
        self.dump(message::GETSETELEM, &body, each)
    }

    /// The elements of a set that is small; `Ok(None)`: it is not.
    pub(super) fn few_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        each: impl FnMut(&[u8]),
    ) -> Result<Option<bool>, Errno> {
        let body = body(family_number(family), &[(1, table), (2, set)]);
        let read = self.0.dump_beginning(SUBSYSTEM | u16::from(message::GETSETELEM), &body, FEW, each)?;
        if read.is_none() {
            self.0 = Netlink::netfilter()?;
        }
        Ok(read)
    }

    /// The element that holds a key, found by the kernel (`nft_get_set_elem`), or the catch-all element (`None`); `ENOENT`
    /// where there is none.
    pub(super) fn element(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        key: Option<&[u8]>,
    ) -> Result<Vec<u8>, Errno> {
        let mut body = body(family_number(family), &[(1, table), (2, set)]);
        let (mut value, mut data, mut element, mut list) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // NFTA_SET_ELEM_LIST_ELEMENTS { NFTA_LIST_ELEM { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } } }
        if let Some(key) = key {
            push_attribute(&mut value, 1, key);
            push_attribute(&mut data, NESTED | 1, &value);
        } else {
            // NFTA_SET_ELEM_FLAGS: NFT_SET_ELEM_CATCHALL
            push_attribute(&mut data, 3, &2_u32.to_be_bytes());
        }
        push_attribute(&mut element, NESTED | 1, &data);
        push_attribute(&mut list, NESTED | 3, &element);
        body.extend(list);
        self.0.ask(SUBSYSTEM | u16::from(message::GETSETELEM), &body)
    }
}

/// A set is small if its elements come in so many reads, the end among them: some hundreds of elements.
pub(super) const FEW: usize = 2;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
