//! Windows: UTC calendar minutes, days and months.
//!
//! A counter's attribute is named after its window (`tpd#20261122`), so a new window begins with an attribute that is not there yet. Nothing is
//! reset: the first write of a month costs what every other does, and a settlement that comes late finds the window of its admission.

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, SystemTime};

const MINUTE_S: u64 = 60;
const DAY_S: u64 = 86_400;

/// The three windows that a moment lies in, by the start of its minute. Written `202611221653`: year, month, day, hour, minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windows {
    /// Minutes since the epoch.
    minute: u64,
}

/// Year, month (1 to 12), day (1 to 31).
type Date = (u64, u64, u64);

impl Windows {
    /// Those of a moment. Before 1970 it is 1970.
    pub fn at(time: SystemTime) -> Self {
        Self { minute: unix_s(time) / MINUTE_S }
    }

    /// `202611221653`.
    pub fn minute(self) -> String {
        let of_day = self.minute % (DAY_S / MINUTE_S);
        format!("{}{:02}{:02}", self.day(), of_day / 60, of_day % 60)
    }

    /// `20261122`.
    pub fn day(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}{month:02}{day:02}")
    }

    /// `202611`.
    pub fn month(self) -> String {
        let (year, month, _) = self.date();
        format!("{year:04}{month:02}")
    }

    /// From [`Self::minute`].
    pub fn parse(minute: &str) -> Option<Self> {
        if minute.len() != 12 || !minute.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = |range: std::ops::Range<usize>| minute.get(range)?.parse::<u64>().ok();
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, of_hour) = (number(8..10)?, number(10..12)?);
        let windows = Self { minute: days_of((year, month, day))? * 1_440 + hour * 60 + of_hour };
        (windows.minute() == minute).then_some(windows)
    }

    /// The minute before.
    pub fn previous_minute(self) -> Self {
        Self { minute: self.minute.saturating_sub(1) }
    }

    /// The last minute of the day before.
    pub fn previous_day(self) -> Self {
        Self { minute: (self.minute / 1_440 * 1_440).saturating_sub(1) }
    }

    /// The last minute of the month before.
    pub fn previous_month(self) -> Self {
        let (_, _, day) = self.date();
        Self { minute: ((self.minute / 1_440 + 1).saturating_sub(day) * 1_440).saturating_sub(1) }
    }

    /// From `now` to the next minute; at least a second, as all three.
    pub fn left_in_minute(now: SystemTime) -> Duration {
        left(now, MINUTE_S - unix_s(now) % MINUTE_S)
    }

    /// From `now` to the next day.
    pub fn left_in_day(now: SystemTime) -> Duration {
        left(now, DAY_S - unix_s(now) % DAY_S)
    }

    /// From `now` to the next month.
    pub fn left_in_month(now: SystemTime) -> Duration {
        let (year, month, _) = Self::at(now).date();
        let next = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
        let start = days_of(next).unwrap_or_default() * DAY_S;
        left(now, start.saturating_sub(unix_s(now)))
    }

    /// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>, for days since 1970.
    fn date(self) -> Date {
        let days = self.minute / 1_440 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + u64::from(month <= 2), month, day)
    }
}

/// Whether a text such as `2026-12-31` is a day, and whether `now` is not after it.
pub(crate) fn not_after(now: SystemTime, last_day: &str) -> Option<bool> {
    let digits: String = last_day.split('-').collect();
    let windows = Windows::parse(&format!("{digits}0000"))?;
    (last_day.len() == 10).then(|| Windows::at(now).day() <= windows.day())
}

/// Whole seconds since the Unix epoch.
pub fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

thread_local! {
    /// The last second that this thread wrote, and its text.
    static WRITTEN: Cell<(u64, [u8; 24])> = const { Cell::new((u64::MAX, *b"1970-01-01T00:00:00.000Z")) };
}

/// RFC 3339, UTC, to the millisecond. Before 1970 it is 1970, after 9999 the year's last digits. Every request has one: without the machinery of `format!`, and
/// once a second.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (second, mut text) = WRITTEN.get();
    if second != since.as_secs() {
        write_second(time, since.as_secs(), &mut text);
    }
    put(&mut text, 20..23, since.subsec_millis().into());
    WRITTEN.set((since.as_secs(), text));
    String::from_utf8_lossy(&text).into_owned()
}

fn write_second(time: SystemTime, since: u64, text: &mut [u8; 24]) {
    let (year, month, day) = Windows::at(time).date();
    let of_day = since % DAY_S;
    let (hour, minute, second) = (of_day / 3_600, of_day / MINUTE_S % 60, of_day % MINUTE_S);
    for (place, number) in
        [(0..4, year), (5..7, month), (8..10, day), (11..13, hour), (14..16, minute), (17..19, second)]
    {
        put(text, place, number);
    }
}

/// The last digits of a number.
fn put(text: &mut [u8; 24], place: Range<usize>, mut number: u64) {
    for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn left(now: SystemTime, seconds: u64) -> Duration {
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    (Duration::from_secs(seconds).saturating_sub(Duration::from_nanos(nanos.into()))).max(Duration::from_secs(1))
}

/// Days since 1970 of a date; the inverse of [`Windows::date`].
fn days_of((year, month, day): Date) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn windows_are_utc_calendar_minutes_days_and_months() {
        for (seconds, minute) in [
            (0, "197001010000"),
            (951_782_399, "200002282359"),
            (951_782_400, "200002290000"),
            (1_709_210_096, "202402291234"),
            (1_795_366_419, "202611221653"),
            (1_798_761_599, "202612312359"),
            (1_798_761_600, "202701010000"),
        ] {
            let windows = Windows::at(at(seconds));
            assert_eq!(windows.minute(), minute, "{seconds}");
            assert_eq!((windows.day(), windows.month()), (minute[..8].to_owned(), minute[..6].to_owned()));
        }
    }

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_with_milliseconds() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_window_ends_when_the_next_begins() {
        let december = at(1_798_761_599);
        for left in
            [Windows::left_in_minute(december), Windows::left_in_day(december), Windows::left_in_month(december)]
        {
            assert_eq!(left, Duration::from_secs(1));
        }
        assert_eq!(Windows::left_in_month(at(1_798_761_600)), Duration::from_secs(31 * 86_400));
        let windows = Windows::at(at(1_709_210_096));
        assert_eq!(windows.previous_month().month(), "202401");
        assert_eq!(windows.previous_day().day(), "20240228");
        assert_eq!(windows.previous_minute().minute(), "202402291233");
    }

    #[test]
    fn a_raise_holds_through_its_last_day() {
        let now = at(1_798_761_599);
        for (until, holds) in [
            ("2026-12-31", Some(true)),
            ("2026-12-30", Some(false)),
            ("2027-01-01", Some(true)),
            ("2026-13-01", None),
            ("soon", None),
            ("20261231", None),
        ] {
            assert_eq!(not_after(now, until), holds, "{until}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0u64..250_000_000_000) {
            let windows = Windows::at(at(seconds));
            prop_assert_eq!(Windows::parse(&windows.minute()), Some(windows));
            let end = at(seconds) + Windows::left_in_month(at(seconds));
            prop_assert_eq!(Windows::at(end).previous_month().month(), windows.month());
        }
    }
}
