//! Writes the parts of an entry; never reads them.

use policy::{
    Amount, AttemptId, AttemptOutcome, Closed, Opened, Price, Receipt, RequestOutcome, TicketId, Timestamp,
};
use protocol::{Dialect, Usage, UsageSource};

pub(super) struct Out<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    /// Whether the form knows of pictures.
    pub(super) has_images: bool,
}

impl Out<'_> {
    fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }

    fn wide(&mut self, mut value: u128) {
        while value > u128::from(u64::MAX) {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.uint(u64::try_from(value).expect("just compared"));
    }

    fn money(&mut self, Amount(units): Amount) {
        self.wide(((units << 1) ^ (units >> 127)).cast_unsigned());
    }

    /// A byte as it is: a small number, or a flag as 0 or 1.
    pub(super) fn byte(&mut self, value: impl Into<u8>) {
        self.bytes.push(value.into());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.uint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A flag, and the value when there is one.
    fn uint_or_none(&mut self, value: Option<u64>) {
        self.byte(value.is_some());
        if let Some(value) = value {
            self.uint(value);
        }
    }

    fn text_or_none(&mut self, text: Option<&str>) {
        self.byte(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }

    pub(super) fn time(&mut self, Timestamp(millis): Timestamp) {
        self.uint(((millis << 1) ^ (millis >> 63)).cast_unsigned());
    }

    pub(super) fn ticket(&mut self, TicketId(ticket): TicketId) {
        self.bytes.extend_from_slice(&ticket.to_le_bytes());
    }

    pub(super) fn attempt(&mut self, AttemptId { ticket, number }: AttemptId) {
        self.ticket(ticket);
        self.bytes.push(number);
    }

    fn tags(&mut self, tags: &[(String, String)]) {
        self.uint(tags.len() as u64);
        for (tag, value) in tags {
            self.text(tag);
            self.text(value);
        }
    }

    pub(super) fn usage(&mut self, usage: &Usage) {
        let Usage {
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            images,
            // The source says it.
            is_contradicted: _,
        } = *usage;
        for count in
            [input, cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output]
        {
            self.uint(count);
        }
        if self.has_images {
            self.uint(images);
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
            image,
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
        if self.has_images {
            self.money(*image);
        }
    }

    pub(super) fn opened(&mut self, opened: &Opened) {
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
        self.byte(*stream);
        self.time(*at);
        self.usage(estimate);
        self.byte(price.is_some());
        if let Some(price) = price {
            self.price(price);
        }
    }

    pub(super) fn closed(&mut self, closed: &Closed) {
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
        self.bytes.push(match outcome {
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
        self.byte(*unpriced);
        self.uint_or_none(*first_event_ms);
        self.uint(*total_ms);
    }

    fn source(&mut self, source: UsageSource) {
        self.bytes.push(match source {
            UsageSource::Provider => 0,
            UsageSource::Counted => 1,
            UsageSource::Estimated => 2,
            UsageSource::Contradicted => 3,
        });
    }

    pub(super) fn receipt(&mut self, receipt: &Receipt) {
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
        self.ticket(*ticket);
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
        self.byte(*stream);
        self.uint(u64::from(*status));
        self.bytes.push(match outcome {
            RequestOutcome::Completed => 0,
            RequestOutcome::Failed => 1,
            RequestOutcome::Cancelled => 2,
            RequestOutcome::Interrupted => 3,
        });
        self.text_or_none(error_code.as_deref());
        self.bytes.push(*attempts);
        self.time(*at);
        self.uint(*queue_ms);
        self.uint_or_none(*first_event_ms);
        for number in [total_ms, bytes_in, bytes_out] {
            self.uint(*number);
        }
        self.usage(usage);
        self.source(*usage_source);
        self.money(*cost);
        self.byte(*unpriced);
        self.text_or_none(price_version.as_deref());
        self.byte(*keepalive_committed);
    }
}
