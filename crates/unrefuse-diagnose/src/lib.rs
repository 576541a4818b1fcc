//! unrefuse-diagnose
