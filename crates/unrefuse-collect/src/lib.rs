//! unrefuse-collect
