//! How fast a peer must be: with the body of a request, with a message, with what it is asked for
//! while a pong is late.

use std::time::Duration;

use crate::asgi::Config;
use crate::bytes::moment::Moment;

/// The least rate of a body or message counts after this time.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Which of the two rules is the stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Some byte must come within `body_timeout`.
    Silence,
    /// `min_body_rate` must be kept.
    Rate,
}

/// `bytes` have come of what began at `began`, the last of them now: when the next are due, and by
/// which rule.
pub(super) fn due(now: Moment, began: Moment, bytes: u64, config: &Config) -> (Moment, Rule) {
    let next = now + config.body_timeout;
    let by_rate = bytes
        .saturating_mul(1000)
        .checked_div(config.min_body_rate)
        .map(|millis| began + GRACE.max(Duration::from_millis(millis)));
    match by_rate {
        Some(by_rate) if by_rate < next => (by_rate, Rule::Rate),
        _ => (next, Rule::Silence),
    }
}

/// Is this as much as `min_body_rate` demands of such a time? Without a rate any byte is.
pub(super) fn is_kept(bytes: u64, time: Duration, config: &Config) -> bool {
    let demanded = u128::from(config.min_body_rate).saturating_mul(time.as_millis());
    bytes > 0 && u128::from(bytes) * 1000 >= demanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rate: u64) -> Config {
        Config { min_body_rate: rate, ..Config::default() }
    }

    #[test]
    fn the_stricter_rule_counts() {
        let began = Moment::at(Duration::ZERO);
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(due(began, began, 0, &config(240)), (at(5), Rule::Rate));
        assert_eq!(due(at(4), began, 2400, &config(240)), (at(10), Rule::Rate));
        assert_eq!(due(at(4), began, 24_000, &config(240)), (at(34), Rule::Silence));
        assert_eq!(due(at(4), began, u64::MAX, &config(1)), (at(34), Rule::Silence));
        assert_eq!(due(began, began, 0, &config(0)), (at(30), Rule::Silence));
    }

    #[test]
    fn without_a_rate_any_byte_is_enough() {
        let time = Duration::from_secs(20);
        assert!(is_kept(4800, time, &config(240)) && !is_kept(4799, time, &config(240)));
        assert!(is_kept(1, time, &config(0)) && !is_kept(0, time, &config(0)));
        assert!(!is_kept(0, Duration::ZERO, &config(240)));
        assert!(!is_kept(u64::MAX, Duration::MAX, &config(u64::MAX)));
    }
}
