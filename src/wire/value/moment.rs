//! Canonical texts of dates and times.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::model::Time;

/// A day of the years 1 to 9999.
pub(super) struct Date(NaiveDate);

/// A time of day; 24:00:00 is one of its own.
pub(super) struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

impl Date {
    pub(super) fn push(&self, out: &mut String) {
        push_ascii(&day(self.0), out);
    }
}

impl Clock {
    pub(super) fn push(&self, out: &mut String) {
        let mut text = *b"00:00:00.000000";
        put(&mut text[..2], self.hour);
        put(&mut text[3..5], self.minute);
        put(&mut text[6..8], self.second);
        put(&mut text[9..], self.micros);
        push_ascii(if self.micros == 0 { &text[..8] } else { &text }, out);
    }
}

/// `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?);
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).filter(|date| date.year() > 0).map(Date)
}

/// `HH:MM:SS` and up to six decimals; more only if they are zeros.
pub(super) fn clock(text: &str) -> Option<Clock> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let micros = match &bytes[8..] {
        [] => 0,
        [b'.', decimals @ ..] if !decimals.is_empty() => micros(decimals)?,
        _ => return None,
    };
    let clock = Clock { hour: digits(&bytes[..2])?, minute: digits(&bytes[3..5])?, second: digits(&bytes[6..8])?, micros };
    let midnight = clock.hour == 24 && clock.minute == 0 && clock.second == 0 && micros == 0;
    (midnight || (clock.hour < 24 && clock.minute < 60 && clock.second < 60)).then_some(clock)
}

/// A date and a time of day, with `T` or a space between.
pub(super) fn local(text: &str) -> Option<NaiveDateTime> {
    let (date_text, clock_text) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b' ') {
        return None;
    }
    let clock = clock(clock_text)?;
    let time = NaiveTime::from_hms_micro_opt(clock.hour, clock.minute, clock.second, clock.micros)?;
    Some(date(date_text)?.0.and_time(time))
}

/// A local time with `Z` or an offset `±HH:MM`.
pub(super) fn instant(text: &str) -> Option<Time> {
    let (naive, minutes) = match text.strip_suffix('Z') {
        Some(naive) => (naive, 0),
        None => offset(text)?,
    };
    let utc = local(naive)?.checked_sub_signed(TimeDelta::minutes(minutes))?;
    let time = Time(utc.and_utc().timestamp_micros());
    Time::RANGE.contains(&time.0).then_some(time)
}

/// Splits `±HH:MM` off: what is before it, and the minutes it stands for.
fn offset(text: &str) -> Option<(&str, i64)> {
    let at = text.len().checked_sub(6)?;
    let (naive, offset) = (text.get(..at)?, text.as_bytes().get(at..)?);
    let sign = match offset[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&offset[1..3])?, digits(&offset[4..])?);
    (offset[3] == b':' && hours < 24 && minutes < 60).then_some((naive, sign * i64::from(hours * 60 + minutes)))
}

/// The number that decimals of a second are in microseconds.
fn micros(decimals: &[u8]) -> Option<u32> {
    let (kept, rest) = decimals.split_at(decimals.len().min(6));
    let scale = 10u32.pow(6 - u32::try_from(kept.len()).ok()?);
    rest.iter().all(|byte| *byte == b'0').then_some(digits(kept)? * scale)
}

/// The number that up to nine digits write.
fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

pub(super) fn push_local(time: NaiveDateTime, out: &mut String) {
    push_ascii(&moment(time), out);
}

/// An instant as `YYYY-MM-DDTHH:MM:SS.ffffffZ`; one outside [`Time::RANGE`] becomes its nearest end.
pub(in crate::wire) fn stamp(time: Time) -> [u8; 27] {
    let mut text = [b'Z'; 27];
    text[..26].copy_from_slice(&moment(time.utc().naive_utc()));
    text
}

fn moment(time: NaiveDateTime) -> [u8; 26] {
    let mut text = *b"0000-00-00T00:00:00.000000";
    text[..10].copy_from_slice(&day(time.date()));
    put(&mut text[11..13], time.hour());
    put(&mut text[14..16], time.minute());
    put(&mut text[17..19], time.second());
    put(&mut text[20..], time.nanosecond() / 1000);
    text
}

fn day(date: NaiveDate) -> [u8; 10] {
    let mut text = *b"0000-00-00";
    put(&mut text[..4], date.year_ce().1);
    put(&mut text[5..7], date.month());
    put(&mut text[8..], date.day());
    text
}

/// Writes a number right-aligned over zeros.
fn put(text: &mut [u8], mut number: u32) {
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

fn push_ascii(text: &[u8], out: &mut String) {
    out.push_str(std::str::from_utf8(text).unwrap_or_default());
}
