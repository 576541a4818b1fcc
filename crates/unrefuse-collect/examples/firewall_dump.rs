//! Prints the rulesets of this network namespace as unrefuse reads them, and how long that took.
//!
//! `cargo run -p unrefuse-collect --example firewall_dump [-- --debug]`

use std::time::Instant;
use unrefuse_collect::firewall::{Scope, ruleset};

fn main() {
    let debug = std::env::args().any(|a| a == "--debug");
    let quiet = std::env::args().any(|a| a == "--quiet");
    let start = Instant::now();
    let found = ruleset(Scope::Everything);
    let elapsed = start.elapsed();
    match found.get() {
        Ok(ruleset) if !quiet => {
            for table in &ruleset.tables {
                println!("table {:?} {} ({:?})", table.family, table.name, table.backend);
                for (name, set) in &table.sets {
                    println!("  set {name}: {set:?}");
                }
                for (name, chain) in &table.chains {
                    println!("  chain {name}: {:?}", chain.base);
                    for rule in chain.rules.iter() {
                        println!("    {}", rule.text());
                        if debug {
                            for statement in &rule.statements {
                                println!("        {statement:?}");
                            }
                        }
                    }
                }
            }
            println!("{:?} {:?}", ruleset.problems, ruleset.ipsets.keys());
        }
        Ok(ruleset) => {
            let rules: usize = ruleset.tables.iter().flat_map(|t| t.chains.values()).map(|c| c.rules.len()).sum();
            println!("{rules} rules");
        }
        Err(missing) => println!("{missing}"),
    }
    eprintln!("{elapsed:?}");
}
