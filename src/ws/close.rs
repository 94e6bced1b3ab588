//! Close codes and reasons (RFC 6455 §7.4).

/// The purpose was fulfilled.
pub const NORMAL: u16 = 1000;
/// An end is going away: a server shuts down, a page is left.
pub const GOING_AWAY: u16 = 1001;
/// A rule of the protocol was broken.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of data that cannot be taken.
pub const UNSUPPORTED: u16 = 1003;
/// Never on the wire: the Close frame had no code.
pub const NO_STATUS: u16 = 1005;
/// Never on the wire: the connection ended without a Close frame.
pub const ABNORMAL: u16 = 1006;
/// Data that does not fit its type: text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A rule of the house was broken.
pub const POLICY_VIOLATION: u16 = 1008;
/// A message too big to be taken.
pub const TOO_BIG: u16 = 1009;
/// The server met something unexpected.
pub const INTERNAL_ERROR: u16 = 1011;
/// The service restarts.
pub const SERVICE_RESTART: u16 = 1012;

/// RFC 6455 §5.5: a control frame carries at most 125 bytes; two of a Close are the code.
pub const MAX_REASON: usize = 123;

/// May this code stand in a Close frame (RFC 6455 §7.4, and the IANA registry for 1012 to 1014)?
///
/// 1004 is reserved; 1005, 1006 and 1015 only describe what happened; below 1000 nothing is
/// used; 1016 to 2999 are for later versions; 3000 to 3999 are registered by libraries, 4000 to
/// 4999 are anyone's.
pub const fn may_be_on_the_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The reason, cut to [`MAX_REASON`] bytes at the end of a character.
pub fn cut_reason(reason: &str) -> &str {
    if reason.len() <= MAX_REASON {
        return reason;
    }
    let mut end = MAX_REASON;
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    // [6455-7.4.1-1] [6455-7.4.1-2] [6455-7.4.1-3]
    #[test]
    fn codes_of_rfc_6455_section_7_4() {
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ] {
            assert!(may_be_on_the_wire(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!may_be_on_the_wire(code), "{code}");
        }
    }

    #[test]
    fn reasons_are_cut_on_a_character() {
        assert_eq!(cut_reason("short"), "short");
        assert_eq!(cut_reason(&"x".repeat(123)).len(), 123);
        assert_eq!(cut_reason(&"x".repeat(124)).len(), 123);
        let crabs = "🦀".repeat(40);
        assert_eq!(cut_reason(&crabs), "🦀".repeat(30));
    }
}
