//! Cuts lists into pages: a page ends with the name of its last item, so that what is added or removed meanwhile neither
//! repeats nor hides another; it never decides what is in a list.

use std::str::FromStr;

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::refusal::Refusal;

const CURSOR_CHARS_MAX: usize = 512;
/// What a database can count to.
const NUMBER_DIGITS_MAX: usize = 18;

/// How many items a page of a list has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageSize {
    /// Where nobody asks for a number.
    pub(crate) usual: u32,
    pub(crate) max: u32,
}

/// What most lists have.
pub(crate) const PAGE: PageSize = PageSize { usual: 100, max: 1000 };

/// How many items to show when so many are asked for.
pub(crate) fn limit(asked: Option<u32>, PageSize { usual, max }: PageSize) -> Result<u32, Refusal> {
    let limit = asked.unwrap_or(usual);
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(Refusal::query("limit", &format!("is from 1 to {max}")))
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many at most; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    #[param(max_length = 512)]
    pub(crate) cursor: Option<String>,
}

/// A page, and where the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

impl Paging {
    /// The page of a list, which is put in the order of `key`. No two items have the same one.
    pub(crate) fn cut<T, K: Ord + ToString + FromStr>(
        &self,
        all: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>, Refusal> {
        self.cut_at(limit(self.limit, PAGE)?, all, key)
    }

    /// The same, where the list has pages of a size of its own.
    pub(crate) fn cut_at<T, K: Ord + ToString + FromStr>(
        &self,
        limit: u32,
        mut all: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>, Refusal> {
        if let Some(cursor) = &self.cursor {
            let after = Some(cursor).filter(|text| text.chars().count() <= CURSOR_CHARS_MAX);
            let after: K = after.and_then(|text| text.parse().ok()).ok_or_else(bad_cursor)?;
            all.retain(|item| key(item) > after);
        }
        all.sort_by_cached_key(|item| key(item));
        let limit = limit as usize;
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|last| key(last).to_string());
        Ok(Page { items: all, next })
    }
}

/// The number that a cursor is, where a list is numbered.
pub(crate) fn numbered(cursor: &str) -> Result<u64, Refusal> {
    let is_number = cursor.len() <= NUMBER_DIGITS_MAX && cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|_| is_number).ok_or_else(bad_cursor)
}

/// What a list that does its own cutting says of a cursor that is none.
pub(crate) fn bad_cursor() -> Refusal {
    let detail = "`cursor` is not one that a page ended with";
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_cursor", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: u32, cursor: Option<&str>, all: &[&str]) -> Page<String> {
        let paging = Paging { limit: Some(limit), cursor: cursor.map(str::to_owned) };
        let all = all.iter().map(|name| (*name).to_owned()).collect();
        paging.cut(all, Clone::clone).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_whatever_happened_meanwhile() {
        for (limit, cursor, all, items, next) in [
            (2, None, &["b", "c", "a"][..], &["a", "b"][..], Some("b")),
            (2, Some("b"), &["b", "c", "a"], &["c"], None),
            (2, Some("b"), &["c", "a", "d"], &["c", "d"], None),
            (1, Some("b"), &["bb", "c"], &["bb"], Some("bb")),
            (3, None, &["a", "b", "c"], &["a", "b", "c"], None),
            (1, Some("z"), &["a"], &[], None),
        ] {
            let expected = Page {
                items: items.iter().map(|name| (*name).to_owned()).collect(),
                next: next.map(str::to_owned),
            };
            assert_eq!(page(limit, cursor, all), expected, "{limit} {cursor:?} {all:?}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (limit, cursor, code) in [
            (Some(0), None, "invalid_query"),
            (Some(1001), None, "invalid_query"),
            (None, Some("x".repeat(513)), "invalid_cursor"),
        ] {
            let paging = Paging { limit, cursor };
            let refusal = paging.cut(vec![String::new()], Clone::clone).expect_err("it is no page");
            assert_eq!(refusal.code, code, "{limit:?}");
        }
        let numbers = Paging { limit: None, cursor: Some("first".to_owned()) };
        numbers.cut(vec![1_u64], |number| *number).expect_err("it is no number");
    }
}
