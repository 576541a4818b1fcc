//! Answers as bytes.
use std::net::*;
pub(crate) struct TcpAnswer {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) flags: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: Option<u32>,
}
pub(crate) struct IcmpError {
    pub(crate) from: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: Option<u32>,
    pub(crate) icmp_type: u8,
    pub(crate) icmp_code: u8,
    pub(crate) quoted_src: SocketAddr,
    pub(crate) quoted_dst: SocketAddr,
}
struct Ip<'a> {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    tos: u8,
    fl: Option<u32>,
    proto: u8,
    data: &'a [u8],
}
fn ip(b: &[u8]) -> Option<Ip<'_>> {
    match b.first()? >> 4 {
        4 => {
            let h = (b[0] & 15) as usize * 4;
            if b.len() < 20 || b.len() < h {
                return None;
            };
            Some(Ip {
                src: IpAddr::V4(Ipv4Addr::new(b[12], b[13], b[14], b[15])),
                dst: IpAddr::V4(Ipv4Addr::new(b[16], b[17], b[18], b[19])),
                ttl: b[8],
                tos: b[1],
                fl: None,
                proto: b[9],
                data: &b[h..],
            })
        }
        6 => {
            if b.len() < 40 {
                return None;
            };
            let s: [u8; 16] = b[8..24].try_into().ok()?;
            let d: [u8; 16] = b[24..40].try_into().ok()?;
            let w = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
            Some(Ip {
                src: Ipv6Addr::from(s).into(),
                dst: Ipv6Addr::from(d).into(),
                ttl: b[7],
                tos: ((w >> 20) & 255) as u8,
                fl: Some(w & 0xfffff),
                proto: b[6],
                data: &b[40..],
            })
        }
        _ => None,
    }
}
pub(crate) fn tcp(b: &[u8]) -> Option<TcpAnswer> {
    let p = ip(b)?;
    if p.proto != 6 || p.data.len() < 20 {
        return None;
    }
    Some(TcpAnswer {
        src: SocketAddr::new(p.src, u16::from_be_bytes([p.data[0], p.data[1]])),
        dst: SocketAddr::new(p.dst, u16::from_be_bytes([p.data[2], p.data[3]])),
        flags: p.data[13],
        ttl: p.ttl,
        tos: p.tos,
        flow_label: p.fl,
    })
}
pub(crate) fn icmp_error(b: &[u8]) -> Option<IcmpError> {
    let p = ip(b)?;
    if p.data.len() < 8 || !(p.proto == 1 || p.proto == 58) {
        return None;
    }
    let q = ip(&p.data[8..])?;
    if q.data.len() < 4 {
        return None;
    }
    Some(IcmpError {
        from: p.src,
        ttl: p.ttl,
        tos: p.tos,
        flow_label: p.fl,
        icmp_type: p.data[0],
        icmp_code: p.data[1],
        quoted_src: SocketAddr::new(q.src, u16::from_be_bytes([q.data[0], q.data[1]])),
        quoted_dst: SocketAddr::new(q.dst, u16::from_be_bytes([q.data[2], q.data[3]])),
    })
}
