//! Decides whether the parts of a configuration fit each other, and reports everything that does not; it never changes a value.

use std::collections::HashSet;
use std::time::Duration;

use policy::{BackendKind, VENDORS, vendor_named};

use super::bind::List;
use super::file::{self, File};
use super::pacing;
use super::problem::{Problem, Report, closest, did_you_mean, quoted};
use super::process;
use super::settings::DEFAULTS;
use super::tree::{Node, Path};
use super::url::{self, LinkLocal};

/// Headers that the gateway itself writes.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
/// Pools that exist without being declared.
pub(crate) const POOLS: [&str; 2] = ["primary", "fallback"];

/// Endpoints whose plain answers are JSON that may be waited for with blank lines.
const PLAIN_ENDPOINTS: [&str; 7] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/responses/compact",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

/// Collects what is wrong, with the place where each offending value was written.
pub(crate) struct Checker<'a> {
    pub(crate) tree: &'a Node,
    pub(crate) report: &'a mut Report,
}

impl Checker<'_> {
    fn refuse(&mut self, path: &Path, message: impl Into<String>, suggestion: Option<String>) {
        let origin = self.tree.origin_near(path);
        self.report.add(Problem { origin, path: path.clone(), message: message.into(), suggestion });
    }

    /// Checks a whole configuration.
    pub(crate) fn file(&mut self, file: &File) {
        self.addresses(file);
        self.ranges(file);
        self.keys(file);
        self.teams(file);
        self.backends(file);
        self.aliases(file);
        self.budgets(file);
        self.alerts(file);
        self.pools(file);
        self.keepalive(file);
    }

    /// An endpoint that nobody serves would be silence where bytes were meant to flow.
    fn keepalive(&mut self, file: &File) {
        let table = file.keepalive.as_ref().and_then(|keepalive| keepalive.endpoints.as_ref());
        for (endpoint, _) in table.iter().flat_map(|table| &table.0) {
            if !PLAIN_ENDPOINTS.contains(&endpoint.as_str()) {
                let path = Path::dotted("keepalive.endpoints").then(endpoint.as_str());
                let suggestion = closest(endpoint, PLAIN_ENDPOINTS.iter().copied());
                let message = format!("must be one of {}", PLAIN_ENDPOINTS.join(", "));
                self.refuse(&path, message, suggestion.map(|near| format!("did you mean `{near}`?")));
            }
        }
    }

    fn addresses(&mut self, file: &File) {
        let listen = file.listen.map_or(DEFAULTS.listen, |address| address.0);
        let metrics = file.metrics_listen.map_or(DEFAULTS.metrics_listen, |address| address.0);
        let same_host =
            listen.ip() == metrics.ip() || listen.ip().is_unspecified() || metrics.ip().is_unspecified();
        if listen.port() == metrics.port() && listen.port() != 0 && same_host {
            let path = if file.metrics_listen.is_some() { "metrics_listen" } else { "listen" };
            let message = format!("`listen` and `metrics_listen` both want port {}", listen.port());
            self.refuse(&Path::dotted(path), message, Some("give them different ports".to_owned()));
        }
    }

    fn ranges(&mut self, file: &File) {
        if let Some(cooldown) = &file.cooldown {
            let rules = pacing::cooldown(Some(cooldown));
            let (base, max) = (rules.base, rules.max);
            self.order(base, max, &Path::dotted("cooldown.base"), "must not be longer than `cooldown.max`");
        }
        if let Some(breaker) = &file.breaker {
            let rules = pacing::breaker(Some(breaker));
            let (base, max) = (rules.base, rules.max);
            self.order(base, max, &Path::dotted("breaker.base"), "must not be longer than `breaker.max`");
        }
        if let Some(deadlines) = &file.deadlines {
            self.deadlines(deadlines, &Path::dotted("deadlines"), None);
        }
        if let Some(limits) = &file.limits {
            let body = limits.body_max.map_or(DEFAULTS.body_bytes_max, |size| size.0);
            let image = limits.image_body_max.map_or(DEFAULTS.image_body_bytes_max, |size| size.0);
            if body > image {
                let message = "must not be larger than `limits.image_body_max`";
                self.refuse(&Path::dotted("limits.body_max"), message, None);
            }
        }
    }

    fn order(&mut self, shorter: Duration, longer: Duration, path: &Path, message: &str) {
        if shorter > longer {
            self.refuse(path, message, None);
        }
    }

    /// Only what is written is judged: a short total of one backend must not clash with defaults that
    /// nobody asked for, since the total ends every wait anyway.
    fn deadlines(&mut self, deadlines: &file::Deadlines, path: &Path, common: Option<&file::Deadlines>) {
        let Some(total) = deadlines.total.or(common.and_then(|common| common.total)) else { return };
        for (name, part) in [
            ("connect", deadlines.connect),
            ("first_event", deadlines.first_event),
            ("answer", deadlines.answer),
            ("idle", deadlines.idle),
        ] {
            if let Some(part) = part {
                self.order(part.0, total.0, &path.then(name), "must not be longer than the deadline `total`");
            }
        }
    }

    fn keys(&mut self, file: &File) {
        let mut names = HashSet::new();
        let mut secrets = HashSet::new();
        for (index, key) in file.keys.iter().flat_map(List::iter) {
            let path: Path = Path::dotted("keys").then(index);
            if !names.insert(key.name.0.as_str()) {
                let message = format!("another key is already named {}", quoted(&key.name.0));
                self.refuse(&path.then("name"), message, None);
            }
            if !secrets.insert(key.key.0.expose()) {
                self.refuse(&path.then("key"), "another key already has this secret", None);
            }
            for (alias, targets) in key.aliases.iter().flat_map(|table| &table.0) {
                if targets.0.iter().any(|target| target.0 == *alias) {
                    self.refuse(
                        &path.then("aliases").then(alias.as_str()),
                        "an alias cannot name itself",
                        None,
                    );
                }
            }
        }
        for (index, secret) in file.api_keys.iter().flatten().enumerate() {
            if !secrets.insert(secret.0.expose()) {
                let path = Path::dotted("api_keys").then(index);
                self.refuse(&path, "another key already has this secret", None);
            }
        }
    }

    /// The file stands by itself: its keys belong to its own teams.
    fn teams(&mut self, file: &File) {
        let mut names = Vec::new();
        for (index, team) in file.teams.iter().flat_map(List::iter) {
            if names.contains(&team.name.as_str()) {
                let message = format!("another team is already named {}", quoted(&team.name.0));
                self.refuse(&Path::dotted("teams").then(index).then("name"), message, None);
            }
            names.push(team.name.as_str());
        }
        let all_known = is_whole(self.tree, "teams", file.teams.as_ref());
        for (index, key) in file.keys.iter().flat_map(List::iter) {
            let Some(team) = key.team.as_ref().filter(|team| all_known && !names.contains(&team.as_str()))
            else {
                continue;
            };
            let suggestion = did_you_mean(&team.0, &names)
                .or_else(|| Some(format!("declare it: `teams: [{{name: {}}}]`", team.0)));
            let path: Path = Path::dotted("keys").then(index).then("team");
            self.refuse(&path, format!("there is no team {}", quoted(&team.0)), suggestion);
        }
    }

    fn backends(&mut self, file: &File) {
        let mut names = HashSet::new();
        // Pools that do not fit are not known: then nothing can be said of who names them.
        let pools = if file.pools.is_none() && self.tree.get("pools").is_some() {
            None
        } else {
            Some(pool_names(file))
        };
        for (index, backend) in file.backends.iter().flat_map(List::iter) {
            let path: Path = Path::dotted("backends").then(index);
            if !names.insert(backend.name.0.as_str()) {
                let message = format!("another backend is already named {}", quoted(&backend.name.0));
                self.refuse(&path.then("name"), message, Some("names must differ".to_owned()));
            }
            self.backend(backend, &path, pools.as_deref());
            if let Some(deadlines) = &backend.deadlines {
                self.deadlines(deadlines, &path.then("deadlines"), file.deadlines.as_ref());
            }
        }
    }

    /// Checks one backend, from a file or from an API call.
    pub(crate) fn backend(&mut self, backend: &file::Backend, path: &Path, pools: Option<&[&str]>) {
        let kind = backend.kind.as_ref().map_or("openai_compatible", |kind| kind.0.as_str());
        let known = BackendKind::named(kind).filter(|kind| *kind != BackendKind::Demo);
        match known {
            Some(BackendKind::Process) => self.process(backend, path),
            Some(known) => self.base_url(backend, known, path),
            None => self.unknown_kind(kind, path),
        }
        if backend.dialects.as_ref().is_some_and(Vec::is_empty) {
            self.refuse(&path.then("dialects"), "a backend must speak something", None);
        }
        if backend.api_version.is_some() && known.is_some_and(|known| known.name() != "azure") {
            let suggestion = "leave it out, or write `kind: azure`";
            self.refuse(
                &path.then("api_version"),
                "only Azure has versions of its API",
                Some(suggestion.to_owned()),
            );
        }
        let pools = pools.unwrap_or_default();
        if let Some(pool) =
            backend.pool.as_ref().filter(|pool| !pools.is_empty() && !pools.contains(&pool.0.as_str()))
        {
            let message = format!("there is no pool {}", quoted(&pool.0));
            let suggestion = match closest(&pool.0, pools.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it under `pools`".to_owned(),
            };
            self.refuse(&path.then("pool"), message, Some(suggestion));
        }
        for (name, _) in
            backend.headers.iter().filter_map(|headers| headers.set.as_ref()).flat_map(|set| &set.0)
        {
            let path = path.then("headers").then("set").then(name.as_str());
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.refuse(&path, "is not a header's name", None);
            } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.refuse(&path, "the gateway writes this header itself", None);
            }
        }
    }

    /// A pool of local processes needs a program, and no address.
    fn process(&mut self, backend: &file::Backend, path: &Path) {
        let at = path.then("process");
        if backend.base_url.is_some() {
            self.refuse(&path.then("base_url"), "a local process has no address", None);
        }
        let Some(typed) = &backend.process else {
            let suggestion = Some("as in `process: {program: /usr/bin/Lingma}`".to_owned());
            return self.refuse(&at, "a backend of the kind `process` needs to know its program", suggestion);
        };
        let accounts = typed.accounts.iter().flat_map(List::iter).count();
        let instances =
            typed.instances.map_or(accounts.max(1), |count| usize::try_from(count.0).unwrap_or(usize::MAX));
        if accounts > instances {
            self.refuse(&at.then("accounts"), "there are more accounts than instances", None);
        }
        for (index, account) in typed.accounts.iter().flat_map(List::iter) {
            self.account(account, &at.then("accounts").then(index));
        }
        if instances > 1 && (typed.socket_port.is_some() || typed.http_port.is_some()) {
            self.refuse(&at.then("instances"), "fixed ports are for a single instance", None);
        }
    }

    /// Checks one account of a local process, from a file or from an API call.
    pub(crate) fn account(&mut self, account: &file::ProcessAccount, path: &Path) {
        let file::ProcessAccount { username, password, token, access_key, secret_key, .. } = account;
        let read = [
            ("username", username),
            ("password", password),
            ("token", token),
            ("access_key", access_key),
            ("secret_key", secret_key),
        ];
        // A part that could not be read, such as a variable that is not set, has its own problem already.
        let is_read =
            |(field, part): &(&str, &Option<_>)| part.is_some() || self.tree.at(&path.then(*field)).is_none();
        if process::account(account).is_none() && read.iter().all(is_read) {
            let message = "an account is a username and a password, or a token, or an access_key and a secret_key; \
                           the last two may have an organization";
            self.refuse(path, message, None);
        }
    }

    fn base_url(&mut self, backend: &file::Backend, kind: BackendKind, path: &Path) {
        let Some(text) = &backend.base_url else {
            if kind.base_url().is_none() {
                let message = format!("a backend of kind {} needs a base URL", quoted(kind.name()));
                self.refuse(
                    &path.then("base_url"),
                    message,
                    Some("as in https://api.example.com/v1".to_owned()),
                );
            }
            return;
        };
        let link_local =
            if backend.allow_link_local == Some(true) { LinkLocal::Allowed } else { LinkLocal::Refused };
        if let Err(error) = url::base_url(&text.0, link_local) {
            let suggestion = match error {
                url::UrlError::LinkLocal => Some("`allow_link_local: true` permits it".to_owned()),
                url::UrlError::NotAUrl if text.0.contains("${") => {
                    Some("`${..}` is resolved in secrets only".to_owned())
                }
                url::UrlError::NotAUrl
                | url::UrlError::Scheme
                | url::UrlError::User
                | url::UrlError::Query => None,
            };
            self.refuse(&path.then("base_url"), error.to_string(), suggestion);
        }
    }

    fn unknown_kind(&mut self, kind: &str, path: &Path) {
        let path = path.then("kind");
        let mut known = vec!["openai", "openai_compatible", "process"];
        known.extend(VENDORS.iter().flat_map(|vendor| vendor.aliases.iter().chain([&vendor.name])).copied());
        let suggestion = match closest(kind, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "openai_compatible fits most".to_owned(),
        };
        self.refuse(&path, format!("unknown kind {}", quoted(kind)), Some(suggestion));
    }

    fn pools(&mut self, file: &File) {
        for (name, pool) in file.pools.iter().flat_map(|table| &table.0) {
            let path = Path::dotted("pools").then(name.as_str());
            if !super::leaf::is_name(name) {
                self.refuse(&path, "a pool's name has letters, digits, `.`, `_` and `-` only", None);
            }
            if POOLS.contains(&name.as_str()) && pool.rank.is_some() {
                self.refuse(&path.then("rank"), "the places of `primary` and `fallback` are fixed", None);
            }
        }
    }

    /// An alias is dangling only where everything that is served is written down: a backend without a
    /// list of models may serve any.
    fn aliases(&mut self, file: &File) {
        let aliases: HashSet<&str> =
            file.aliases.iter().flat_map(|table| &table.0).map(|(name, _)| name.as_str()).collect();
        let backends: Vec<&file::Backend> =
            file.backends.iter().flat_map(List::iter).map(|(_, b)| b).collect();
        let whole = file.backends.as_ref().is_some_and(List::is_whole);
        let all_listed =
            whole && !backends.is_empty() && backends.iter().all(|backend| backend.models.is_some());
        let served: Vec<&str> = backends
            .iter()
            .filter_map(|backend| backend.models.as_ref())
            .flat_map(|models| models.0.iter().map(|(name, _)| name.as_str()))
            .collect();
        for (name, targets) in file.aliases.iter().flat_map(|table| &table.0) {
            let path = Path::dotted("aliases").then(name.as_str());
            // A list that names the model itself is that model with others to fall back on.
            let names_itself = targets.0.iter().any(|target| target.0 == *name);
            if served.contains(&name.as_str()) && !names_itself {
                self.refuse(&path, "is also the name of a model that a backend maps", None);
            }
            for target in targets.0.iter().map(|target| target.0.as_str()) {
                if aliases.contains(target) && !served.contains(&target) {
                    let message = format!("leads to {}, which is an alias itself", quoted(target));
                    self.refuse(&path, message, Some("name the model that is meant".to_owned()));
                    continue;
                }
                let known = served.contains(&target) || has_prefix(target, &backends);
                if all_listed && !known {
                    let suggestion = did_you_mean(target, &served);
                    self.refuse(&path, format!("no backend serves {}", quoted(target)), suggestion);
                }
            }
        }
    }

    /// Checks one budget, from a file or from an API call.
    pub(crate) fn budget(&mut self, budget: &file::Budget, path: &Path) {
        if budget.key.is_some() && budget.team.is_some() {
            self.refuse(path, "a budget is of one key or of one team, not of both", None);
        }
    }

    /// Alerts leave the host as calls to backends do, and the same addresses are closed to them.
    fn alerts(&mut self, file: &File) {
        let Some(alerts) = &file.alerts else { return };
        let path = Path::dotted("alerts.webhook");
        let Some(webhook) = &alerts.webhook else {
            let suggestion = "as in https://hooks.example.com/budgets";
            return self.refuse(&path, "alerts need an address", Some(suggestion.to_owned()));
        };
        let link_local =
            if alerts.allow_link_local == Some(true) { LinkLocal::Allowed } else { LinkLocal::Refused };
        let bare = webhook.0.expose().split('?').next().unwrap_or_default();
        if let Err(error) = url::base_url(bare, link_local) {
            let allowed = "`allow_link_local: true` permits it".to_owned();
            let suggestion = (error == url::UrlError::LinkLocal).then_some(allowed);
            self.refuse(&path, error.to_string(), suggestion);
        }
    }

    fn budgets(&mut self, file: &File) {
        let written = || file.keys.iter().flat_map(List::iter).map(|(_, key)| key);
        let keys: Vec<&str> = written().map(|key| key.name.0.as_str()).collect();
        let teams: Vec<&str> =
            file.teams.iter().flat_map(List::iter).map(|(_, team)| team.name.0.as_str()).collect();
        let all_keys = is_whole(self.tree, "keys", file.keys.as_ref());
        let all_teams = is_whole(self.tree, "teams", file.teams.as_ref());
        let budgets = file.budgets.as_ref();
        for (index, budget) in budgets.iter().flat_map(|list| list.iter()) {
            let path = Path::dotted("budgets").then(index);
            self.budget(budget, &path);
            let named = [("key", &budget.key, &keys, all_keys), ("team", &budget.team, &teams, all_teams)];
            for (field, name, known, all_known) in named {
                let unknown = name.as_ref().filter(|name| all_known && !known.contains(&name.0.as_str()));
                if let Some(name) = unknown {
                    let suggestion = did_you_mean(&name.0, known);
                    self.refuse(
                        &path.then(field),
                        format!("there is no {field} {}", quoted(&name.0)),
                        suggestion,
                    );
                }
            }
        }
    }
}

/// Whether everything that is written of a list fits, so that what is not found in it is not there.
fn is_whole<T>(tree: &Node, name: &str, list: Option<&List<T>>) -> bool {
    list.map_or(tree.get(name).is_none(), List::is_whole)
}

/// Every pool a backend may be in.
pub(crate) fn pool_names(file: &File) -> Vec<&str> {
    let declared = file.pools.iter().flat_map(|table| table.0.iter().map(|(name, _)| name.as_str()));
    POOLS.into_iter().chain(declared).collect()
}

fn has_prefix(model: &str, backends: &[&file::Backend]) -> bool {
    model.split_once('/').is_some_and(|(prefix, _)| {
        vendor_named(prefix).is_some()
            || backends.iter().any(|backend| {
                backend.name.0 == prefix || backend.label.as_ref().is_some_and(|label| label.0 == prefix)
            })
    })
}
