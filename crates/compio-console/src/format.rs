//! Short forms of numbers, bytes and times, in ASCII.

/// The form of an unknown value.
pub(crate) const UNKNOWN: &str = "-";

/// A count in at most five characters, as `999`, `1.23k` or `45.6M`.
pub(crate) fn count(value: u64) -> String {
    if value < 1000 {
        return value.to_string();
    }
    scaled(value as f64)
}

/// A rate, as `0`, `0.3`, `12` or `1.23k`.
pub(crate) fn rate(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "0".into();
    }
    if value > 1e20 {
        return ">1e20".into();
    }
    if value < 9.95 {
        return format!("{value:.1}");
    }
    if value < 999.5 {
        return format!("{value:.0}");
    }
    scaled(value)
}

fn scaled(value: f64) -> String {
    let mut value = value;
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$}{unit}")
}

/// A percentage, as `0.3` or `100`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() || percent <= 0.0 {
        return "0.0".into();
    }
    if percent > 1e6 {
        return ">1e6".into();
    }
    if percent < 99.95 {
        return format!("{percent:.1}");
    }
    format!("{percent:.0}")
}

/// A time, as `850ns`, `1.20ms`, `3.2s`, `5m03s` or `2d04h`. A negative one is 0.
pub(crate) fn seconds(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "0s".into();
    }
    if value < 59.95 {
        return below_a_minute(value);
    }
    // Saturates, for peers that send nonsense.
    let seconds = value.round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if minutes < 60 {
        return format!("{minutes}m{:02}s", seconds % 60);
    }
    if hours < 24 {
        return format!("{hours}h{:02}m", minutes % 60);
    }
    if days < 10_000 {
        return format!("{days}d{:02}h", hours % 24);
    }
    ">27y".into()
}

fn below_a_minute(value: f64) -> String {
    let (value, unit) = if value < 999.5e-9 {
        return format!("{:.0}ns", value * 1e9);
    } else if value < 999.5e-6 {
        (value * 1e6, "us")
    } else if value < 0.9995 {
        (value * 1e3, "ms")
    } else {
        return format!("{value:.1}s");
    };
    let digits = usize::from(value < 99.95) + usize::from(value < 9.995);
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_at_most_five_characters() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.00k"),
            (12_345, "12.3k"),
            (999_499, "999k"),
            (999_999, "1.00M"),
            (64_000_000_000, "64.0G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(count(value), expected);
            assert!(count(value).len() <= 5);
        }
    }

    #[test]
    fn rates_round() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.96, "10"),
            (123.4, "123"),
            (1234.5, "1.23k"),
        ] {
            assert_eq!(rate(value), expected);
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (value, expected) in [
            (0.0, "0s"),
            (850e-9, "850ns"),
            (1.5e-6, "1.50us"),
            (0.0012, "1.20ms"),
            (0.25, "250ms"),
            (3.21, "3.2s"),
            (59.97, "1m00s"),
            (303.0, "5m03s"),
            (7500.0, "2h05m"),
            (187_200.0, "2d04h"),
        ] {
            assert_eq!(seconds(value), expected);
        }
    }

    #[test]
    fn nonsense_has_a_short_form() {
        for value in [f64::NAN, f64::INFINITY, -1.0, f64::MIN, f64::MAX, 1e300] {
            assert!(rate(value).len() <= 5);
            assert!(percent(value).len() <= 5);
            assert!(seconds(value).len() <= 6, "{value}");
        }
    }
}
