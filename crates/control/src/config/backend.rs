//! A backend as it is meant, whether a file, the environment or an API call gave it; it never reaches one.

use std::time::Duration;

use policy::{
    Amount, BackendKind, BackendLimits, BackendSpec, Deadlines, Dialect, HeaderRules, ModelLimits, ModelSpec,
    PriceSpec, Source,
};

use super::bind::List;
use super::file::{self, File};
use super::process;
use super::quantity::Count;
use super::settings::source_at;
use super::tree::{Node, Path};
use super::url::{self, LinkLocal};

pub(super) fn backends(file: &File, tree: &Node, common: Deadlines) -> Vec<BackendSpec> {
    let listed = file.backends.iter().flat_map(List::iter);
    let mut instances = 0;
    listed
        .filter_map(|(index, typed)| {
            let source = source_at(tree, &Path::dotted("backends").then(index));
            Some(process::expanded(typed, backend(typed, common, source)?, &mut instances))
        })
        .flatten()
        .collect()
}

/// Decides everything that a checked backend leaves open; nothing only where the check has failed.
pub(crate) fn backend(typed: &file::Backend, common: Deadlines, source: Source) -> Option<BackendSpec> {
    let kind = BackendKind::named(typed.kind.as_ref().map_or("openai_compatible", |kind| kind.0.as_str()))?;
    let written = typed.base_url.as_ref().map(|text| url::base_url(&text.0, LinkLocal::Allowed));
    let base_url = match written {
        Some(checked) => checked.ok()?,
        None if kind == BackendKind::Process => format!("process://{}", typed.name.0),
        None => kind.base_url()?.to_owned(),
    };
    let mut spec = BackendSpec::new(&typed.name.0, kind, &base_url);
    spec.label = typed.label.as_ref().map(|label| label.0.clone());
    spec.dialects = typed.dialects.as_ref().map(|listed| listed.iter().map(|one| dialect(*one)).collect());
    spec.api_version = typed.api_version.as_ref().map(|version| version.0.clone());
    spec.credential = typed.api_key.as_ref().map(|key| key.0.clone());
    if let Some(pool) = &typed.pool {
        spec.pool = pool.0.clone();
    }
    spec.weight = typed.weight.map_or(1, |count| count.get32());
    spec.enabled = typed.enabled.unwrap_or(true);
    spec.limits = backend_limits(typed.limits.as_ref(), BackendLimits::unwritten(&base_url));
    spec.deadlines = deadlines(typed.deadlines.as_ref(), common);
    spec.headers = headers(typed.headers.as_ref());
    spec.drain_on_disconnect = typed.drain_on_disconnect.unwrap_or(false);
    spec.keeps_responses = typed.keeps_responses;
    spec.health_path = typed.health_path.as_ref().map(|path| path.0.clone());
    spec.ca_file = typed.ca_file.as_ref().map(|path| path.0.clone());
    let models = typed.models.as_ref();
    spec.models =
        models.map(|table| table.0.iter().map(|(name, typed)| (name.clone(), model(typed))).collect());
    spec.source = source;
    Some(spec)
}

fn dialect(spoken: file::Spoken) -> Dialect {
    match spoken {
        file::Spoken::OpenAiChat => Dialect::OpenAiChat,
        file::Spoken::OpenAiCompletions => Dialect::OpenAiCompletions,
        file::Spoken::OpenAiEmbeddings => Dialect::OpenAiEmbeddings,
        file::Spoken::OpenAiResponses => Dialect::OpenAiResponses,
        file::Spoken::AnthropicMessages => Dialect::AnthropicMessages,
        file::Spoken::Gemini => Dialect::Gemini,
        file::Spoken::OpenAiRaw => Dialect::OpenAiRaw,
    }
}

fn backend_limits(typed: Option<&file::BackendLimits>, unwritten: BackendLimits) -> BackendLimits {
    BackendLimits {
        rpm: typed.and_then(|l| l.rpm).map_or(unwritten.rpm, |count| count.get32()),
        burst: typed.and_then(|l| l.burst).map(|count| count.get32()),
        tpm: typed.and_then(|l| l.tpm).map(|count| count.0),
        concurrency: typed.and_then(|l| l.concurrency).map(|count| count.get32()),
    }
}

fn headers(typed: Option<&file::Headers>) -> HeaderRules {
    let names = |list: Option<&Vec<super::leaf::HeaderName>>| {
        list.into_iter().flatten().map(|name| name.0.clone()).collect::<Vec<_>>()
    };
    HeaderRules {
        set: typed
            .and_then(|headers| headers.set.as_ref())
            .into_iter()
            .flat_map(|table| &table.0)
            .map(|(name, value)| (name.to_ascii_lowercase(), value.0.clone()))
            .collect(),
        allow: names(typed.and_then(|headers| headers.allow.as_ref())),
        deny: names(typed.and_then(|headers| headers.deny.as_ref())),
    }
}

fn model(typed: &file::Model) -> ModelSpec {
    let typed = &typed.0;
    ModelSpec {
        native: typed.native.as_ref().map(|native| native.0.clone()),
        price: typed.price.as_ref().map(price),
        context: typed.context.map(|count| count.0),
        max_output: typed.max_output.map(|count| count.0),
        limits: typed.limits.as_ref().map(model_limits).unwrap_or_default(),
        ..ModelSpec::default()
    }
}

fn model_limits(typed: &file::ModelLimits) -> ModelLimits {
    ModelLimits { rpm: typed.rpm.map(Count::get32), tpm: typed.tpm.map(|count| count.0) }
}

/// The version names the price on receipts: two prices that differ never share a name.
pub(crate) fn price(typed: &file::Price) -> PriceSpec {
    let mut spec = PriceSpec {
        version: String::new(),
        input: typed.input.0,
        cached_input: typed.cached_input.map(|amount| amount.0),
        cache_write: typed.cache_write.map(|amount| amount.0),
        cache_write_1h: typed.cache_write_1h.map(|amount| amount.0),
        output: typed.output.0,
        reasoning: typed.reasoning.map(|amount| amount.0),
        audio_input: typed.audio_input.map(|amount| amount.0),
        audio_output: typed.audio_output.map(|amount| amount.0),
        image: typed.image.map_or(Amount::ZERO, |amount| amount.0),
        request: typed.request.map_or(Amount::ZERO, |amount| amount.0),
    };
    spec.version = format!("config-{:08x}", crate::prices::fingerprint(&spec));
    spec
}

/// What a key pays for a model whose price nobody knows; its name on receipts shows that.
pub(crate) fn ceiling(typed: &file::Price) -> PriceSpec {
    let spec = price(typed);
    PriceSpec { version: spec.version.replacen("config", "ceiling", 1), ..spec }
}

/// Deadlines where each part left out is the common one, cut to the total: that ends every wait anyway.
pub(crate) fn deadlines(typed: Option<&file::Deadlines>, common: Deadlines) -> Deadlines {
    let total = typed.and_then(|d| d.total).map_or(common.total, |span| span.0);
    let or = |typed: Option<file::Wait>, common: Duration| typed.map_or(common.min(total), |span| span.0);
    let first_event = or(typed.and_then(|d| d.first_event), common.first_event);
    Deadlines {
        connect: or(typed.and_then(|d| d.connect), common.connect),
        first_event,
        // Who lets a stream think for so long lets a whole answer do so, too.
        answer: or(typed.and_then(|d| d.answer), common.answer.max(first_event)),
        idle: or(typed.and_then(|d| d.idle), common.idle),
        total,
    }
}
