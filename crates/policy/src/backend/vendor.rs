//! Decides which providers are known by name, prefix and host, and what each speaks and where; never how a call is made.

use protocol::{Dialect, Manner};

use super::spoken::Shown;

/// One provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Vendor {
    /// Its name: a backend kind, a label and a model prefix.
    pub name: &'static str,
    /// Other prefixes for the same provider.
    pub aliases: &'static [&'static str],
    /// Where its API is; none where each account has an address of its own.
    pub base_url: Option<&'static str>,
    /// Other hosts of the same API: those of other regions, and of former names.
    pub(crate) hosts: &'static [&'static str],
    /// The environment variable its users keep their key in; none where there is no usual one, or no key.
    pub env: Option<&'static str>,
    /// What a probe asks for below its API: answered only to a good credential, where there is such a thing.
    pub health_path: &'static str,
    /// What it speaks; what is translated goes to the first of them that can take it.
    pub(crate) tongues: &'static [Tongue],
    /// In what it differs from the services that its dialects come from.
    pub(crate) manner: Manner,
}

impl Vendor {
    /// The path at which its API is, and which the dialects share that have none of their own.
    pub(crate) fn main_path(&self) -> &'static str {
        let paths = || self.tongues.iter().map(|tongue| tongue.path);
        let written = |path: &&str| self.base_url.is_some_and(|base_url| base_url.ends_with(path));
        paths().find(written).or_else(|| paths().next()).unwrap_or("/v1")
    }
}

/// The list of models, below an API of any of these kinds.
pub const MODELS_PATH: &str = "models";

/// One dialect as a provider speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tongue {
    pub(crate) dialect: Dialect,
    /// The path, version included, under which it is spoken.
    pub(crate) path: &'static str,
    /// How the credential is shown there.
    pub(crate) shown: Shown,
    /// Whether it counts tokens there, too.
    pub(crate) counts: bool,
}

const fn bearer(dialect: Dialect, path: &'static str) -> Tongue {
    Tongue { dialect, path, shown: Shown::Bearer, counts: false }
}

/// Chat and what every server of OpenAI's sort has beside it.
const fn chat(path: &'static str) -> [Tongue; 4] {
    [
        bearer(Dialect::OpenAiChat, path),
        bearer(Dialect::OpenAiCompletions, path),
        bearer(Dialect::OpenAiEmbeddings, path),
        bearer(Dialect::OpenAiRaw, path),
    ]
}

/// The same, and Responses, which are preferred to `chat` where the provider made both.
const fn openai(path: &'static str, shown: Shown) -> [Tongue; 5] {
    let [chat, completions, embeddings, raw] = chat(path);
    let all = [bearer(Dialect::OpenAiResponses, path), chat, completions, embeddings, raw];
    let [a, b, c, d, e] = all;
    [
        Tongue { shown, ..a },
        Tongue { shown, ..b },
        Tongue { shown, ..c },
        Tongue { shown, ..d },
        Tongue { shown, ..e },
    ]
}

/// The same, where Responses came later.
const fn chat_and_responses(path: &'static str) -> [Tongue; 5] {
    let [chat, completions, embeddings, raw] = chat(path);
    [chat, bearer(Dialect::OpenAiResponses, path), completions, embeddings, raw]
}

/// The same, and Messages at a path of their own.
const fn chat_and_messages(path: &'static str, messages: &'static str) -> [Tongue; 5] {
    let [chat, completions, embeddings, raw] = chat(path);
    [chat, bearer(Dialect::AnthropicMessages, messages), completions, embeddings, raw]
}

/// Everything at one address, as most servers for one's own machine have it.
const fn local(path: &'static str) -> [Tongue; 6] {
    let [chat, responses, completions, embeddings, raw] = chat_and_responses(path);
    [chat, responses, bearer(Dialect::AnthropicMessages, path), completions, embeddings, raw]
}

/// The same, where what Messages would take is counted, too.
const fn counting(all: [Tongue; 6]) -> [Tongue; 6] {
    let [chat, responses, messages, completions, embeddings, raw] = all;
    [chat, responses, Tongue { counts: true, ..messages }, completions, embeddings, raw]
}

const CHAT: &[Tongue] = &chat("/v1");
const LOCAL: &[Tongue] = &local("/v1");

/// What is said to a provider of OpenAI's sort that is not known by name.
pub(crate) const COMPATIBLE: &Vendor = &Vendor {
    name: "openai_compatible",
    aliases: &[],
    base_url: None,
    hosts: &[],
    env: None,
    health_path: MODELS_PATH,
    tongues: &chat_and_responses("/v1"),
    manner: USUAL,
};

/// Known providers. A prefix that is neither here nor a backend's own name or label is part of the model's name.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        tongues: &openai("/v1", Shown::Bearer),
        manner: Manner::ORIGINAL,
        ..vendor("openai", &[], "https://api.openai.com/v1", "OPENAI_API_KEY")
    },
    Vendor {
        tongues: &[Tongue {
            dialect: Dialect::AnthropicMessages,
            path: "/v1",
            shown: Shown::Header("x-api-key"),
            counts: true,
        }],
        ..vendor("anthropic", &[], "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY")
    },
    Vendor {
        tongues: &[
            Tongue {
                dialect: Dialect::Gemini,
                path: "/v1beta",
                shown: Shown::Header("x-goog-api-key"),
                counts: true,
            },
            bearer(Dialect::OpenAiChat, "/v1beta/openai"),
            bearer(Dialect::OpenAiEmbeddings, "/v1beta/openai"),
        ],
        ..vendor("gemini", &["google"], "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY")
    },
    Vendor {
        // https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle
        tongues: &openai("/openai/v1", Shown::Header("api-key")),
        manner: Manner::ORIGINAL,
        base_url: None,
        env: None,
        ..vendor("azure", &["azure_openai"], "", "")
    },
    // https://docs.api.nvidia.com/nim/reference/llm-apis
    vendor("nvidia", &["nvidia_nim", "nim"], "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    Vendor {
        // It lists its models to everybody, and tells of a key only to its holder. Its Responses refuse `store: true`
        // and `previous_response_id`: https://openrouter.ai/docs/api_reference/responses/error-handling
        health_path: "key",
        tongues: &local("/api/v1"),
        manner: Manner { takes_cache_control: true, keeps_no_responses: true, ..USUAL },
        ..vendor("openrouter", &[], "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY")
    },
    Vendor {
        // https://api-docs.deepseek.com/guides/anthropic_api
        tongues: &chat_and_messages("/v1", "/anthropic/v1"),
        ..vendor("deepseek", &[], "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY")
    },
    Vendor {
        // "Doesn't support stateful conversations yet": https://console.groq.com/docs/responses-api
        tongues: &chat_and_responses("/openai/v1"),
        manner: Manner { lacks_developer: true, keeps_no_responses: true, ..Manner::ORIGINAL },
        ..vendor("groq", &[], "https://api.groq.com/openai/v1", "GROQ_API_KEY")
    },
    Vendor {
        // It always sends its usage, and refuses fields that it does not know, `stream_options` and
        // `max_completion_tokens` among them: https://docs.mistral.ai/resources/changelogs
        manner: Manner { refuses_stream_options: true, ..USUAL },
        ..vendor("mistral", &["mistralai"], "https://api.mistral.ai/v1", "MISTRAL_API_KEY")
    },
    Vendor {
        // https://docs.together.ai/docs/openai-api-compatibility
        hosts: &["api.together.xyz"],
        ..vendor("together", &["together_ai", "togetherai"], "https://api.together.ai/v1", "TOGETHER_API_KEY")
    },
    Vendor {
        // It keeps responses for 30 days, and takes its own key as a bearer for Messages, too:
        // https://docs.fireworks.ai/guides/response-api and tools-sdks/anthropic-compatibility
        tongues: &local("/inference/v1"),
        ..vendor("fireworks", &["fireworks_ai"], "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY")
    },
    Vendor {
        // Of its models one alone knows the role: https://inference-docs.cerebras.ai/resources/openai
        manner: Manner { lacks_developer: true, ..Manner::ORIGINAL },
        ..vendor("cerebras", &[], "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY")
    },
    Vendor {
        // Responses come first there and are kept for 30 days; chat is called legacy, and Messages are withdrawn:
        // https://docs.x.ai/developers/model-capabilities/text/comparison
        tongues: &openai("/v1", Shown::Bearer),
        hosts: &["us.api.x.ai"],
        ..vendor("xai", &["x-ai", "grok"], "https://api.x.ai/v1", "XAI_API_KEY")
    },
    Vendor {
        // https://deepinfra.com/docs/advanced/openai_api
        tongues: &chat("/v1/openai"),
        ..vendor("deepinfra", &[], "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY")
    },
    Vendor {
        // Its Responses are stateless, and its Messages counted: https://docs.sambanova.ai/docs/en/features/responses
        // and anthropic-compatibility
        tongues: &counting(local("/v1")),
        manner: FORGETFUL,
        ..vendor("sambanova", &[], "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY")
    },
    Vendor {
        // https://platform.kimi.ai/docs/api/overview
        tongues: &chat_and_messages("/v1", "/anthropic/v1"),
        hosts: &["api.moonshot.cn"],
        ..vendor("moonshot", &["moonshotai", "kimi"], "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY")
    },
    Vendor {
        // https://docs.bigmodel.cn/cn/guide/develop/openai/introduction; its Anthropic base is
        // https://open.bigmodel.cn/api/anthropic, as its guide to Claude Code has it. Responses have a path of their own
        // (https://docs.bigmodel.cn/api-reference), and are kept there for whoever asks for it, and for a week.
        tongues: &{
            let [chat, messages, completions, embeddings, raw] =
                chat_and_messages("/api/paas/v4", "/api/anthropic/v1");
            [chat, bearer(Dialect::OpenAiResponses, "/api/v1"), messages, completions, embeddings, raw]
        },
        manner: FORGETFUL,
        ..vendor("zhipu", &["bigmodel"], "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY")
    },
    Vendor {
        // https://docs.z.ai/guides/develop/openai/python and scenario-example/develop-tools/claude; its Responses are for
        // one of its plans, at an address of their own.
        tongues: &chat_and_messages("/api/paas/v4", "/api/anthropic/v1"),
        ..vendor("zai", &["z-ai"], "https://api.z.ai/api/paas/v4", "ZAI_API_KEY")
    },
    Vendor {
        // Its chat has the thought inside of the text, which Messages and Responses keep apart; of the two only Messages take
        // it back. `max_tokens` is on its way out, and nothing is kept:
        // https://platform.minimax.io/docs/api-reference/text-anthropic-api, text-openai-api and responses-create
        tongues: &{
            let [chat, messages, completions, embeddings, raw] = chat_and_messages("/v1", "/anthropic/v1");
            [messages, bearer(Dialect::OpenAiResponses, "/v1"), chat, completions, embeddings, raw]
        },
        manner: Manner { takes_max_tokens: false, ..FORGETFUL },
        hosts: &["api.minimaxi.com"],
        ..vendor("minimax", &[], "https://api.minimax.io/v1", "MINIMAX_API_KEY")
    },
    Vendor {
        // https://help.aliyun.com/en/model-studio/anthropic-api-messages. Its Responses leave `instructions` unread
        // (https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-responses), so they are not asked for.
        hosts: &["dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"],
        tongues: &chat_and_messages("/compatible-mode/v1", "/apps/anthropic/v1"),
        ..vendor(
            "dashscope",
            &["alibaba"],
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
        )
    },
    Vendor {
        // Messages at the same address, with the same key as a bearer: https://docs.siliconflow.cn/cn/docs/api/messages-post
        tongues: &chat_and_messages("/v1", "/v1"),
        hosts: &["api.siliconflow.com"],
        ..vendor("siliconflow", &[], "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY")
    },
    vendor("hyperbolic", &[], "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    Vendor {
        // https://docs.tokenfactory.nebius.com/api-reference/introduction
        hosts: &["api.studio.nebius.com", "api.studio.nebius.ai"],
        ..vendor("nebius", &[], "https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY")
    },
    Vendor {
        // https://docs.ollama.com/api/openai-compatibility and anthropic-compatibility
        manner: FORGETFUL,
        ..on_this_machine("ollama", &[], "http://127.0.0.1:11434/v1")
    },
    Vendor {
        // It keeps responses only with VLLM_ENABLE_RESPONSES_API_STORE=1, and ignores `store` without (vllm/envs.py).
        manner: FORGETFUL,
        ..on_this_machine("vllm", &[], "http://127.0.0.1:8000/v1")
    },
    // It goes on with a `previous_response_id`: https://lmstudio.ai/docs/developer/rest
    on_this_machine("lmstudio", &["lm_studio"], "http://127.0.0.1:1234/v1"),
    Vendor {
        // https://github.com/ggml-org/llama.cpp/tree/master/tools/server: Messages and their count are its own, a null is
        // not as good as nothing, and `previous_response_id` is refused.
        tongues: &counting(local("/v1")),
        manner: Manner { refuses_nulls: true, ..FORGETFUL },
        ..on_this_machine("llama_cpp", &["llamacpp", "llama.cpp"], "http://127.0.0.1:8080/v1")
    },
];

/// That of most who followed OpenAI.
const USUAL: Manner = Manner { takes_max_tokens: true, lacks_developer: true, ..Manner::ORIGINAL };

/// The same, where Responses are answered and not kept.
const FORGETFUL: Manner = Manner { keeps_no_responses: true, ..USUAL };

const fn vendor(
    name: &'static str,
    aliases: &'static [&'static str],
    base_url: &'static str,
    env: &'static str,
) -> Vendor {
    Vendor {
        name,
        aliases,
        base_url: Some(base_url),
        hosts: &[],
        env: Some(env),
        health_path: MODELS_PATH,
        tongues: CHAT,
        manner: USUAL,
    }
}

const fn on_this_machine(
    name: &'static str,
    aliases: &'static [&'static str],
    base_url: &'static str,
) -> Vendor {
    Vendor { tongues: LOCAL, env: None, ..vendor(name, aliases, base_url, "") }
}

/// The provider of that name or alias.
#[must_use]
pub fn vendor_named(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name || vendor.aliases.contains(&name))
}

/// Each resource on Azure has a host of its own below one of these.
const AZURE: [&str; 3] = [".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"];

/// The provider whose API a URL leads to. What runs on this machine is nobody's in particular.
#[must_use]
pub fn vendor_of_host(url: &str) -> Option<&'static Vendor> {
    let host = host_of(url)?;
    if AZURE.iter().any(|domain| host.ends_with(domain)) {
        // Claude is spoken to there as at home, below a path of its own:
        // https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry
        return vendor_named(if url.contains("/anthropic") { "anthropic" } else { "azure" });
    }
    let of_all = VENDORS.iter().filter_map(|vendor| Some((vendor, vendor.base_url?)));
    let mut public = of_all.filter(|(_, base_url)| base_url.starts_with("https://"));
    let leads_there =
        |vendor: &Vendor, base_url| host_of(base_url) == Some(host) || vendor.hosts.contains(&host);
    public.find(|(vendor, base_url)| leads_there(vendor, base_url)).map(|(vendor, _)| vendor)
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
    fn no_name_alias_or_host_is_given_twice() {
        let mut names: Vec<&str> =
            VENDORS.iter().flat_map(|v| v.aliases.iter().chain(v.hosts).copied().chain([v.name])).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_base_url_ends_with_the_path_of_a_tongue() {
        for vendor in VENDORS {
            if let Some(base_url) = vendor.base_url {
                assert!(base_url.ends_with(vendor.main_path()), "{}", vendor.name);
            }
            let mut dialects: Vec<Dialect> = vendor.tongues.iter().map(|tongue| tongue.dialect).collect();
            dialects.sort_unstable();
            dialects.dedup();
            assert_eq!(dialects.len(), vendor.tongues.len(), "{}", vendor.name);
        }
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
        for (url, vendor) in [
            ("https://integrate.api.nvidia.com/v1", Some("nvidia")),
            ("https://my-account.openai.azure.com/openai/v1", Some("azure")),
            ("https://my-account.services.ai.azure.com/openai/v1", Some("azure")),
            ("https://my-account.services.ai.azure.com/anthropic/v1", Some("anthropic")),
            ("https://openai.azure.com.test/openai/v1", None),
            ("https://api.together.xyz/v1", Some("together")),
            ("http://127.0.0.1:11434/v1", None),
        ] {
            assert_eq!(vendor_of_host(url).map(|v| v.name), vendor, "{url}");
        }
        assert_eq!(vendor_named("nvidia_nim").map(|v| v.name), Some("nvidia"));
    }
}
