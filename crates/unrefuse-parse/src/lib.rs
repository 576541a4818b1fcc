//! unrefuse-parse
