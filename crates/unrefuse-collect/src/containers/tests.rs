//! A made-up engine on a socket of its own.
