//! Reads the parts of an entry from bytes that may be anything; never trusts a length or a count.

use std::borrow::Cow;
use std::sync::Arc;

use policy::{
    Amount, AttemptId, AttemptOutcome, Closed, Opened, Price, Receipt, RequestOutcome, TicketId, Timestamp,
};
use protocol::{Dialect, Usage, UsageSource};

/// Bytes of the longest varint: 128 bits in groups of seven.
const VARINT_BYTES_MAX: u32 = 19;

pub(super) struct In<'a> {
    pub(super) rest: &'a [u8],
    /// Whether the form knows of pictures.
    pub(super) has_images: bool,
}

impl<'a> In<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
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
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Some(u64::from(*byte));
        }
        u64::try_from(self.wide()?).ok()
    }

    fn money(&mut self) -> Option<Amount> {
        let value = self.wide()?;
        Some(Amount((value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.uint()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn shared(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    /// A value that may be left out: the outer option says whether the bytes were right.
    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        let value = self.uint()?;
        Some(Timestamp((value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
    }

    pub(super) fn ticket(&mut self) -> Option<TicketId> {
        let (ticket, rest) = self.rest.split_first_chunk::<16>()?;
        self.rest = rest;
        Some(TicketId(u128::from_le_bytes(*ticket)))
    }

    pub(super) fn attempt(&mut self) -> Option<AttemptId> {
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

    pub(super) fn usage(&mut self) -> Option<Usage> {
        Some(Usage {
            input: self.uint()?,
            cached_input: self.uint()?,
            cache_write: self.uint()?,
            cache_write_1h: self.uint()?,
            output: self.uint()?,
            reasoning: self.uint()?,
            audio_input: self.uint()?,
            audio_output: self.uint()?,
            images: if self.has_images { self.uint()? } else { 0 },
            is_contradicted: false,
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
            image: if self.has_images { self.money()? } else { Amount::ZERO },
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
            3 => Some(UsageSource::Contradicted),
            _ => None,
        }
    }

    fn code(&mut self) -> Option<Option<Cow<'static, str>>> {
        self.maybe(|bytes| bytes.text().map(|code| Cow::Owned(code.to_owned())))
    }

    pub(super) fn opened(&mut self) -> Option<Opened> {
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

    pub(super) fn closed(&mut self) -> Option<Closed> {
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

    pub(super) fn receipt(&mut self) -> Option<Receipt> {
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
