//! What is kept of a response can be read again: its response as it was, each input item once however it is paged, and
//! the conversation in every dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::kept::{Order, Page, Past, input_items, references, remember, response};
use protocol::{DecodeError, Dialect, Manner, Target};
use serde::Deserialize;

const OWN: Dialect = Dialect::OpenAiResponses;

#[derive(Deserialize)]
struct List {
    data: Vec<Item>,
    first_id: String,
    last_id: String,
    has_more: bool,
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

fn page(kept: &[u8], page: &Page<'_>) -> List {
    let list = input_items(kept, page).expect("what was remembered can be listed");
    serde_json::from_slice(&list).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&list)))
}

/// Pages of any length, put together, are the whole list.
fn check_pages(kept: &[u8], order: Order, limit: usize) {
    let whole = page(kept, &Page { after: None, limit: usize::MAX, order });
    let ids: Vec<&str> = whole.data.iter().map(|item| item.id.as_str()).collect();
    assert!(!whole.has_more);
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < ids.len() {
        // Ids that clients give twice say no place.
        return;
    }
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let next = page(kept, &Page { after: after.as_deref(), limit, order });
        assert!(next.data.len() <= limit);
        found.extend(next.data.iter().map(|item| item.id.clone()));
        if !next.has_more {
            break;
        }
        assert_eq!((next.first_id.as_str(), Some(&next.last_id)), (next.data[0].id.as_str(), found.last()));
        after = Some(next.last_id);
    }
    assert_eq!(found, ids);
}

/// Goes on with what was kept, in every dialect.
fn check_next(past: &Past, body: &[u8]) {
    let Some(Ok(mut request)) = protocol::decode_request(OWN, body) else { return };
    references(&request);
    // What the client has said may mean something only now that it stands behind what was kept.
    if past.recall(&mut request).is_err() {
        return;
    }
    assert_eq!(request.previous_response_id, None);
    for dialect in Dialect::ALL.iter().copied().filter(|dialect| protocol::converses(*dialect)) {
        let target = Target { model: "native", max_output_tokens: 4_096, manner: Manner::default() };
        let encoded = protocol::encode_request(dialect, &request, &target).expect("it converses");
        let written = String::from_utf8_lossy(&encoded.body);
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&encoded.body).is_ok(), "{dialect}: {written}");
        // References to what is not kept say nothing elsewhere, so that nothing may be left to say.
        let again = protocol::decode_request(dialect, &encoded.body).expect("it converses");
        assert!(matches!(again, Ok(_) | Err(DecodeError::EmptyMessages)), "{dialect}: {again:?}: {written}");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&limit, input)) = input.split_first() else { return };
    let mut texts = input.splitn(3, |byte| *byte == 0);
    let (Some(body), Some(answer)) = (texts.next(), texts.next()) else { return };
    let Ok(kept) = remember(body, &Past::default(), answer) else { return };
    assert_eq!(response(&kept).as_deref(), Some(answer.trim_ascii()));
    let limit = usize::from(limit) + 1;
    [Order::Ascending, Order::Descending].into_iter().for_each(|order| check_pages(&kept, order, limit));
    let next = texts.next().unwrap_or(body);
    let past = Past { earlier: Some(kept.clone()), referred: vec![kept.clone()] };
    check_next(&past, next);
    if let Ok(again) = remember(next, &past, answer) {
        let count = |kept: &[u8]| page(kept, &Page { after: None, limit: usize::MAX, order: Order::Ascending }).data.len();
        assert!(count(&again) >= count(&kept));
    }
});
