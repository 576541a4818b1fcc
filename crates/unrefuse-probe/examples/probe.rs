//! Makes attempts by hand and prints them as JSON, one per line, with the time that the whole call took.
//!
//! `probe [--udp] [--no-sniff] [--rounds N] [--timeout MS] ADDRESS:PORT…`, `probe --unix PATH`,
//! `probe --ports ADDRESS PORT…`

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use unrefuse_facts::Protocol;
use unrefuse_probe::{AttemptOptions, attempts, ports, unix};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut protocol = Protocol::Tcp;
    let (mut sniff, mut rounds, mut timeout) = (true, 1, Duration::from_secs(3));
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--udp" => protocol = Protocol::Udp,
            "--no-sniff" => sniff = false,
            "--rounds" => rounds = value()?.parse()?,
            "--timeout" => timeout = Duration::from_millis(value()?.parse()?),
            "--unix" => {
                println!("{}", serde_json::to_string(&unix(&value()?, timeout))?);
                return Ok(());
            }
            "--ports" => {
                let address: IpAddr = value()?.parse()?;
                let list = arguments.map(|port| port.parse()).collect::<Result<Vec<u16>, _>>()?;
                for probe in ports(address, 0, &list, timeout) {
                    println!("{}", serde_json::to_string(&probe)?);
                }
                return Ok(());
            }
            address => addresses.push(address.parse()?),
        }
    }
    let started = Instant::now();
    let deadline = started + Duration::from_secs(10);
    let options = AttemptOptions { protocol, timeout, deadline, rounds, sniff, watch: &|_, _| None };
    let attempts = attempts(&addresses, &options);
    let took = started.elapsed();
    for attempt in attempts {
        println!("{}", serde_json::to_string(&attempt)?);
    }
    eprintln!("{} µs", took.as_micros());
    Ok(())
}
