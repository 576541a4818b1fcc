//! From error numbers to outcomes.

use unrefuse_facts::{AttemptOutcome, Errno};

/// How an attempt that failed with `errno` ended (errno of connect(2), `SO_ERROR`, or a UDP send or receive).
///
/// `ENOPROTOOPT`, `EINVAL`, `EADDRNOTAVAIL`, `ENETDOWN`, `EMFILE` and everything else that is not a refusal, a reset, a
/// timeout or a prohibition says that there was no way there.
pub(crate) fn of(errno: Errno) -> AttemptOutcome {
    match errno {
        Errno::ECONNREFUSED => AttemptOutcome::Refused,
        Errno::ECONNRESET | Errno::ECONNABORTED => AttemptOutcome::Reset,
        Errno::ETIMEDOUT => AttemptOutcome::TimedOut,
        Errno::EACCES | Errno::EPERM => AttemptOutcome::Denied,
        _ => AttemptOutcome::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_way_are_unreachable() {
        for errno in [Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EINVAL, Errno::ENOPROTOOPT, Errno::EADDRNOTAVAIL]
        {
            assert_eq!(of(errno), AttemptOutcome::Unreachable, "{errno}");
        }
        assert_eq!(of(Errno::EACCES), AttemptOutcome::Denied);
        assert_eq!(of(Errno::ETIMEDOUT), AttemptOutcome::TimedOut);
        assert_eq!(of(Errno::ECONNRESET), AttemptOutcome::Reset);
    }
}
