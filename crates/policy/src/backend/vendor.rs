//! Decides which providers are known by name, prefix and host; never how their requests are signed.

/// One provider that speaks as OpenAI does.
#[derive(Debug, PartialEq, Eq)]
pub struct Vendor {
    /// Its name: a backend kind, a label and a model prefix.
    pub name: &'static str,
    /// Other prefixes for the same provider.
    pub aliases: &'static [&'static str],
    /// Where its API is.
    pub base_url: &'static str,
    /// The environment variable its users keep their key in.
    pub env: &'static str,
    /// What a probe asks for below its API: answered only to a good credential, where there is such a thing.
    pub health_path: &'static str,
}

/// The list of models, below an API of OpenAI's kind.
pub const MODELS_PATH: &str = "models";

/// Known providers. A prefix that is neither here nor a backend's own name or label is part of the model's name.
pub const VENDORS: &[Vendor] = &[
    vendor("openai", &[], "https://api.openai.com/v1", "OPENAI_API_KEY"),
    vendor("nvidia", &["nvidia_nim", "nim"], "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    // It lists its models to everybody, and tells of a key only to its holder.
    vendor("openrouter", &[], "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY").probed_at("key"),
    vendor("deepseek", &[], "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    vendor("groq", &[], "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    vendor(
        "gemini",
        &["google"],
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
    ),
    vendor("mistral", &["mistralai"], "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    vendor("together", &["together_ai", "togetherai"], "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    vendor("fireworks", &["fireworks_ai"], "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    vendor("cerebras", &[], "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    vendor("xai", &["x-ai", "grok"], "https://api.x.ai/v1", "XAI_API_KEY"),
    vendor("deepinfra", &[], "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    vendor("sambanova", &[], "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    vendor("moonshot", &["moonshotai", "kimi"], "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    vendor("zhipu", &["z-ai", "zai"], "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY"),
    vendor(
        "dashscope",
        &["alibaba"],
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
    ),
    vendor("siliconflow", &[], "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY"),
    vendor("hyperbolic", &[], "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    vendor("nebius", &[], "https://api.studio.nebius.com/v1", "NEBIUS_API_KEY"),
];

const fn vendor(
    name: &'static str,
    aliases: &'static [&'static str],
    base_url: &'static str,
    env: &'static str,
) -> Vendor {
    Vendor { name, aliases, base_url, env, health_path: MODELS_PATH }
}

impl Vendor {
    const fn probed_at(self, health_path: &'static str) -> Self {
        Self { health_path, ..self }
    }
}

/// The provider of that name or alias.
#[must_use]
pub fn vendor_named(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name || vendor.aliases.contains(&name))
}

/// The provider whose API a URL leads to.
#[must_use]
pub fn vendor_of_host(url: &str) -> Option<&'static Vendor> {
    let host = host_of(url)?;
    VENDORS.iter().find(|vendor| host_of(vendor.base_url) == Some(host))
}

/// The host of an absolute http(s) URL, without user, port or path.
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_or_alias_is_given_twice() {
        let mut names: Vec<&str> =
            VENDORS.iter().flat_map(|v| v.aliases.iter().copied().chain([v.name])).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn hosts_are_found_in_urls() {
        for (url, host) in [
            ("https://api.openai.com/v1", Some("api.openai.com")),
            ("http://user:pass@localhost:8080/v1", Some("localhost")),
            ("http://[::1]:8080", Some("::1")),
            ("https://", None),
            ("ftp://x", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
        assert_eq!(vendor_of_host("https://integrate.api.nvidia.com/v1").map(|v| v.name), Some("nvidia"));
        assert_eq!(vendor_named("nvidia_nim").map(|v| v.name), Some("nvidia"));
    }
}
