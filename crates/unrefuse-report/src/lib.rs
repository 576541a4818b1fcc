//! unrefuse-report
