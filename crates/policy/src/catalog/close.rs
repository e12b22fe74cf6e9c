//! Decides which known names a wrong name may have meant; never corrects one by itself.

/// Suggestions at most.
const CLOSE_MAX: usize = 5;
/// Names looked at, and bytes compared of each: bounds the work that a wrong name can cause.
const NAMES_MAX: usize = 2_000;
const NAME_BYTES_MAX: usize = 96;

/// Up to five known names like `asked`, the likeliest first.
pub(crate) fn close_names<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    if asked.is_empty() || asked.len() > NAME_BYTES_MAX {
        return Vec::new();
    }
    let asked = asked.to_ascii_lowercase();
    let mut close: Vec<(usize, &str)> = known
        .take(NAMES_MAX)
        .filter(|name| name.len() <= NAME_BYTES_MAX)
        .filter_map(|name| unlikeness(&asked, &name.to_ascii_lowercase()).map(|unlike| (unlike, name)))
        .collect();
    close.sort_unstable();
    close.into_iter().take(CLOSE_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// How unlike two names are, or nothing when they have too little in common. The vendor's part before
/// the last slash is easily forgotten, so the last parts are compared too.
fn unlikeness(asked: &str, name: &str) -> Option<usize> {
    let tail = |text: &'_ str| text.rsplit('/').next().map_or(0, str::len);
    let (asked_tail, name_tail) = (&asked[asked.len() - tail(asked)..], &name[name.len() - tail(name)..]);
    let allowed = (asked_tail.len() / 3).min(6);
    let whole = distance_within(asked, name, allowed);
    let tails = distance_within(asked_tail, name_tail, allowed).map(|distance| distance + 1);
    let begins =
        asked_tail.len() >= 3 && (name_tail.starts_with(asked_tail) || asked_tail.starts_with(name_tail));
    let begins = (begins && name_tail.len() >= 3).then_some(allowed + 2);
    whole.into_iter().chain(tails).chain(begins).min()
}

/// The number of bytes to insert, delete or replace, if it is at most `allowed`.
fn distance_within(one: &str, other: &str, allowed: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > allowed {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (place, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let above = *place;
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = above;
            *place = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &str, expected: &[&str]) {
        let known = [
            "gpt-4o",
            "gpt-4o-mini",
            "deepseek-ai/deepseek-v4-pro",
            "deepseek-v4",
            "qwen-max",
            "llama-3.1-8b",
        ];
        assert_eq!(close_names(asked, known.into_iter()), expected, "{asked}");
    }

    #[test]
    fn likely_names_come_first_and_unlikely_ones_not_at_all() {
        check("gpt4o", &["gpt-4o"]);
        check("gpt-4o-min", &["gpt-4o-mini", "gpt-4o"]);
        check("GPT-4o", &["gpt-4o", "gpt-4o-mini"]);
        check("deepseek-v4-pro", &["deepseek-ai/deepseek-v4-pro", "deepseek-v4"]);
        check("nvidia/qwen-max", &["qwen-max"]);
        check("something-else", &[]);
        check("", &[]);
        check(&"x".repeat(500), &[]);
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, expected) in [
            ("kitten", "sitting", Some(3)),
            ("", "ab", Some(2)),
            ("abc", "abc", Some(0)),
            ("abcdefgh", "", None),
        ] {
            assert_eq!(distance_within(one, other, 5), expected, "{one} {other}");
        }
    }
}
