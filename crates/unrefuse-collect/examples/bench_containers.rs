//! The facts about containers for a question about one port, and nothing else: `bench_containers PORT`.
//!
//! `cargo xtask bench containers` times it beside `docker ps` and `docker inspect`.

use std::time::{Duration, Instant};
use unrefuse_collect::containers::ContainerQuery;
use unrefuse_collect::{Host, live::Live};

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let query = ContainerQuery { port, ..ContainerQuery::default() };
    let facts = Live::new().containers(&query, Instant::now() + Duration::from_secs(5));
    for engine in &facts.engines {
        let found = engine.containers.get().map(Vec::len);
        println!("{} containers, of which may matter {found:?}", engine.total);
    }
}
