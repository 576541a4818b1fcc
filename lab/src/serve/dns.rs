//! A DNS server that knows what its arguments say.

use super::{bound, ready};
use anyhow::{Context as _, Result, ensure};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Answers A and AAAA questions over UDP (RFC 1035).
#[derive(Debug, clap::Args)]
pub(crate) struct Dns {
    /// Address with port.
    address: SocketAddr,
    /// `NAME=ADDRESS`; a name may come more than once.
    records: Vec<String>,
    /// Answer every question with SERVFAIL.
    #[arg(long)]
    servfail: bool,
    /// Never answer.
    #[arg(long)]
    silent: bool,
}

/// Answers until it is killed.
pub(crate) fn serve(arguments: &Dns) -> Result<()> {
    let mut records = Vec::new();
    for record in &arguments.records {
        let (name, address) = record.split_once('=').with_context(|| format!("{record}: want NAME=ADDRESS"))?;
        let address: IpAddr = address.parse().with_context(|| format!("{record}: not an address"))?;
        records.push((name.trim_end_matches('.').to_ascii_lowercase(), address));
    }
    let socket = UdpSocket::from(bound(arguments.address, socket2::Type::DGRAM, false, None)?);
    ready()?;
    let mut datagram = [0_u8; 1500];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram)?;
        if arguments.silent {
            continue;
        }
        if let Ok(answer) = answer(&datagram[..length], &records, arguments.servfail) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

/// Response codes of RFC 1035, section 4.1.1.
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
/// Record types of RFC 1035 and RFC 3596.
const A: u16 = 1;
const AAAA: u16 = 28;

fn answer(question: &[u8], records: &[(String, IpAddr)], servfail: bool) -> Result<Vec<u8>> {
    ensure!(question.len() > 12, "too short");
    let mut name = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at).context("cut off")?);
        at += 1;
        if length == 0 {
            break;
        }
        ensure!(length < 64, "a compressed name in a question");
        let label = question.get(at..at + length).context("cut off")?;
        name.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at).context("cut off")?, *question.get(at + 1).context("cut off")?]);
    let end = at + 4;
    ensure!(question.len() >= end, "cut off");
    let name = name.join(".");
    let known: Vec<_> = records.iter().filter(|(known, _)| *known == name).collect();
    let code = if servfail {
        SERVFAIL
    } else if known.is_empty() {
        NXDOMAIN
    } else {
        0
    };
    let wanted: Vec<Vec<u8>> = known
        .iter()
        .filter_map(|(_, address)| match (address, kind) {
            (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
            (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
            _ => None,
        })
        .filter(|_| code == 0)
        .collect();
    let mut out = question[..end].to_vec();
    // QR and AA; RD is kept from the question; RA.
    out[2] = 0x84 | (question[2] & 0x01);
    out[3] = 0x80 | code;
    out[4..12].copy_from_slice(&[0, 1, 0, wanted.len() as u8, 0, 0, 0, 0]);
    for data in wanted {
        // A pointer to the question's name, the type, class IN, one minute to live.
        out.extend_from_slice(&[0xc0, 12]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(&data);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_gets_its_record() {
        let question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x02db\x04test\0\0\x01\0\x01";
        let records = [("db.test".to_owned(), "10.77.0.1".parse().unwrap())];
        let answer = super::answer(question, &records, false).unwrap();
        assert_eq!(&answer[..8], b"\x12\x34\x85\x80\0\x01\0\x01");
        assert!(answer.ends_with(&[0, 4, 10, 77, 0, 1]));
        assert_eq!(super::answer(question, &[], false).unwrap()[3] & 15, NXDOMAIN);
    }
}
