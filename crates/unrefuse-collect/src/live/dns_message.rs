//! DNS messages: one question, and what an answer to it says (RFC 1035).

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unrefuse_facts::DnsAnswer;

/// The largest UDP answer asked for: what fits every path without fragments (DNS flag day 2020).
const UDP_SIZE: u16 = 1232;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn qtype(self) -> QTYPE {
        QTYPE::TYPE(match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
        })
    }
}

/// What came back.
pub(super) enum Outcome {
    Answer(DnsAnswer),
    /// The TC bit: the rest is to be had over TCP.
    Truncated,
    /// FORMERR or NOTIMP: maybe because of EDNS.
    NoEdns,
}

/// The bytes of a question, or `None` where `name` is no domain name (a label over 63 bytes, a name over 255).
pub(super) fn query(id: u16, name: &str, kind: Kind, edns: bool) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name.trim_end_matches('.')).ok()?;
    packet.questions.push(Question::new(name, kind.qtype(), QCLASS::CLASS(CLASS::IN), false));
    if edns {
        *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: UDP_SIZE, version: 0 });
    }
    packet.build_bytes_vec().ok()
}

/// What `bytes` say as the answer to that question; `None` when they are not an answer to it.
pub(super) fn read(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Option<Outcome> {
    let header = bytes.get(..12)?;
    let response = header[2] & 0x80 != 0;
    if !response || u16::from_be_bytes([header[0], header[1]]) != id {
        return None;
    }
    let rcode = header[3] & 0x0f;
    if matches!(rcode, 1 | 4) {
        return Some(Outcome::NoEdns);
    }
    let Ok(packet) = Packet::parse(bytes) else {
        // A cut answer may end inside a record.
        let truncated = header[2] & 0x02 != 0;
        let malformed = || Outcome::Answer(DnsAnswer::Failure("an answer that cannot be read".to_owned()));
        return Some(if truncated { Outcome::Truncated } else { malformed() });
    };
    // The question comes back with the answer; a forged one would have to know it.
    let question = packet.questions.first()?;
    let asked = name.trim_end_matches('.');
    if question.qtype != kind.qtype() || !question.qname.to_string().eq_ignore_ascii_case(asked) {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Outcome::Truncated);
    }
    Some(Outcome::Answer(match rcode {
        0 => {
            let addresses: Vec<IpAddr> = packet.answers.iter().filter_map(|record| address(&record.rdata)).collect();
            if addresses.is_empty() { DnsAnswer::NoAddress } else { DnsAnswer::Addresses(addresses) }
        }
        3 => DnsAnswer::NoSuchName,
        code => DnsAnswer::Failure(rcode_name(code)),
    }))
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
        RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
        _ => None,
    }
}

/// Response codes by name (IANA, "DNS RCODEs").
fn rcode_name(code: u8) -> String {
    match code {
        2 => "SERVFAIL".to_owned(),
        5 => "REFUSED".to_owned(),
        6 => "YXDOMAIN".to_owned(),
        7 => "YXRRSET".to_owned(),
        8 => "NXRRSET".to_owned(),
        9 => "NOTAUTH".to_owned(),
        10 => "NOTZONE".to_owned(),
        code => format!("response code {code}"),
    }
}
