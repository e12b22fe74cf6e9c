//! Decides what a model costs where its backend's mapping does not say; an unknown price is none, never zero.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{Calculator, ModelInfo, PriceRequest, ProviderInfo, Usage, UsageKey};
use policy::{Amount, PriceBook, PriceSpec, Timestamp, vendor_named};

/// Names the built-in table on receipts. It is the version of the crate that carries it.
pub const TABLE_VERSION: &str = "genai-prices-0.2.1";
/// Prices are asked for at this many tokens: below every provider's surcharge for long prompts, and enough
/// for nine decimals to give the price of one token to the last of its twelve.
const SAMPLE_TOKENS: f64 = 1000.0;
/// Forgotten whole when full: what is in use comes back with the next snapshot.
const KNOWN_MAX: usize = 50_000;

/// The built-in price table. Looking up a model costs microseconds, so answers are kept for a day.
///
/// Prices that rise with the length of a prompt are taken at their base; write a price into the mapping
/// where that matters.
#[derive(Debug, Default)]
pub struct PriceTable {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    day: Timestamp,
    prices: HashMap<(String, String), Option<PriceSpec>>,
}

impl PriceTable {
    /// The table's own id of the provider at that address, or else of the vendor with that label. A backend
    /// that is neither (a local server, a proxy) has only the prices that its mappings write.
    pub fn provider(label: &str, base_url: &str) -> Option<&'static str> {
        let at = |url: &str| Calculator::bundled().find_provider(None, Some(url)).ok().flatten();
        let vendor = vendor_named(label).filter(|vendor| vendor.base_url.is_some_and(|url| !is_local(url)));
        if vendor.is_none() && is_local(base_url) {
            // A gateway before local servers only never unpacks the table: milliseconds and megabytes.
            return None;
        }
        let by_label = || vendor.and_then(|vendor| at(vendor.base_url?));
        at(base_url).or_else(by_label).map(ProviderInfo::id)
    }

    /// What a provider's own model costs on that day; none when the table does not know.
    pub fn find(&self, provider: &str, native: &str, at: Timestamp) -> Option<PriceSpec> {
        let day = at.day_begins();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.day != day || known.prices.len() >= KNOWN_MAX {
            *known = Known { day, prices: HashMap::new() };
        }
        let asked = (provider.to_owned(), native.to_owned());
        known.prices.entry(asked).or_insert_with(|| look_up(provider, native, at)).clone()
    }

    /// A book for a snapshot of what is wanted.
    pub fn book<'w>(&self, wanted: impl IntoIterator<Item = Wanted<'w>>, at: Timestamp) -> PriceBook {
        let mut book = PriceBook::default();
        for Wanted { label, provider, native } in wanted {
            if let Some(spec) = self.find(provider, native, at) {
                book.insert(&format!("{label}/{native}"), spec.price());
            }
        }
        book
    }

    /// All that the table knows on that day, each under its provider's name.
    pub fn all(at: Timestamp) -> Vec<PriceEntry> {
        let providers = Calculator::bundled().providers();
        let models =
            providers.flat_map(|provider| provider.models().map(move |model| (provider.id(), model.id())));
        let entry = |(provider, native): (&str, &str)| {
            Some(PriceEntry {
                model: format!("{provider}/{native}"),
                since: None,
                spec: look_up(provider, native, at)?,
            })
        };
        models.filter_map(entry).collect()
    }

    /// The names that the table itself gives the models of a provider.
    pub fn models_of(provider: &str) -> impl Iterator<Item = &'static str> {
        let provider = Calculator::bundled().find_provider(Some(provider), None).ok().flatten();
        provider.into_iter().flat_map(ProviderInfo::models).map(ModelInfo::id)
    }
}

/// What a model costs from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntry {
    /// The provider's own name of it, alone or behind the provider's: `gpt-4o`, `openai/gpt-4o`.
    pub model: String,
    /// From when on; none: from the beginning.
    pub since: Option<Timestamp>,
    /// What it costs.
    pub spec: PriceSpec,
}

impl PriceEntry {
    /// There is one of each model and beginning.
    pub(crate) fn name(&self) -> String {
        match self.since {
            Some(since) => format!("{} since {}", self.model, since.to_utc()),
            None => self.model.clone(),
        }
    }
}

/// Of each model the price that holds at `at`; of several sources the later ones stand above the earlier.
pub(crate) fn in_force<'e>(
    sources: impl IntoIterator<Item = &'e [PriceEntry]>,
    at: Timestamp,
) -> HashMap<&'e str, &'e PriceEntry> {
    let mut all = HashMap::new();
    for source in sources {
        let mut own: HashMap<&str, &PriceEntry> = HashMap::new();
        for entry in source.iter().filter(|entry| entry.since.is_none_or(|since| since <= at)) {
            if own.get(entry.model.as_str()).is_none_or(|known| known.since <= entry.since) {
                own.insert(&entry.model, entry);
            }
        }
        all.extend(own);
    }
    all
}

/// A model whose price a snapshot needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted<'a> {
    /// The tag under which the snapshot looks it up.
    pub label: &'a str,
    /// The table's id of the provider.
    pub provider: &'a str,
    /// The provider's own name for the model.
    pub native: &'a str,
}

/// Whether a URL names its host by number or as this machine; the providers of the table never do.
fn is_local(base_url: &str) -> bool {
    let uri: Option<http::Uri> = base_url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || number.parse::<IpAddr>().is_ok()
}

fn look_up(provider: &str, native: &str, at: Timestamp) -> Option<PriceSpec> {
    let ask = Ask { provider, native, at };
    let request = ask.total(&[])?;
    let per_token = |keys: &[UsageKey]| ask.total(keys)?.checked_sub(request).map(each);
    let input = per_token(&[UsageKey::INPUT_TOKENS])?;
    let output = per_token(&[UsageKey::OUTPUT_TOKENS])?;
    let free_by_name = native.contains("free");
    if input == Amount::ZERO && output == Amount::ZERO && request == Amount::ZERO && !free_by_name {
        // The table lists some models without a price. That is not a price of nothing.
        return None;
    }
    let part = |whole: UsageKey, part: UsageKey| per_token(&[whole, part]);
    Some(PriceSpec {
        version: TABLE_VERSION.to_owned(),
        input,
        cached_input: part(UsageKey::INPUT_TOKENS, UsageKey::CACHE_READ_TOKENS),
        cache_write: part(UsageKey::INPUT_TOKENS, UsageKey::CACHE_WRITE_TOKENS),
        cache_write_1h: per_token(&[
            UsageKey::INPUT_TOKENS,
            UsageKey::CACHE_WRITE_TOKENS,
            UsageKey::CACHE_WRITE_1H_TOKENS,
        ]),
        output,
        reasoning: part(UsageKey::OUTPUT_TOKENS, UsageKey::OUTPUT_REASONING_TOKENS),
        audio_input: part(UsageKey::INPUT_TOKENS, UsageKey::INPUT_AUDIO_TOKENS),
        audio_output: part(UsageKey::OUTPUT_TOKENS, UsageKey::OUTPUT_AUDIO_TOKENS),
        image: Amount::ZERO,
        request,
    })
}

struct Ask<'a> {
    provider: &'a str,
    native: &'a str,
    at: Timestamp,
}

impl Ask<'_> {
    /// What a call costs whose usage is the sample of each of these kinds.
    fn total(&self, kinds: &[UsageKey]) -> Option<Amount> {
        let usage: Usage = kinds.iter().map(|kind| (kind.clone(), SAMPLE_TOKENS)).collect();
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.at.0).ok()?);
        let request =
            PriceRequest::new(self.native, &usage).with_provider_id(self.provider).with_timestamp(at);
        let dollars = Calculator::bundled().calculate(&request).ok()?.total_price;
        // The one place where a float becomes money: rounded to the last decimal that a price can have.
        format!("{dollars:.9}").parse().ok()
    }
}

/// A thousandth, exactly: samples are rounded to nine decimals, amounts hold twelve.
fn each(sample: Amount) -> Amount {
    Amount(sample.0 / 1000)
}

/// Eight hexadecimal digits of a price's content, so that a changed price has a changed name.
pub(crate) fn fingerprint(spec: &PriceSpec) -> u32 {
    let kinds = [
        Some(spec.input),
        spec.cached_input,
        spec.cache_write,
        spec.cache_write_1h,
        Some(spec.output),
        spec.reasoning,
        spec.audio_input,
        spec.audio_output,
        Some(spec.request),
    ];
    // What says nothing of pictures keeps the name that it had before they could be priced.
    let image = (spec.image != Amount::ZERO).then_some(Some(spec.image));
    // FNV-1a: stable over releases, unlike std's hasher; nobody gains by a collision of their own prices.
    let mut hash: u32 = 0x811c_9dc5;
    for kind in kinds.into_iter().chain(image) {
        let bytes = kind.map_or([0xff; 16], |amount| amount.0.to_be_bytes());
        for byte in bytes {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-01.
    const AT: Timestamp = Timestamp(1_780_272_000_000);

    #[test]
    fn known_models_have_exact_prices_and_unknown_ones_have_none() {
        let table = PriceTable::default();
        for (label, native, expected) in [
            ("openai", "gpt-4o", Some(("0.0000025", "0.00000125", "0.00001"))),
            ("openai", "gpt-4o-mini", Some(("0.00000015", "0.000000075", "0.0000006"))),
            ("openai", "no-such-model-at-all", None),
            ("no-such-provider", "gpt-4o", None),
            ("nvidia", "deepseek-ai/deepseek-v4-pro", None),
            ("", "", None),
        ] {
            let found = table.find(label, native, AT).map(|spec| {
                let cached = spec.cached_input.unwrap_or(spec.input);
                (spec.input.to_string(), cached.to_string(), spec.output.to_string())
            });
            let expected = expected.map(|(i, c, o)| (i.to_owned(), c.to_owned(), o.to_owned()));
            assert_eq!(found, expected, "{label}/{native}");
        }
    }

    #[test]
    fn a_provider_is_known_by_its_address_or_its_vendors_label_and_by_nothing_else() {
        for (label, base_url, expected) in [
            ("openai", "https://api.openai.com/v1", Some("openai")),
            ("anything", "https://api.openai.com/v1", Some("openai")),
            ("openai", "http://127.0.0.1:8080/v1", Some("openai")),
            ("openai_compatible", "http://127.0.0.1:8080/v1", None),
            ("my-openai", "https://proxy.example.com/v1", None),
            ("llama", "http://[::1]:8080/v1", None),
            ("llama", "http://localhost:8080/v1", None),
            ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", Some("google")),
            ("xai", "https://api.x.ai/v1", Some("x-ai")),
            ("moonshot", "https://api.moonshot.ai/v1", Some("moonshotai")),
            ("gemini", "https://generativelanguage.googleapis.com/v1beta", Some("google")),
            ("anthropic", "https://api.anthropic.com/v1", Some("anthropic")),
            ("azure", "https://mine.openai.azure.com/openai/v1", Some("azure")),
            ("ollama", "http://127.0.0.1:11434/v1", None),
            ("nvidia", "https://integrate.api.nvidia.com/v1", None),
        ] {
            assert_eq!(PriceTable::provider(label, base_url), expected, "{label} at {base_url}");
        }
    }

    #[test]
    fn no_price_in_the_table_is_negative_or_rounded_away() {
        let table = PriceTable::default();
        let mut priced = 0;
        for label in ["openai", "openrouter", "groq", "deepseek", "mistral", "google"] {
            for native in PriceTable::models_of(label) {
                let Some(spec) = table.find(label, native, AT) else { continue };
                priced += 1;
                for (kind, amount) in spec.amounts() {
                    assert!(amount >= Amount::ZERO, "{label}/{native} {kind}");
                }
            }
        }
        assert!(priced > 200, "only {priced} models have a price");
    }

    #[test]
    fn the_newest_price_that_has_begun_holds_and_later_sources_stand_above() {
        let entry = |model: &str, since: Option<i64>, version: &str| PriceEntry {
            model: model.into(),
            since: since.map(Timestamp),
            spec: PriceSpec { version: version.into(), ..PriceSpec::default() },
        };
        let file = [entry("m", None, "f0"), entry("m", Some(10), "f10"), entry("n", Some(20), "f20")];
        let api = [entry("m", Some(30), "a30")];
        for (at, expected) in [(0, "m=f0"), (10, "m=f10"), (20, "m=f10 n=f20"), (30, "m=a30 n=f20")] {
            let held = in_force([&file[..], &api[..]], Timestamp(at));
            let mut told: Vec<_> =
                held.iter().map(|(model, entry)| format!("{model}={}", entry.spec.version)).collect();
            told.sort();
            assert_eq!(told.join(" "), expected, "{at}");
        }
    }

    #[test]
    fn the_whole_table_is_listed_under_its_providers() {
        let all = PriceTable::all(AT);
        assert!(all.len() > 300, "only {}", all.len());
        let found = all.iter().find(|entry| entry.model == "openai/gpt-4o").expect("a well-known one");
        assert_eq!(found.spec.input.to_string(), "0.0000025");
    }

    #[test]
    fn prices_that_differ_have_names_that_differ() {
        let one = PriceSpec { input: Amount(1), ..PriceSpec::default() };
        let other = PriceSpec { cached_input: Some(Amount(1)), ..PriceSpec::default() };
        assert_ne!(fingerprint(&one), fingerprint(&other));
        assert_ne!(fingerprint(&one), fingerprint(&PriceSpec::default()));
        assert_eq!(fingerprint(&one), fingerprint(&one.clone()));
        let images = PriceSpec { image: Amount(1), ..PriceSpec::default() };
        assert_ne!(fingerprint(&images), fingerprint(&PriceSpec::default()));
    }
}
