//! Decides how effective settings are shown, each with where it came from; it never shows a secret in clear.

use std::time::Duration;

use policy::{BackendSpec, KeySecret, KeySpec, ModelSpec, Secret, Source};
use serde::Serialize;

use super::Loaded;
use super::file::ProcessStart;
use super::process::{ProcessAccount, ProcessPool};
use super::quantity::{duration_text, size_text};
use super::records::days;
use super::settings::Settings;
use super::tree::{Origin, Path};

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Effective {
    /// Which, as in `limits.queue_max`.
    pub path: String,
    /// Its value as it would be written; secrets masked.
    pub value: String,
    /// Where it came from, as in `lockgate.yaml:3:7` or `default`.
    pub origin: String,
}

impl Loaded {
    /// Every effective setting, in the order of the documentation.
    pub fn effective(&self) -> Vec<Effective> {
        let mut rows = Rows { loaded: self, rows: Vec::new() };
        rows.scalars(&self.settings);
        for (index, key) in self.settings.keys.iter().enumerate() {
            rows.key(index, key);
        }
        rows.backends(&self.settings);
        for (alias, targets) in &self.settings.aliases {
            rows.add(Path::dotted("aliases").then(alias.as_str()), targets.join(", "));
        }
        for (model, strategy) in &self.settings.strategies {
            let path = Path::dotted("models").then(model.as_str()).then("strategy");
            rows.add(path, strategy.name().to_owned());
        }
        for pool in &self.settings.pools {
            let path = Path::dotted("pools").then(pool.name.as_str()).then("strategy");
            rows.add(path, pool.strategy.name().to_owned());
        }
        rows.rows
    }
}

struct Rows<'a> {
    loaded: &'a Loaded,
    rows: Vec<Effective>,
}

impl Rows<'_> {
    fn add(&mut self, path: Path, value: String) {
        let origin = self.loaded.tree.at(&path).map_or(Origin::Default, |node| node.origin.clone());
        self.rows.push(Effective { path: path.to_string(), value, origin: origin.to_string() });
    }

    fn scalar(&mut self, path: &str, value: impl ToString) {
        self.add(Path::dotted(path), value.to_string());
    }

    fn scalars(&mut self, settings: &Settings) {
        self.scalar("listen", settings.listen);
        self.scalar("metrics_listen", settings.metrics_listen);
        self.scalar("data_dir", settings.data_dir.display());
        self.scalar("backup_dir", settings.backup_dir.display());
        self.scalar("admin.token", secret(settings.admin_token.as_ref()));
        self.scalar("metrics_token", secret(settings.metrics_token.as_ref()));
        self.scalar("log.level", settings.log_level.name());
        self.scalar("log.format", settings.log_format.map_or("by terminal", |format| format.name()));
        self.scalar("drain_timeout", time(settings.drain_timeout));
        self.scalar("limits.max_in_flight", settings.limits.max_in_flight);
        self.scalar("limits.queue_max", settings.limits.queue_max);
        self.scalar("limits.queue_bytes_max", size_text(settings.limits.queue_bytes_max));
        self.scalar("limits.queue_timeout", time(settings.limits.queue_timeout));
        self.scalar("limits.low_timeout", time(settings.limits.low_timeout));
        self.scalar("limits.ageing", time(settings.limits.ageing));
        self.scalar("limits.queue_policy", settings.limits.queue_policy.name());
        self.scalar("limits.rate_window", settings.limits.rate_window.name());
        self.scalar("limits.body_max", size_text(settings.limits.body_bytes_max));
        self.scalar("limits.image_body_max", size_text(settings.limits.image_body_bytes_max));
        self.scalar("limits.connections_max", settings.limits.connections_max);
        self.scalar("client_timeouts.first_byte", time(settings.client_timeouts.first_byte));
        self.scalar("client_timeouts.headers", time(settings.client_timeouts.headers));
        self.scalar("client_timeouts.body", time(settings.client_timeouts.body));
        self.scalar("client_timeouts.idle", time(settings.client_timeouts.idle));
        self.scalar("retry.attempts_max", settings.attempts_max);
        self.scalar("retry.limited_max", settings.limited_max);
        self.scalar("retry.budget_percent", settings.retry_budget_percent);
        self.scalar("cooldown.base", time(settings.cooldown.base));
        self.scalar("cooldown.max", time(settings.cooldown.max));
        let growth = match settings.cooldown.growth {
            policy::CooldownGrowth::Exponential => "exponential",
            policy::CooldownGrowth::Linear => "linear",
        };
        self.scalar("cooldown.growth", growth);
        self.scalar("cooldown.retry_after", settings.cooldown.retry_after.name());
        self.scalar("cooldown.precheck", time(settings.cooldown.precheck));
        self.pacing(settings);
        self.scalar("routing.spill", settings.spill.name());
        self.scalar("routing.emergency_fraction", f64::from(settings.emergency_percent) / 100.0);
        self.scalar("affinity.enabled", settings.affinity.enabled);
        self.scalar("affinity.cold_cache", time(settings.affinity.cold_cache));
        self.scalar("hedging.enabled", settings.hedging.enabled);
        self.scalar("hedging.quantile", f64::from(settings.hedging.quantile_percent) / 100.0);
        self.scalar("hedging.spend_max_percent", settings.hedging.spend_max_percent);
        self.scalar("probe.enabled", settings.probe.enabled);
        self.scalar("probe.interval", time(settings.probe.interval));
        self.scalar("probe.timeout", time(settings.probe.timeout));
        self.scalar("keepalive.stream", time(settings.keepalive.stream));
        self.scalar("keepalive.nonstream", time(settings.keepalive.nonstream));
        for (endpoint, interval) in &settings.keepalive.endpoints {
            self.add(Path::dotted("keepalive.endpoints").then(endpoint.as_str()), time(*interval));
        }
        self.keeping(settings);
        self.scalar("prices_file", format!("{} prices", settings.prices.len()));
        if let Some(alerts) = &settings.alerts {
            self.scalar("alerts.webhook", alerts.webhook.masked());
            self.scalar("alerts.secret", secret(alerts.secret.as_ref()));
        }
        self.scalar("ledger.durability", settings.durability.name());
        self.scalar("ledger.journal_bytes_max", size_text(settings.journal_bytes_max));
        self.scalar("records.retention_days", or_none(settings.retention.age_max.map(days)));
        self.scalar("records.rows_max", or_none(settings.retention.rows_max));
        self.scalar("backups.daily", settings.backups.daily);
        self.scalar("backups.retention_days", settings.backups.retention_days());
    }

    /// What is kept of streams, responses and captured requests.
    fn keeping(&mut self, settings: &Settings) {
        self.scalar("streams.resumable", settings.streams.resumable);
        self.scalar("streams.buffer", size_text(settings.streams.resume.buffer_bytes as u64));
        self.scalar("streams.grace", time(settings.streams.resume.grace));
        self.scalar("streams.resumable_max", settings.streams.resume.streams_max);
        self.scalar("responses.kept_for", time(settings.kept.time));
        self.scalar("responses.kept_bytes", size_text(settings.kept.bytes_max as u64));
        self.scalar("captures.body_max", size_text(settings.captures.body_bytes_max as u64));
        self.scalar("captures.keep_for", time(settings.captures.age_max));
        self.scalar("captures.bytes_max", size_text(settings.captures.bytes_max));
        let cors = &settings.cors;
        for (list, names) in
            [("origins", &cors.origins), ("headers", &cors.headers), ("methods", &cors.methods)]
        {
            for (number, name) in names.iter().enumerate() {
                self.add(Path::dotted("cors").then(list).then(number), name.to_string());
            }
        }
    }

    fn pacing(&mut self, settings: &Settings) {
        let (breaker, retreat) = (&settings.breaker, &settings.adaptive.retreat);
        self.scalar("breaker.failures", breaker.failures);
        self.scalar("breaker.share_percent", breaker.share_percent);
        self.scalar("breaker.calls_min", breaker.calls_min);
        self.scalar("breaker.window", time(breaker.window));
        self.scalar("breaker.base", time(breaker.base));
        self.scalar("breaker.max", time(breaker.max));
        self.scalar("adaptive.mode", settings.adaptive.mode.name());
        self.scalar("adaptive.retreat.window", time(retreat.window));
        self.scalar("adaptive.retreat.enter_percent", retreat.enter_percent);
        self.scalar("adaptive.retreat.again_percent", retreat.again_percent);
        self.scalar("adaptive.retreat.factor_percent", retreat.factor_percent);
        self.scalar("adaptive.retreat.floor_rpm", retreat.floor_rpm);
        self.scalar("adaptive.retreat.calm_percent", retreat.calm_percent);
        self.scalar("adaptive.retreat.calm_for", time(retreat.calm_for));
        self.scalar("adaptive.retreat.step_rpm", retreat.step_rpm);
        self.scalar("adaptive.retreat.alert_percent", retreat.alert_percent);
        self.scalar("adaptive.retreat.samples_min", retreat.samples_min);
    }

    fn key(&mut self, index: usize, key: &KeySpec) {
        // `keys` come first, then the bare secrets of `api_keys`.
        let named = self.loaded.tree.get("keys").map_or(0, |keys| keys.children());
        let path = match index.checked_sub(named) {
            None => Path::dotted("keys").then(index),
            Some(bare) => Path::dotted("api_keys").then(bare),
        };
        self.add(path.then("name"), key.name.clone());
        for secret in &key.secrets {
            match secret {
                KeySecret::Plain(secret) => self.add(path.then("key"), secret.masked()),
                KeySecret::Digest(_) => self.add(path.then("key"), "stored as a digest".to_owned()),
            }
        }
        for (field, ceiling) in [
            ("rpm", key.limits.rpm.map(u64::from)),
            ("tpm", key.limits.tpm),
            ("concurrency", key.limits.concurrency.map(u64::from)),
        ] {
            if let Some(ceiling) = ceiling {
                self.add(path.then(field), ceiling.to_string());
            }
        }
        if !key.models.is_empty() {
            self.add(path.then("models"), key.models.join(", "));
        }
        if let Some(team) = &key.team {
            self.add(path.then("team"), team.clone());
        }
        let endpoints: Vec<&str> = key.endpoints.iter().map(|endpoint| endpoint.name()).collect();
        if !endpoints.is_empty() {
            self.add(path.then("endpoints"), endpoints.join(", "));
        }
        self.add(path.then("priority_max"), key.priority_max.name().to_owned());
        self.add(path.then("weight"), key.weight.to_string());
        self.add(path.then("enabled"), key.enabled.to_string());
    }

    /// A pool of local processes is written once, however many backends its instances are.
    fn backends(&mut self, settings: &Settings) {
        let mut specs = settings.backends.iter();
        let mut index = 0;
        while let Some(first) = specs.next() {
            let path = Path::dotted("backends").then(index);
            let pool = settings.processes.iter().find(|pool| pool.holds(&first.name));
            match pool {
                None => self.backend(&path, first),
                Some(pool) => {
                    self.backend(&path, &BackendSpec { name: pool.name.clone(), ..first.clone() });
                    self.process(&path.then("process"), pool);
                    specs.by_ref().take(pool.instances.len() - 1).for_each(drop);
                }
            }
            index += 1;
        }
    }

    fn process(&mut self, path: &Path, pool: &ProcessPool) {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "the program's own".to_owned());
        let port =
            |port: u16, otherwise: &str| if port == 0 { otherwise.to_owned() } else { port.to_string() };
        let start = if pool.starts_at_boot { ProcessStart::Boot } else { ProcessStart::Lazy };
        for (field, value) in [
            ("profile", pool.profile.to_owned()),
            ("program", pool.program.display().to_string()),
            ("codec", pool.codec.unwrap_or("the profile's").to_owned()),
            ("instances", pool.instances.len().to_string()),
            ("work_dir", pool.work_dir().display().to_string()),
            (
                "socket_port",
                port(pool.ports.0, if pool.instances.len() == 1 { "the profile's" } else { "free ones" }),
            ),
            ("http_port", port(pool.ports.1, "free ones")),
            ("start", start.name().to_owned()),
            ("startup_timeout", time(pool.startup_timeout)),
            ("rpc_timeout", time(pool.rpc_timeout)),
            ("mode", pool.mode.clone()),
            ("default_model", text(&pool.default_model)),
            ("endpoint", text(&pool.endpoint)),
        ] {
            self.add(path.then(field), value);
        }
        for (name, value) in &pool.environment {
            self.add(path.then("environment").then(name.as_str()), value.masked());
        }
        for (index, one) in pool.instances.iter().enumerate() {
            let field = match &one.account {
                None => continue,
                Some(ProcessAccount::Password(..)) => "username",
                Some(ProcessAccount::Token(..)) => "token",
                Some(ProcessAccount::Key(..)) => "access_key",
            };
            self.add(path.then("accounts").then(index).then(field), "***".to_owned());
        }
        let login = path.then("login");
        self.add(login.then("automatic"), pool.login.is_automatic.to_string());
        self.add(login.then("headless"), pool.login.is_headless.to_string());
        self.add(login.then("driver"), pool.login.driver.display().to_string());
        let browser = pool.login.browser.as_ref().map(|browser| browser.display().to_string());
        self.add(login.then("browser"), browser.unwrap_or_else(|| "the driver's".to_owned()));
        self.add(login.then("timeout"), time(pool.login.timeout));
        self.add(login.then("retries"), pool.login.retries.to_string());
        self.add(login.then("page_timeout"), time(pool.login.page_timeout));
        self.add(login.then("pause"), time(pool.login.pause));
        self.add(login.then("pause_max"), time(pool.login.pause_max));
        let restart = path.then("restart");
        self.add(restart.then("pause"), time(pool.restart.pause));
        self.add(restart.then("pause_max"), time(pool.restart.pause_max));
        self.add(restart.then("ends_max"), pool.restart.ends_max.to_string());
        self.add(restart.then("window"), time(pool.restart.window));
        self.add(restart.then("rest"), time(pool.restart.rest));
    }

    fn backend(&mut self, path: &Path, backend: &BackendSpec) {
        let made_by = match backend.source {
            Source::File => "file",
            Source::Api => "api",
            Source::Env => "env",
            Source::Import => "import",
            Source::Demo => "demo",
        };
        self.add(path.then("name"), backend.name.clone());
        self.add(path.then("source"), made_by.to_owned());
        self.add(path.then("kind"), backend.kind.name().to_owned());
        if let Some(label) = &backend.label {
            self.add(path.then("label"), label.clone());
        }
        self.add(path.then("base_url"), backend.base_url.clone());
        for (index, dialect) in backend.dialects.iter().flatten().enumerate() {
            self.add(path.then("dialects").then(index), dialect.name().to_owned());
        }
        if let Some(version) = &backend.api_version {
            self.add(path.then("api_version"), version.clone());
        }
        self.add(path.then("api_key"), secret(backend.credential.as_ref()));
        self.add(path.then("pool"), backend.pool.clone());
        self.add(path.then("weight"), backend.weight.to_string());
        self.add(path.then("enabled"), backend.enabled.to_string());
        let limits = path.then("limits");
        self.add(limits.then("rpm"), backend.limits.rpm.to_string());
        for (field, ceiling) in [
            ("burst", backend.limits.burst.map(u64::from)),
            ("tpm", backend.limits.tpm),
            ("concurrency", backend.limits.concurrency.map(u64::from)),
        ] {
            self.add(limits.then(field), or_none(ceiling));
        }
        let deadlines = path.then("deadlines");
        self.add(deadlines.then("connect"), time(backend.deadlines.connect));
        self.add(deadlines.then("first_event"), time(backend.deadlines.first_event));
        self.add(deadlines.then("answer"), time(backend.deadlines.answer));
        self.add(deadlines.then("idle"), time(backend.deadlines.idle));
        self.add(deadlines.then("total"), time(backend.deadlines.total));
        if let Some(keeps) = backend.keeps_responses {
            self.add(path.then("keeps_responses"), keeps.to_string());
        }
        if let Some(health_path) = &backend.health_path {
            self.add(path.then("health_path"), health_path.clone());
        }
        for (name, model) in backend.models.iter().flatten() {
            self.model(&path.then("models").then(name.as_str()), name, model);
        }
    }

    fn model(&mut self, path: &Path, name: &str, model: &ModelSpec) {
        self.add(path.then("native"), model.native.clone().unwrap_or_else(|| name.to_owned()));
        if let Some(price) = &model.price {
            let input = per_million(price.input);
            let output = per_million(price.output);
            self.add(path.then("price"), format!("input {input}, output {output} USD per million tokens"));
        }
    }
}

fn per_million(amount: policy::Amount) -> policy::Amount {
    amount.times(1_000_000)
}

fn or_none(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

fn secret(secret: Option<&Secret>) -> String {
    secret.map_or_else(|| "none".to_owned(), Secret::masked)
}

/// A duration as it would be written.
pub(crate) fn time(duration: Duration) -> String {
    duration_text(policy::millis(duration))
}
