//! Decides which moment a written date means; never what time it is now.

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of date that HTTP lets senders write.
pub(crate) fn http_date(written: &str) -> Option<u64> {
    let mut parts = written.split_ascii_whitespace().skip(1);
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = u64::try_from(months.iter().position(|name| *name == month)?).ok()? + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let seconds = seconds_since_1970([year, month, day], parts.next()?)?;
    (parts.next()? == "GMT").then_some(seconds)
}

/// Whole seconds since 1970 of `2025-01-31T08:49:37.25Z` or with an offset such as `+02:00` (RFC 3339).
pub(crate) fn rfc3339(written: &str) -> Option<u64> {
    let (date, time) = written.split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let date = [date.next()??, date.next()??, date.next()??];
    let (clock, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let sign = time.rfind(['+', '-'])?;
            let (clock, offset) = time.split_at_checked(sign)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            (clock, if offset.starts_with('-') { -seconds } else { seconds })
        }
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _fraction)| whole);
    seconds_since_1970(date, clock)?.checked_add_signed(-offset)
}

fn seconds_since_1970([year, month, day]: [u64; 3], clock: &str) -> Option<u64> {
    let mut clock = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let possible = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !possible {
        return None;
    }
    // Years that begin in March put the leap day last (Howard Hinnant, "days_from_civil").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_moments() {
        for (http, rfc, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.999Z", 784_111_777),
            ("Tue, 29 Feb 2028 00:00:10 GMT", "2028-02-29T02:00:10+02:00", 1_835_395_210),
            ("Tue, 29 Feb 2028 00:00:10 GMT", "2028-02-28t18:30:10-05:30", 1_835_395_210),
        ] {
            assert_eq!((http_date(http), rfc3339(rfc)), (Some(seconds), Some(seconds)), "{rfc}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for junk in [
            "",
            "now",
            "2025-01-31",
            "2025-01-31T08:49",
            "2025-13-31T08:49:37Z",
            "2025-01-31T08:49:37",
            "2025-01-31T08:49:37+2",
            "2025-01-31T08:49:37+99:00",
            "1970-01-01T00:00:00+01:00",
            "é-01-01Té",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!((http_date(junk), rfc3339(junk)), (None, None), "{junk}");
        }
    }
}
