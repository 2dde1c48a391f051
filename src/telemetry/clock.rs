//! The wall clock. Whoever needs the time is given it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The present time.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Seconds since 1970 UTC, as Git dates its commits.
pub fn unix_seconds() -> i64 {
    now().as_second()
}

/// Today's date, in UTC.
pub fn today() -> Date {
    now().to_zoned(TimeZone::UTC).date()
}

/// The present moment of a clock that never goes backwards, for durations.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}
