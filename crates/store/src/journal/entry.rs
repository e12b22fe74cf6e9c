//! Writes an entry as the payload of one line and reads it back; it never decides what an entry means.
//!
//! A compact form of our own: written as JSON, the two lines of a request cost three times the processor time
//! and four times the bytes. Numbers are varints (money zigzag), texts carry their length, and nothing is named:
//! the first byte says which form it is, and a form is never changed once released, only followed by another.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use policy::{
    Amount, AttemptId, AttemptOutcome, Closed, Entry, Opened, Price, Progress, Receipt, RequestOutcome,
    TicketId, Timestamp,
};
use protocol::{Dialect, Usage, UsageSource};

/// The form that is written.
const FORM: u8 = 1;
const OPENED: u8 = 1;
const PROGRESS: u8 = 2;
const CLOSED: u8 = 3;
const SETTLED: u8 = 4;
/// Bytes of the longest varint: 128 bits in groups of seven.
const VARINT_BYTES_MAX: u32 = 19;

/// Appends the entry to `out`.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let mut out = Out(out);
    out.0.push(FORM);
    match entry {
        Entry::Opened(opened) => {
            out.0.push(OPENED);
            out.opened(opened);
        }
        Entry::Progress(Progress { attempt, at, usage }) => {
            out.0.push(PROGRESS);
            out.attempt(*attempt);
            out.time(*at);
            out.usage(usage);
        }
        Entry::Closed(closed) => {
            out.0.push(CLOSED);
            out.closed(closed);
        }
        Entry::Settled { last, receipt } => {
            out.0.push(SETTLED);
            out.flag(last.is_some());
            if let Some(last) = last {
                out.closed(last);
            }
            out.receipt(receipt);
        }
    }
}

/// Reads an entry; none when the bytes are not exactly one entry of a form known here.
#[must_use]
pub fn decode(payload: &[u8]) -> Option<Entry> {
    let [FORM, kind, rest @ ..] = payload else { return None };
    let mut bytes = In(rest);
    let entry = match *kind {
        OPENED => Entry::Opened(bytes.opened()?),
        PROGRESS => {
            let (attempt, at, usage) = (bytes.attempt()?, bytes.time()?, bytes.usage()?);
            Entry::Progress(Progress { attempt, at, usage })
        }
        CLOSED => Entry::Closed(bytes.closed()?),
        SETTLED => {
            let last = if bytes.flag()? { Some(bytes.closed()?) } else { None };
            Entry::Settled { last, receipt: bytes.receipt()? }
        }
        _ => return None,
    };
    bytes.0.is_empty().then_some(entry)
}

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn wide(&mut self, mut value: u128) {
        while value > u128::from(u64::MAX) {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.uint(u64::try_from(value).expect("just compared"));
    }

    fn money(&mut self, Amount(units): Amount) {
        self.wide(((units << 1) ^ (units >> 127)).cast_unsigned());
    }

    fn flag(&mut self, value: bool) {
        self.0.push(value.into());
    }

    fn text(&mut self, text: &str) {
        self.uint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A flag, and the value when there is one.
    fn uint_or_none(&mut self, value: Option<u64>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.uint(value);
        }
    }

    fn text_or_none(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn time(&mut self, Timestamp(millis): Timestamp) {
        self.uint(((millis << 1) ^ (millis >> 63)).cast_unsigned());
    }

    fn attempt(&mut self, AttemptId { ticket, number }: AttemptId) {
        self.0.extend_from_slice(&ticket.0.to_le_bytes());
        self.0.push(number);
    }

    fn tags(&mut self, tags: &[(String, String)]) {
        self.uint(tags.len() as u64);
        for (tag, value) in tags {
            self.text(tag);
            self.text(value);
        }
    }

    fn usage(&mut self, usage: &Usage) {
        let Usage {
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
        } = *usage;
        for count in
            [input, cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output]
        {
            self.uint(count);
        }
    }

    fn price(&mut self, price: &Price) {
        let Price {
            version,
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            request,
        } = price;
        self.text(version);
        for amount in [
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            request,
        ] {
            self.money(*amount);
        }
    }

    fn opened(&mut self, opened: &Opened) {
        let Opened {
            attempt,
            request_id,
            key,
            team,
            tags,
            backend,
            pool,
            label,
            model_asked,
            model,
            native,
            dialect_in,
            dialect_out,
            stream,
            at,
            estimate,
            price,
        } = opened;
        self.attempt(*attempt);
        self.text(request_id);
        self.text_or_none(key.as_deref());
        self.text_or_none(team.as_deref());
        self.tags(tags);
        for text in [backend, pool, label, model_asked, model, native] {
            self.text(text);
        }
        self.text(dialect_in.name());
        self.text(dialect_out.name());
        self.flag(*stream);
        self.time(*at);
        self.usage(estimate);
        self.flag(price.is_some());
        if let Some(price) = price {
            self.price(price);
        }
    }

    fn closed(&mut self, closed: &Closed) {
        let Closed {
            attempt,
            at,
            outcome,
            status,
            error_code,
            usage,
            usage_source,
            cost,
            unpriced,
            first_event_ms,
            total_ms,
        } = closed;
        self.attempt(*attempt);
        self.time(*at);
        self.0.push(match outcome {
            AttemptOutcome::Succeeded => 0,
            AttemptOutcome::Failed => 1,
            AttemptOutcome::Cancelled => 2,
            AttemptOutcome::Interrupted => 3,
        });
        self.uint_or_none(status.map(u64::from));
        self.text_or_none(error_code.as_deref());
        self.usage(usage);
        self.source(*usage_source);
        self.money(*cost);
        self.flag(*unpriced);
        self.uint_or_none(*first_event_ms);
        self.uint(*total_ms);
    }

    fn source(&mut self, source: UsageSource) {
        self.0.push(match source {
            UsageSource::Provider => 0,
            UsageSource::Counted => 1,
            UsageSource::Estimated => 2,
        });
    }

    fn receipt(&mut self, receipt: &Receipt) {
        let Receipt {
            ticket,
            request_id,
            key,
            team,
            tags,
            client_addr,
            model_asked,
            model_served,
            backend,
            pool,
            dialect_in,
            dialect_out,
            stream,
            status,
            outcome,
            error_code,
            attempts,
            at,
            queue_ms,
            first_event_ms,
            total_ms,
            bytes_in,
            bytes_out,
            usage,
            usage_source,
            cost,
            unpriced,
            price_version,
            keepalive_committed,
        } = receipt;
        self.0.extend_from_slice(&ticket.0.to_le_bytes());
        self.text(request_id);
        self.text_or_none(key.as_deref());
        self.text_or_none(team.as_deref());
        self.tags(tags);
        self.text_or_none(client_addr.as_deref());
        self.text(model_asked);
        for text in [model_served, backend, pool] {
            self.text_or_none(text.as_deref());
        }
        self.text(dialect_in.name());
        self.text_or_none(dialect_out.map(Dialect::name));
        self.flag(*stream);
        self.uint(u64::from(*status));
        self.0.push(match outcome {
            RequestOutcome::Completed => 0,
            RequestOutcome::Failed => 1,
            RequestOutcome::Cancelled => 2,
            RequestOutcome::Interrupted => 3,
        });
        self.text_or_none(error_code.as_deref());
        self.0.push(*attempts);
        self.time(*at);
        self.uint(*queue_ms);
        self.uint_or_none(*first_event_ms);
        for number in [total_ms, bytes_in, bytes_out] {
            self.uint(*number);
        }
        self.usage(usage);
        self.source(*usage_source);
        self.money(*cost);
        self.flag(*unpriced);
        self.text_or_none(price_version.as_deref());
        self.flag(*keepalive_committed);
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn wide(&mut self) -> Option<u128> {
        let mut value = 0_u128;
        for group in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7F);
            let shifted = bits.checked_shl(7 * group).filter(|shifted| shifted >> (7 * group) == bits)?;
            value |= shifted;
            if byte < 0x80 {
                // A last group of nothing would be a second way to write the same number.
                return (byte != 0 || group == 0).then_some(value);
            }
        }
        None
    }

    fn uint(&mut self) -> Option<u64> {
        // Nearly all numbers are below 128.
        if let Some((byte @ ..0x80, rest)) = self.0.split_first() {
            self.0 = rest;
            return Some(u64::from(*byte));
        }
        u64::try_from(self.wide()?).ok()
    }

    fn money(&mut self) -> Option<Amount> {
        let value = self.wide()?;
        Some(Amount((value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.uint()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn shared(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    /// A value that may be left out: the outer option says whether the bytes were right.
    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn time(&mut self) -> Option<Timestamp> {
        let value = self.uint()?;
        Some(Timestamp((value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
    }

    fn ticket(&mut self) -> Option<TicketId> {
        let (ticket, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(TicketId(u128::from_le_bytes(*ticket)))
    }

    fn attempt(&mut self) -> Option<AttemptId> {
        Some(AttemptId { ticket: self.ticket()?, number: self.byte()? })
    }

    fn tags(&mut self) -> Option<Vec<(String, String)>> {
        let count = self.uint()?;
        // Grown as pairs are found, never by what a damaged count promises.
        let mut tags = Vec::new();
        for _ in 0..count {
            tags.push((self.text()?.to_owned(), self.text()?.to_owned()));
        }
        Some(tags)
    }

    fn usage(&mut self) -> Option<Usage> {
        Some(Usage {
            input: self.uint()?,
            cached_input: self.uint()?,
            cache_write: self.uint()?,
            cache_write_1h: self.uint()?,
            output: self.uint()?,
            reasoning: self.uint()?,
            audio_input: self.uint()?,
            audio_output: self.uint()?,
        })
    }

    fn price(&mut self) -> Option<Arc<Price>> {
        Some(Arc::new(Price {
            version: self.shared()?,
            input: self.money()?,
            cached_input: self.money()?,
            cache_write: self.money()?,
            cache_write_1h: self.money()?,
            output: self.money()?,
            reasoning: self.money()?,
            audio_input: self.money()?,
            audio_output: self.money()?,
            request: self.money()?,
        }))
    }

    fn dialect(&mut self) -> Option<Dialect> {
        let name = self.text()?;
        Dialect::ALL.iter().copied().find(|dialect| dialect.name() == name)
    }

    fn source(&mut self) -> Option<UsageSource> {
        match self.byte()? {
            0 => Some(UsageSource::Provider),
            1 => Some(UsageSource::Counted),
            2 => Some(UsageSource::Estimated),
            _ => None,
        }
    }

    fn code(&mut self) -> Option<Option<Cow<'static, str>>> {
        self.maybe(|bytes| bytes.text().map(|code| Cow::Owned(code.to_owned())))
    }

    fn opened(&mut self) -> Option<Opened> {
        Some(Opened {
            attempt: self.attempt()?,
            request_id: self.shared()?,
            key: self.maybe(Self::shared)?,
            team: self.maybe(Self::shared)?,
            tags: self.tags()?,
            backend: self.shared()?,
            pool: self.shared()?,
            label: self.shared()?,
            model_asked: self.shared()?,
            model: self.shared()?,
            native: self.shared()?,
            dialect_in: self.dialect()?,
            dialect_out: self.dialect()?,
            stream: self.flag()?,
            at: self.time()?,
            estimate: self.usage()?,
            price: self.maybe(Self::price)?,
        })
    }

    fn closed(&mut self) -> Option<Closed> {
        Some(Closed {
            attempt: self.attempt()?,
            at: self.time()?,
            outcome: match self.byte()? {
                0 => AttemptOutcome::Succeeded,
                1 => AttemptOutcome::Failed,
                2 => AttemptOutcome::Cancelled,
                3 => AttemptOutcome::Interrupted,
                _ => return None,
            },
            status: self.maybe(|bytes| u16::try_from(bytes.uint()?).ok())?,
            error_code: self.code()?,
            usage: self.usage()?,
            usage_source: self.source()?,
            cost: self.money()?,
            unpriced: self.flag()?,
            first_event_ms: self.maybe(Self::uint)?,
            total_ms: self.uint()?,
        })
    }

    fn receipt(&mut self) -> Option<Receipt> {
        Some(Receipt {
            ticket: self.ticket()?,
            request_id: self.shared()?,
            key: self.maybe(Self::shared)?,
            team: self.maybe(Self::shared)?,
            tags: self.tags()?,
            client_addr: self.maybe(Self::text)?.map(str::to_owned),
            model_asked: self.shared()?,
            model_served: self.maybe(Self::shared)?,
            backend: self.maybe(Self::shared)?,
            pool: self.maybe(Self::shared)?,
            dialect_in: self.dialect()?,
            dialect_out: self.maybe(Self::dialect)?,
            stream: self.flag()?,
            status: u16::try_from(self.uint()?).ok()?,
            outcome: match self.byte()? {
                0 => RequestOutcome::Completed,
                1 => RequestOutcome::Failed,
                2 => RequestOutcome::Cancelled,
                3 => RequestOutcome::Interrupted,
                _ => return None,
            },
            error_code: self.code()?,
            attempts: self.byte()?,
            at: self.time()?,
            queue_ms: self.uint()?,
            first_event_ms: self.maybe(Self::uint)?,
            total_ms: self.uint()?,
            bytes_in: self.uint()?,
            bytes_out: self.uint()?,
            usage: self.usage()?,
            usage_source: self.source()?,
            cost: self.money()?,
            unpriced: self.flag()?,
            price_version: self.maybe(Self::shared)?,
            keepalive_committed: self.flag()?,
        })
    }
}
