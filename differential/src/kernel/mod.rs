//! The kernel's answer: a network namespace with the ruleset in force, packets put in and read out of TAP devices.
//!
//! A frame that is written to a TAP device is dealt with before write(2) returns (drivers/net/tun.c, `tun_get_user`:
//! the stack is entered in the caller's context): what comes out can be read at once, and nothing is waited for.

pub(crate) mod counters;
pub(crate) mod frame;
mod load;
mod local;
mod mib;
mod netlink;
mod services;
pub(crate) mod setup;
pub(crate) mod sys;

use crate::probe::{Probe, flag, proto};
use crate::ruleset::{Backend, Script};
use crate::world;
use anyhow::{Context as _, Result};
use counters::Counts;
use frame::{Packet, Seen};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// What the sender sees.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Sees {
    /// SYN-ACK, datagram or echo reply from the address that was asked.
    Answer,
    /// The same, from another address or port.
    AnswerFrom {
        src: IpAddr,
        sport: u16,
    },
    Reset,
    Icmp {
        v6: bool,
        icmp: u8,
        code: u8,
    },
    Nothing,
    /// A system call failed so.
    Errno {
        name: String,
    },
}

/// How far the packet came.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Arrived {
    Nowhere,
    /// A transport of the host took it.
    Here {
        #[serde(default)]
        src: Option<IpAddr>,
        #[serde(default)]
        sport: Option<u16>,
        #[serde(default)]
        dst: Option<IpAddr>,
        #[serde(default)]
        dport: Option<u16>,
    },
    /// It left by an interface.
    Left {
        oif: String,
        src: IpAddr,
        sport: u16,
        dst: IpAddr,
        dport: u16,
        tos: u8,
        ttl: u8,
    },
}

/// What happened to a probe.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) sees: Sees,
    pub(crate) arrived: Arrived,
    /// Rules that counted something meanwhile, the answer's way included.
    pub(crate) hits: Counts,
    /// The kernel said something of its own accord meanwhile, which moved counters, too.
    pub(crate) chatter: bool,
}

/// The host under test, in this thread's own network namespace.
#[derive(Debug)]
pub(crate) struct Host {
    namespace: File,
    taps: [File; 2],
    services: services::Services,
    netlink: netlink::Netlink,
    /// Of each family, for `getsockopt(IPT_SO_GET_ENTRIES)`.
    raw: [OwnedFd; 2],
    mibs: mib::Mibs,
    next_id: u32,
    /// The ruleset in force gives packets to sockets that they are not addressed to.
    proxied: bool,
    nft_used: bool,
    /// Legacy tables of each family that exist: they can't be unmade.
    legacy: [BTreeSet<String>; 2],
    /// ipsets that may still be there.
    old_sets: BTreeSet<String>,
}

impl Host {
    /// Leaves this thread's network namespace for a new one, and builds the host there.
    pub(crate) fn build() -> Result<Self> {
        sys::unshare_network()?;
        let taps = setup::build().context("the namespace cannot be set up")?;
        Ok(Self {
            namespace: File::open("/proc/thread-self/ns/net")?,
            taps,
            services: services::Services::start()?,
            netlink: netlink::Netlink::open()?,
            raw: [
                sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?,
                sys::socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW)?,
            ],
            mibs: mib::Mibs::open()?,
            next_id: 1,
            proxied: false,
            nft_used: false,
            legacy: Default::default(),
            old_sets: BTreeSet::new(),
        })
    }

    /// Moves this thread to the host's namespace.
    pub(crate) fn enter(&self) -> Result<()> {
        sys::enter_network(&self.namespace)
    }

    /// Puts a ruleset in force in place of the one before. The inner error is what the tool says to a ruleset it refuses.
    pub(crate) fn load(&mut self, rules: &Script) -> Result<Result<(), String>> {
        load::load(self, rules)
    }

    /// All counters.
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        let mut counts = if self.nft_used { counters::nft(&mut self.netlink)? } else { Counts::new() };
        for (v6, tables) in [false, true].into_iter().zip(&self.legacy) {
            let tables: Vec<_> = tables.iter().map(String::as_str).collect();
            counts.extend(counters::legacy(&self.raw[usize::from(v6)], v6, &tables)?);
        }
        Ok(counts)
    }

    /// Sends a packet and looks at what becomes of it.
    pub(crate) fn send(&mut self, probe: &Probe) -> Result<Observed> {
        let _quiet = setup::no_process_begins();
        self.services.drain()?;
        self.frames()?;
        let counts = self.counts()?;
        let mibs = self.mibs.read()?;
        self.next_id = self.next_id % 30_000 + 1;
        let mut watch = Watch { id: self.next_id, all: Vec::new(), here: None };
        let (sees, _open) = match &probe.iif {
            Some(iif) => (self.arrive(probe, iif == world::OUT, &mut watch)?, None),
            None => self.leave(probe, &mut watch)?,
        };
        let taken = mibs.taken(&self.mibs.read()?, probe, &sees);
        let hits = counters::moved(&counts, &self.counts()?);
        let chatter = watch.all.iter().any(Seen::is_chatter);
        let left = watch.all.iter().find(|s| watch.is_probe(s, probe)).map(|s| Arrived::Left {
            oif: [world::IN, world::OUT][s.side].into(),
            src: s.src,
            sport: s.sport,
            dst: s.dst,
            dport: s.dport,
            tos: s.tos,
            ttl: s.ttl,
        });
        let nothing_known = Arrived::Here { src: None, sport: None, dst: None, dport: None };
        let arrived = match left {
            Some(left) => left,
            None if watch.here.is_some() => watch.here.unwrap_or(Arrived::Nowhere),
            None if taken => nothing_known,
            None => Arrived::Nowhere,
        };
        Ok(Observed { sees, arrived, hits, chatter })
    }

    /// Frames that came out since the last call.
    fn frames(&mut self) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        let mut buffer = [0; 2048];
        for (side, tap) in self.taps.iter_mut().enumerate() {
            loop {
                match tap.read(&mut buffer) {
                    Ok(n) => all.extend(Seen::read(side, &buffer[..n])),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e) => return Err(e).context("a TAP device cannot be read"),
                }
            }
        }
        Ok(all)
    }

    fn put(&mut self, side: usize, packet: &Packet) -> Result<()> {
        self.taps[side].write_all(&packet.bytes()).context("a frame cannot be sent")
    }

    fn arrive(&mut self, probe: &Probe, out_side: bool, watch: &mut Watch) -> Result<Sees> {
        let side = usize::from(out_side);
        let packet = Packet::of(probe, mac(side), watch.id);
        self.put(side, &packet)?;
        watch.all.extend(self.frames()?);
        if let Some(here) = self.services.echo(self.proxied) {
            watch.here = Some(here);
            watch.all.extend(self.frames()?);
        }
        self.answer(probe, watch)?;
        let to_sender = watch.all.iter().filter(|s| Some(s.dst) == probe.src && !watch.is_probe(s, probe));
        let mut sees = Sees::Nothing;
        let mut by_mss = None;
        let asked = |seen: &Seen| seen.src == probe.dst && seen.sport == probe.dport;
        for seen in to_sender {
            let icmp = matches!(probe.proto, proto::ICMP | proto::ICMP6);
            let same_ports = seen.dport == probe.sport || icmp;
            let new = if seen.is_error() {
                let (kind, code) = seen.icmp().unwrap_or_default();
                Sees::Icmp { v6: probe.v6(), icmp: kind, code }
            } else if seen.proto != probe.proto || !same_ports {
                continue;
            } else if seen.proto == proto::TCP && seen.flags & flag::RST != 0 && asked(seen) {
                Sees::Reset
            } else if seen.src == probe.dst && (icmp || seen.sport == probe.dport) {
                by_mss = services::port_of(seen.mss);
                Sees::Answer
            } else {
                Sees::AnswerFrom { src: seen.src, sport: seen.sport }
            };
            if sees == Sees::Nothing {
                sees = new;
            }
        }
        if let (None, Some(_), false) = (&watch.here, by_mss, self.proxied) {
            watch.here = Some(Arrived::Here { src: None, sport: None, dst: None, dport: by_mss });
        }
        Ok(sees)
    }

    /// The far end answers, where the probe left.
    fn answer(&mut self, probe: &Probe, watch: &mut Watch) -> Result<()> {
        if let Some(seen) = watch.all.iter().find(|s| watch.is_probe(s, probe)) {
            let side = seen.side;
            let answer = Packet::answer(seen, mac(side));
            self.put(side, &answer)?;
            watch.all.extend(self.frames()?);
        }
        Ok(())
    }
}

/// Hosts of one thread. Legacy tables cannot be unmade once they are there: nf_tables rulesets have a host without any.
#[derive(Debug, Default)]
pub(crate) struct Hosts([Option<Host>; 2]);

impl Hosts {
    /// The host for rulesets of this backend, entered.
    pub(crate) fn of(&mut self, backend: Backend) -> Result<&mut Host> {
        let slot = &mut self.0[usize::from(backend == Backend::Legacy)];
        let host = match slot {
            Some(host) => host,
            None => slot.insert(Host::build()?),
        };
        host.enter()?;
        Ok(host)
    }
}

const fn mac(side: usize) -> [u8; 6] {
    if side == 0 { world::IN_MAC } else { world::OUT_MAC }
}

/// What comes out while one probe is under way.
#[derive(Debug)]
pub(crate) struct Watch {
    /// By which the probe is known again.
    id: u32,
    all: Vec<Seen>,
    here: Option<Arrived>,
}

impl Watch {
    /// Whether this is the probe itself, come out again.
    fn is_probe(&self, seen: &Seen, probe: &Probe) -> bool {
        if seen.proto != probe.proto {
            return false;
        }
        if probe.iif.is_none() {
            return match seen.proto {
                proto::TCP => seen.flags & (flag::SYN | flag::ACK) == flag::SYN,
                _ => seen.payload.first() == Some(&local::MARKER),
            };
        }
        match seen.proto {
            proto::TCP => seen.seq == self.id && seen.flags & (flag::SYN | flag::ACK) == flag::SYN,
            proto::ICMP | proto::ICMP6 => seen.id == self.id && matches!(seen.dport >> 8, 8 | 128),
            _ => seen.id == self.id,
        }
    }
}
