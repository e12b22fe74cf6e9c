//! Holds the form of journal lines to its promises: every entry comes back whole, and no bytes that are not
//! exactly what would be written are taken for an entry.

use std::borrow::Cow;
use std::sync::Arc;

use policy::{
    Amount, AttemptId, AttemptOutcome, Closed, Opened, Price, Receipt, RequestOutcome, TicketId, Timestamp,
};
use proptest::prelude::*;
use protocol::{Dialect, Usage, UsageSource};

use super::*;

fn usage() -> BoxedStrategy<Usage> {
    let count = || prop_oneof![0_u64..300, any::<u64>()];
    let images = prop_oneof![Just(0_u64), any::<u64>()];
    ([count(), count(), count(), count()], [count(), count(), count(), count()], images)
        .prop_map(|(input, output, images)| Usage {
            input: input[0],
            cached_input: input[1],
            cache_write: input[2],
            cache_write_1h: input[3],
            output: output[0],
            reasoning: output[1],
            audio_input: output[2],
            audio_output: output[3],
            images,
            is_contradicted: false,
        })
        .boxed()
}

fn money() -> impl Strategy<Value = Amount> {
    prop_oneof![any::<i128>(), -1000_i128..1000, any::<i64>().prop_map(i128::from)].prop_map(Amount)
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    "\\PC{0,12}".prop_map(Arc::from)
}

fn price() -> BoxedStrategy<Arc<Price>> {
    (shared(), prop::collection::vec(money(), 9), prop_oneof![Just(Amount::ZERO), money()])
        .prop_map(|(version, amounts, image)| {
            Arc::new(Price {
                version,
                input: amounts[0],
                cached_input: amounts[1],
                cache_write: amounts[2],
                cache_write_1h: amounts[3],
                output: amounts[4],
                reasoning: amounts[5],
                audio_input: amounts[6],
                audio_output: amounts[7],
                image,
                request: amounts[8],
            })
        })
        .boxed()
}

fn tags() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("\\PC{0,5}", "\\PC{0,5}"), 0..4)
}

fn attempt() -> impl Strategy<Value = AttemptId> {
    (any::<u128>(), any::<u8>()).prop_map(|(ticket, number)| AttemptId { ticket: TicketId(ticket), number })
}

fn opened() -> BoxedStrategy<Entry> {
    let maybe = || prop::option::of(shared());
    let dialect = || prop::sample::select(Dialect::ALL);
    let who = (attempt(), shared(), maybe(), maybe(), tags());
    let what = (prop::collection::vec(shared(), 6), dialect(), dialect(), any::<bool>());
    (who, what, any::<i64>(), usage(), prop::option::of(price()))
        .prop_map(|(who, what, at, estimate, price)| {
            let (attempt, request_id, key, team, tags) = who;
            let (texts, dialect_in, dialect_out, stream) = what;
            let [backend, pool, label, model_asked, model, native] = texts.try_into().expect("six");
            Entry::Opened(Opened {
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
                at: Timestamp(at),
                estimate,
                price,
            })
        })
        .boxed()
}

fn code() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    prop::option::of("[a-z_]{1,20}".prop_map(Cow::Owned))
}

fn source() -> impl Strategy<Value = UsageSource> {
    prop::sample::select(&[
        UsageSource::Provider,
        UsageSource::Counted,
        UsageSource::Estimated,
        UsageSource::Contradicted,
    ])
}

fn closed() -> BoxedStrategy<Closed> {
    let outcomes = &[
        AttemptOutcome::Succeeded,
        AttemptOutcome::Failed,
        AttemptOutcome::Cancelled,
        AttemptOutcome::Interrupted,
    ];
    let how = (prop::sample::select(outcomes), any::<Option<u16>>(), code(), any::<bool>());
    let times = (any::<i64>(), any::<Option<u64>>(), any::<u64>());
    (attempt(), how, times, usage(), source(), money())
        .prop_map(|(attempt, how, times, usage, source, cost)| Closed {
            attempt,
            at: Timestamp(times.0),
            outcome: how.0,
            status: how.1,
            error_code: how.2,
            usage,
            usage_source: source,
            cost,
            unpriced: how.3,
            first_event_ms: times.1,
            total_ms: times.2,
        })
        .boxed()
}

fn receipt() -> BoxedStrategy<Receipt> {
    let maybe = || prop::option::of(shared());
    let outcomes = &[
        RequestOutcome::Completed,
        RequestOutcome::Failed,
        RequestOutcome::Cancelled,
        RequestOutcome::Interrupted,
    ];
    let who = (any::<u128>(), shared(), tags(), any::<Option<String>>(), shared());
    let texts = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe());
    let dialects = (prop::sample::select(Dialect::ALL), prop::option::of(prop::sample::select(Dialect::ALL)));
    let how = (any::<[bool; 3]>(), any::<u16>(), prop::sample::select(outcomes), code(), any::<u8>());
    let numbers = (any::<i64>(), any::<[u64; 4]>(), any::<Option<u64>>());
    (who, texts, dialects, how, numbers, usage(), source(), money())
        .prop_map(|(who, texts, dialects, how, numbers, usage, usage_source, cost)| Receipt {
            ticket: TicketId(who.0),
            request_id: who.1,
            key: texts.0,
            team: texts.1,
            tags: who.2,
            client_addr: who.3,
            model_asked: who.4,
            model_served: texts.2,
            backend: texts.3,
            pool: texts.4,
            dialect_in: dialects.0,
            dialect_out: dialects.1,
            stream: how.0[0],
            status: how.1,
            outcome: how.2,
            error_code: how.3,
            attempts: how.4,
            at: Timestamp(numbers.0),
            queue_ms: numbers.1[0],
            first_event_ms: numbers.2,
            total_ms: numbers.1[1],
            bytes_in: numbers.1[2],
            bytes_out: numbers.1[3],
            usage,
            usage_source,
            cost,
            unpriced: how.0[1],
            price_version: texts.5,
            keepalive_committed: how.0[2],
        })
        .boxed()
}

fn entry() -> impl Strategy<Value = Entry> {
    let progress = (attempt(), any::<i64>(), usage())
        .prop_map(|(attempt, at, usage)| Entry::Progress(Progress { attempt, at: Timestamp(at), usage }));
    let settled =
        (prop::option::of(closed()), receipt()).prop_map(|(last, receipt)| Entry::Settled { last, receipt });
    let bound = (shared(), shared(), any::<i64>())
        .prop_map(|(id, backend, at)| Entry::Bound(Bound { id, backend, at: Timestamp(at) }));
    let reasoned = (any::<u128>(), "\\PC{0,40}").prop_map(|(ticket, text)| {
        Entry::Reasoned(Reasoned { ticket: TicketId(ticket), text: text.into_boxed_str() })
    });
    prop_oneof![opened(), progress, closed().prop_map(Entry::Closed), settled, bound, reasoned]
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(entry, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn every_entry_comes_back(entry in entry()) {
        prop_assert_eq!(decode(&encoded(&entry)), Some(entry));
    }

    #[test]
    fn a_part_of_an_entry_or_more_than_one_is_none(entry in entry(), at in any::<prop::sample::Index>()) {
        let bytes = encoded(&entry);
        prop_assert_eq!(decode(&bytes[..at.index(bytes.len())]), None);
        prop_assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn what_is_read_is_what_would_be_written(entry in entry(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encoded(&entry);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(read) = decode(&bytes) {
            prop_assert_eq!(encoded(&read), bytes);
        }
    }
}

/// The bytes of a released form never change: a journal must be readable after an upgrade.
#[test]
fn the_form_is_what_it_was() {
    let attempt = AttemptId { ticket: TicketId(0x0102_0304), number: 2 };
    let usage = Usage { input: 300, output: 1, ..Usage::default() };
    let progress = Entry::Progress(Progress { attempt, at: Timestamp(-2), usage });
    let ticket = "04030201000000000000000000000000";
    assert_eq!(hex::encode(encoded(&progress)), format!("0102{ticket}0203ac0200000001000000"));
    let closed = Entry::Closed(Closed {
        attempt,
        at: Timestamp(5),
        outcome: AttemptOutcome::Failed,
        status: Some(503),
        error_code: Some("down".into()),
        usage: Usage::default(),
        usage_source: UsageSource::Counted,
        cost: Amount(-1),
        unpriced: true,
        first_event_ms: None,
        total_ms: 128,
    });
    let expected = format!("0103{ticket}020a0101f7030104646f776e0000000000000000010101008001");
    assert_eq!(hex::encode(encoded(&closed)), expected);
}
