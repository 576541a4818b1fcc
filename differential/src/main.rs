//! Holds the judge of unrefuse-firewall against the kernel.
#![allow(dead_code, reason = "being joined")]

mod generate;
mod kernel;
mod probe;
mod rng;
mod ruleset;
mod world;

fn main() -> anyhow::Result<()> {
    let arg = |n: usize| std::env::args().nth(n);
    let backend = match arg(2).as_deref() {
        Some("legacy") => ruleset::Backend::Legacy,
        Some("nft") => ruleset::Backend::Nft,
        _ => ruleset::Backend::IptablesNft,
    };
    let v6 = arg(3).as_deref() == Some("6");
    let mut host = kernel::Host::build()?;
    let t = std::time::Instant::now();
    for n in 0..arg(1).and_then(|n| n.parse().ok()).unwrap_or(1) {
        let round = generate::round(1, n, backend, v6, 30);
        if let Err(e) = host.load(&round.rules)? {
            println!("REFUSED {e}");
        }
        println!("# {n} loaded {:?}", t.elapsed());
        for p in &round.probes {
            let o = host.send(p)?;
            println!("{p}\n   {:?} {:?} chatter {}", o.sees, o.arrived, o.chatter);
            for (k, n) in o.hits {
                println!("      {k} {n}");
            }
        }
        println!("# {n} sent {:?}", t.elapsed());
    }
    Ok(())
}
