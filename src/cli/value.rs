//! Values of options.

use std::time::Duration;

/// Seconds, with a fraction if need be; `inf` is for ever.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "give a number of seconds, as in 2.5".to_string())?;
    if seconds == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "give seconds from 0 on".to_string())
}

/// The same, but not none.
pub(crate) fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("give more than 0 seconds".to_string()),
        some => Ok(some),
    }
}

/// A field of the request: `name: value`.
pub(crate) fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("give a field as 'name: value'")?;
    Ok((name.trim().to_string(), value.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_fractions_and_no_sign() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("inf"), Ok(Duration::MAX));
        assert_eq!(some_seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(some_seconds("0").is_err() && some_seconds("-1").is_err());
        for text in ["-1", "nan", "soon", "", "-inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_is_split_at_its_first_colon() {
        let of = |name: &str, value: &str| Ok((name.to_string(), value.to_string()));
        assert_eq!(field("authorization: Bearer a:b"), of("authorization", "Bearer a:b"));
        assert_eq!(field("x:"), of("x", ""));
        assert!(field("x").is_err());
    }
}
