//! unrefuse-probe
