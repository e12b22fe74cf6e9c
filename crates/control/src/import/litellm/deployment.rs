//! Decides which backend a deployment of LiteLLM's `model_list` is; deployments of one account share one.

use policy::{Timestamp, Vendor, vendor_named};

use super::super::Fate;
use super::super::written::Flow;
use super::{Import, scalar, seconds, shown};
use crate::config::tree::{Entry, Node, Origin, Path, Value};
use crate::prices::PriceTable;

/// What a backend of a `model_list` is reached at, where its address is not known before it runs.
const PLACEHOLDER: &str = "https://replace-me.invalid/v1";

/// An account, and the models it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backend {
    name: String,
    account: Account,
    /// Each model's own name and what is said of it; none: all that the account lists.
    models: Option<Vec<(String, Flow)>>,
}

/// What deployments must share to be one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Account {
    kind: String,
    label: Option<String>,
    base_url: Option<String>,
    api_key: Option<String>,
    api_version: Option<String>,
    weight: Option<String>,
    concurrency: Option<String>,
    total: Option<String>,
    first_event: Option<String>,
    is_unreachable: bool,
}

/// What one entry of a `model_list` says.
#[derive(Debug, Default)]
struct Deployment {
    account: Account,
    native: String,
    model: Flow,
    limits: Flow,
    price: Flow,
    /// The model behind a name that tells nothing, and where that is said.
    base: Option<(String, Origin, Path)>,
}

impl Backend {
    /// Whether it has a model of that name; one that takes all that its account lists may.
    pub(super) fn serves(&self, name: &str) -> bool {
        self.models.is_none() || self.maps(name)
    }

    /// Whether it says so itself.
    pub(super) fn maps(&self, name: &str) -> bool {
        self.models.as_ref().is_some_and(|models| models.iter().any(|(model, _)| model == name))
    }

    pub(super) fn flow(&self) -> Flow {
        let (mut flow, account) = (Flow::default(), &self.account);
        flow.text("name", &self.name);
        flow.text("kind", &account.kind);
        let texts = [
            ("label", &account.label),
            ("base_url", &account.base_url),
            ("api_key", &account.api_key),
            ("api_version", &account.api_version),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                flow.text(key, value);
            }
        }
        if let Some(weight) = &account.weight {
            flow.raw("weight", weight);
        }
        // LiteLLM limits deployments, and only where it is said.
        let mut limits = Flow::default();
        limits.raw("rpm", 0);
        if let Some(concurrency) = &account.concurrency {
            limits.raw("concurrency", concurrency);
        }
        flow.raw("limits", limits);
        let mut deadlines = Flow::default();
        for (key, value) in [("total", &account.total), ("first_event", &account.first_event)] {
            if let Some(value) = value {
                deadlines.raw(key, value);
            }
        }
        if !deadlines.is_empty() {
            flow.raw("deadlines", deadlines);
        }
        if account.is_unreachable {
            flow.raw("enabled", "false");
        }
        if let Some(models) = &self.models {
            let mut table = Flow::default();
            for (name, model) in models {
                table.raw(name, model);
            }
            flow.raw("models", table);
        }
        flow
    }
}

impl Import {
    /// Takes one entry of a `model_list`.
    pub(super) fn model(&mut self, node: &Node, path: &Path) {
        let Value::Map(fields) = &node.value else {
            return self.note(&node.origin, path, Fate::Unsupported, "is no deployment");
        };
        let named = |key: &str| fields.iter().find(|field| field.key == key);
        let name = named("model_name").and_then(|field| scalar(&field.node));
        let params = named("litellm_params").and_then(|field| match &field.node.value {
            Value::Map(params) => Some(params),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        });
        let model = params.and_then(|params| params.iter().find(|field| field.key == "model"));
        let (Some(name), Some(params), Some(model)) = (name, params, model) else {
            let note = "lacks `model_name` or `litellm_params.model`; nothing of it came over";
            return self.note(&node.origin, path, Fate::Unsupported, note);
        };
        if name.is_empty() || name.len() > 256 || name.contains(char::is_whitespace) {
            return self.note(&node.origin, path, Fate::Unsupported, "its name cannot be one here");
        }
        let within = path.then("litellm_params");
        let asked = scalar(&model.node).unwrap_or_default();
        let Some(mut deployment) = self.provider(model, &asked, params, &within.then("model")) else {
            return;
        };
        for field in params.iter().filter(|field| field.key != "model") {
            self.param(field, &within.then(field.key.as_str()), &mut deployment);
        }
        for field in fields {
            match (field.key.as_str(), &field.node.value) {
                ("model_name" | "litellm_params", _) => {}
                ("model_info", Value::Map(facts)) => {
                    for fact in facts {
                        let path = path.then("model_info").then(fact.key.as_str());
                        self.model_info(fact, &path, &mut deployment);
                    }
                }
                (_, _) => self.unknown(field, &path.then(field.key.as_str())),
            }
        }
        self.price_of_base(&mut deployment);
        self.default_key(&mut deployment, model, path);
        self.place(name, deployment);
    }

    /// Who serves it: `provider/model`, or a bare name, which is OpenAI's or Anthropic's.
    fn provider(&mut self, model: &Entry, asked: &str, params: &[Entry], path: &Path) -> Option<Deployment> {
        let explicit = params.iter().find(|field| field.key == "custom_llm_provider");
        let explicit = explicit.and_then(|field| scalar(&field.node));
        let (prefix, native) = match (&explicit, asked.split_once('/')) {
            (Some(provider), split) => match split {
                Some((prefix, rest)) if prefix == provider => (provider.as_str(), rest),
                Some(_) | None => (provider.as_str(), asked),
            },
            (None, Some((prefix, rest))) => (prefix, rest),
            (None, None) if asked.starts_with("claude") => ("anthropic", asked),
            (None, None) => ("openai", asked),
        };
        let at_home = !params.iter().any(|field| field.key == "api_base" || field.key == "base_url");
        let kind = match prefix {
            "openai" | "text-completion-openai" if at_home => "openai",
            "openai"
            | "text-completion-openai"
            | "custom_openai"
            | "openai_like"
            | "litellm_proxy"
            | "hosted_vllm"
            | "vllm" => "openai_compatible",
            "azure" | "azure_text" => "azure",
            "ollama_chat" => "ollama",
            "lm_studio" => "lmstudio",
            other => match vendor_named(other).map(|vendor| vendor.name) {
                Some(name) if name != "openai_compatible" => name,
                Some(_) | None => {
                    let note =
                        format!("no kind of backend here is `{}`; the deployment was left out", shown(other));
                    self.unsupported(model, path, note);
                    return None;
                }
            },
        };
        if native.is_empty() {
            self.unsupported(model, path, "names no model; the deployment was left out");
            return None;
        }
        let account = Account { kind: kind.to_owned(), ..Account::default() };
        match native.contains('*') {
            true => {
                let note = format!(
                    "a backend of kind {kind} with the models that its account lists; a name it does not list is not found"
                );
                self.changed(model, path, note);
            }
            false => self.kept(model, path, format!("a backend of kind {kind}")),
        }
        Some(Deployment { account, native: native.to_owned(), ..Deployment::default() })
    }

    fn param(&mut self, field: &Entry, path: &Path, deployment: &mut Deployment) {
        let account = &mut deployment.account;
        let text = scalar(&field.node).unwrap_or_default();
        let count = || Some(text.clone()).filter(|text| text.parse::<u32>().is_ok_and(|count| count > 0));
        match field.key.as_str() {
            "custom_llm_provider" => self.kept(field, path, "the backend's kind"),
            "api_base" | "base_url" => self.base_url(field, path, account),
            "api_key" => {
                let variable = format!("{}_API_KEY", account.kind.to_ascii_uppercase());
                account.api_key = self.secret(field, path, &variable);
            }
            "api_version" if account.kind == "azure" && !text.starts_with("os.environ/") => {
                account.api_version = Some(text);
                self.kept(field, path, "the version of Azure's API");
            }
            "rpm" | "tpm" if count().is_some() => {
                deployment.limits.raw(&field.key, text);
                self.kept(field, path, "a limit of this model on its backend");
            }
            "weight" if count().is_some_and(|count| count.len() <= 4) => {
                account.weight = Some(text);
                self.kept(field, path, "the backend's weight");
            }
            "max_parallel_requests" if count().is_some_and(|count| count.len() <= 6) => {
                account.concurrency = Some(text);
                self.kept(field, path, "the backend's `limits.concurrency`");
            }
            "timeout" | "stream_timeout" => match seconds(&text) {
                Some(time) if field.key == "timeout" => {
                    account.total = Some(time);
                    self.kept(field, path, "the backend's deadline `total`");
                }
                Some(time) => {
                    account.first_event = Some(time);
                    self.changed(field, path, "the backend's deadline `first_event`, for all its answers");
                }
                None => self.unsupported(field, path, "is no time that can be kept"),
            },
            _ => self.price(field, path, deployment),
        }
    }

    fn base_url(&mut self, field: &Entry, path: &Path, account: &mut Account) {
        let text = scalar(&field.node).unwrap_or_default();
        if text.starts_with("os.environ/") {
            account.base_url = Some(PLACEHOLDER.to_owned());
            account.is_unreachable = true;
            let note = "addresses are not read from the environment: write it, and enable the backend";
            return self.changed(field, path, note);
        }
        let plain = text.trim_end_matches('/').to_owned();
        let checked = crate::config::check_base_url(&plain);
        if let Err(why) = checked {
            account.base_url = Some(PLACEHOLDER.to_owned());
            account.is_unreachable = true;
            return self.changed(field, path, format!("{why}: write another one, and enable the backend"));
        }
        account.base_url = Some(plain);
        self.kept(field, path, "the backend's address");
    }

    /// What a deployment says of money; LiteLLM's prices are those of one token, or of one picture.
    fn price(&mut self, field: &Entry, path: &Path, deployment: &mut Deployment) {
        let kind = match field.key.as_str() {
            "input_cost_per_token" => "input",
            "output_cost_per_token" => "output",
            "cache_read_input_token_cost" => "cached_input",
            "cache_creation_input_token_cost" => "cache_write",
            "input_cost_per_audio_token" => "audio_input",
            "output_cost_per_audio_token" => "audio_output",
            "output_cost_per_reasoning_token" => "reasoning",
            "output_cost_per_image" => "image",
            _ => return self.unknown(field, path),
        };
        let (read, note): (fn(&str) -> Option<String>, _) = match kind {
            "image" => (dollars, "a price, in dollars for each picture"),
            _ => (per_million, "a price, in dollars per million tokens"),
        };
        match scalar(&field.node).as_deref().and_then(read) {
            Some(_) if deployment.price.holds(kind) => {
                self.unsupported(field, path, "is said in `litellm_params`, too, which goes before");
            }
            Some(price) => {
                deployment.price.raw(kind, price);
                self.kept(field, path, note);
            }
            None => self.unsupported(field, path, "is no price that can be kept exactly"),
        }
    }

    fn model_info(&mut self, field: &Entry, path: &Path, deployment: &mut Deployment) {
        let text = scalar(&field.node).unwrap_or_default();
        let is_count = text.parse::<u32>().is_ok_and(|count| (1..=1_000_000_000).contains(&count));
        match field.key.as_str() {
            "max_output_tokens" if is_count => {
                deployment.model.raw("max_output", text);
                self.kept(field, path, "the model's `max_output`");
            }
            "max_input_tokens" if is_count => {
                deployment.model.raw("context", text);
                self.changed(field, path, "the model's `context`, which counts the answer, too");
            }
            "base_model" if !text.is_empty() => {
                deployment.base = Some((text, field.origin.clone(), path.clone()));
            }
            "id" | "mode" | "base_model" => self.unsupported(field, path, "is not needed here"),
            _ => self.price(field, path, deployment),
        }
    }

    /// A deployment's own name says nothing of what it costs; its base model does.
    fn price_of_base(&mut self, deployment: &mut Deployment) {
        /// The last price that the table has begins before it: 2100-01-01.
        const LATEST: Timestamp = Timestamp(4_102_444_800_000);
        let Some((base, origin, path)) = deployment.base.take() else { return };
        if !deployment.price.is_empty() {
            return self.note(&origin, &path, Fate::Unsupported, "is not needed beside a price");
        }
        let (provider, native) = base.split_once('/').unwrap_or((&deployment.account.kind, &base));
        let table = PriceTable::default();
        let known = [provider, "openai"].iter().find_map(|provider| table.find(provider, native, LATEST));
        let Some(spec) = known else {
            let note = "no price of that model is known: write the model's `price`";
            return self.note(&origin, &path, Fate::Unsupported, note);
        };
        let kinds = [
            ("input", Some(spec.input)),
            ("cached_input", spec.cached_input),
            ("cache_write", spec.cache_write),
            ("cache_write_1h", spec.cache_write_1h),
            ("output", Some(spec.output)),
            ("reasoning", spec.reasoning),
            ("audio_input", spec.audio_input),
            ("audio_output", spec.audio_output),
        ];
        for (kind, amount) in kinds {
            if let Some(amount) = amount {
                deployment.price.raw(kind, amount.times(1_000_000));
            }
        }
        self.note(
            &origin,
            &path,
            Fate::Changed,
            "the model's `price`, which is that of its base model today",
        );
    }

    /// LiteLLM takes a provider's usual variable where no key is named.
    fn default_key(&mut self, deployment: &mut Deployment, model: &Entry, path: &Path) {
        let account = &mut deployment.account;
        let usual = vendor_named(&account.kind).and_then(|vendor: &Vendor| vendor.env);
        let usual = usual.or((account.kind == "azure").then_some("AZURE_API_KEY"));
        if let (None, Some(variable)) = (&account.api_key, usual) {
            account.api_key = Some(format!("${{{variable}}}"));
            let note = format!("its key is read from the usual variable {variable}");
            self.changed(model, &path.then("litellm_params").then("api_key"), note);
        }
        if account.base_url.is_none() && matches!(account.kind.as_str(), "azure" | "openai_compatible") {
            account.base_url = Some(PLACEHOLDER.to_owned());
            account.is_unreachable = true;
            let note = "has no address: write it, and enable the backend";
            self.changed(model, &path.then("litellm_params").then("api_base"), note);
        }
    }

    /// Puts a deployment with its account, or with a new one where that serves the model already.
    fn place(&mut self, name: String, deployment: Deployment) {
        let Deployment { mut account, native, mut model, limits, price, base: _ } = deployment;
        if name.contains('*') || native.contains('*') {
            account.label =
                name.split_once('/').map(|(prefix, _)| prefix.to_owned()).filter(|prefix| is_label(prefix));
            let name = self.free_name(&account.kind);
            self.backends.push(Backend { name, account, models: None });
            return;
        }
        if native != name {
            model.text("native", &native);
        }
        if !limits.is_empty() {
            model.raw("limits", limits);
        }
        if !price.is_empty() {
            model.raw("price", price);
        }
        let free = |backend: &&mut Backend| {
            let models = backend.models.as_ref();
            !account.is_unreachable
                && backend.account == account
                && models.is_some_and(|models| !models.iter().any(|(known, _)| *known == name))
        };
        if let Some(backend) = self.backends.iter_mut().find(free) {
            backend.models.get_or_insert_default().push((name, model));
            return;
        }
        let own = self.free_name(&account.kind);
        self.backends.push(Backend { name: own, account, models: Some(vec![(name, model)]) });
    }

    fn free_name(&self, kind: &str) -> String {
        let taken = |name: &str| self.backends.iter().any(|backend| backend.name == name);
        let numbered = (2_u32..).map(|number| format!("{kind}-{number}"));
        let mut names = std::iter::once(kind.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).expect("numbers do not end")
    }
}

fn is_label(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `0.0000025` or `2.5e-06` dollars a token as `2.5` a million, exactly; none where six decimals do not do.
pub(super) fn per_million(text: &str) -> Option<String> {
    decimal(text, Scale { shift: 6, decimals: 6 })
}

/// `4e-02` dollars as `0.04`, exactly; none where twelve decimals do not do.
pub(super) fn dollars(text: &str) -> Option<String> {
    decimal(text, Scale { shift: 0, decimals: 12 })
}

/// By how many places a number is moved, and how many it may have then.
struct Scale {
    shift: i32,
    decimals: usize,
}

fn decimal(text: &str, Scale { shift, decimals }: Scale) -> Option<String> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand behind the point, once it is moved.
    let behind = i32::try_from(part.len()).ok()?.checked_sub(exponent)?.checked_sub(shift)?;
    if !(-32..=64).contains(&behind) {
        return None;
    }
    let digits = match usize::try_from(behind) {
        Ok(behind) => {
            let padded = format!("{digits:0>width$}", width = behind + 1);
            let (whole, part) = padded.split_at(padded.len() - behind);
            let part = part.trim_end_matches('0');
            if part.len() > decimals {
                return None;
            }
            if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
        }
        Err(_) => format!("{digits}{}", "0".repeat(usize::try_from(-behind).ok()?)),
    };
    let trimmed = digits.trim_start_matches('0');
    Some(if trimmed.is_empty() || trimmed.starts_with('.') {
        format!("0{trimmed}")
    } else {
        trimmed.to_owned()
    })
}
