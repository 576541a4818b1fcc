//! Packets on the wire: connection attempts and what comes back.
//!
//! An attempt is a non-blocking connect(2) (or one UDP datagram) whose end is read from the socket: `SO_ERROR` says what
//! an application sees, the error queue (ip(7), `IP_RECVERR`) which ICMP error came and from whom. Where the user may, a
//! packet socket (packet(7)) sees the answer itself, or raw sockets (raw(7)) where the target is this machine: TTL, TOS,
//! flow label and interface tell a kernel's RST from a packet filter's. The socket alone decides the outcome; the packet
//! only describes it.
//!
//! The packets sent are: one SYN (repeated by the kernel) or one datagram per attempt and round; after a connect the
//! ordinary ACK and FIN; after an answer of another host, seen on a packet socket, one ICMP echo request; where a
//! neighbour entry was set by hand, one question who has that address. Connections are closed by a plain close(2): a FIN,
//! which servers take for an ordinary end, not a RST.
//!
//! Sockets only, no rules: what an answer means is judged elsewhere.

mod attempts;
mod echo;
mod error_queue;
mod filter;
mod neighbour;
mod outcome;
mod ports;
mod sniff;
mod sys;
mod tap;
mod tcp;
mod trial;
mod udp;
mod unix;

pub use attempts::{AttemptOptions, MAX_ADDRESSES, attempt_from, attempts};
pub use neighbour::claimants;
pub use ports::{MAX_PORTS, ports};
pub use unix::unix;
