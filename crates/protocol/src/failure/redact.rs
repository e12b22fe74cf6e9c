//! Decides what of an upstream's words may reach a log: a bounded part, without what looks like a credential; never judges
//! their meaning.

/// As much as a log line is good for.
const DETAIL_CHARS_MAX: usize = 500;
/// A run of key characters as long as this, mixing letters and digits, is no word.
const SECRET_CHARS_MIN: usize = 24;
/// Behind these, shorter ones are secret, too.
const SECRET_PREFIXES: &[&str] =
    &["sk-", "sk_", "key-", "api-", "AIza", "gsk_", "xai-", "nvapi-", "hf_", "lg-", "eyJ"];

/// Bounds and cleans a text for the operator's log.
pub(super) fn detail(text: &str) -> Box<str> {
    let mut clean = String::with_capacity(text.len().min(DETAIL_CHARS_MAX));
    let mut after_bearer = false;
    for run in text.split_inclusive(|letter: char| !is_key_letter(letter)).take(DETAIL_CHARS_MAX) {
        let word = run.trim_end_matches(|letter: char| !is_key_letter(letter));
        let behind = run.get(word.len()..).unwrap_or_default();
        if after_bearer && word.len() >= 4 || looks_secret(word) {
            clean.push_str("[hidden]");
        } else {
            clean.push_str(word);
        }
        clean.extend(behind.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        if !word.is_empty() {
            after_bearer = word.eq_ignore_ascii_case("bearer");
        }
    }
    if let Some((end, _)) = clean.char_indices().nth(DETAIL_CHARS_MAX) {
        clean.truncate(end);
    }
    clean.into()
}

fn is_key_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '*')
}

fn looks_secret(word: &str) -> bool {
    let mixed =
        word.bytes().any(|byte| byte.is_ascii_digit()) && word.bytes().any(|byte| byte.is_ascii_alphabetic());
    (mixed && word.len() >= SECRET_CHARS_MIN)
        || (word.len() >= 10 && SECRET_PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
}
