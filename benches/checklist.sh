#!/usr/bin/env bash
# The classic checklist for "connection refused", as one script: the peer that `cargo xtask bench` measures unrefuse
# against. It asks what a careful person would ask by hand, in one go, and leaves the thinking to the reader.
#   benches/checklist.sh HOST PORT
set -u
host=${1:?HOST is missing} port=${2:?PORT is missing}

echo "== does it answer?"
nc -zv -w 5 "$host" "$port" 2>&1

echo "== who listens?"
ss -tulnp
echo "== on port $port:"
ss -tulnp "sport = :$port"

echo "== which firewall rules are there?"
nft list ruleset
iptables-save
ip6tables-save
