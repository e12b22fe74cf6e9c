//! Decides how a vendor's API differs on the wire from OpenAI's, as data; never where it is or what it is called elsewhere.

/// How one vendor is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// Its name, as a backend's `kind` gives it.
    pub name: &'static str,
    /// How a credential is shown.
    pub shows: Shows,
    /// A cheap path, relative to the base URL, that answers `GET` with success when the endpoint lives and knows us.
    pub probe: &'static str,
    /// Refuses requests for a field that is null where OpenAI reads null as absent: such fields are left out.
    pub refuses_nulls: bool,
}

/// How a credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// As `Authorization: Bearer`, always.
    Bearer,
    /// As `Authorization: Bearer`, where the operator has set one up; a local server usually has none.
    BearerIfAny,
}

/// What holds for an API that is not in the table.
pub const ORDINARY: Vendor =
    Vendor { name: "openai_compatible", shows: Shows::BearerIfAny, probe: "/models", refuses_nulls: false };

/// The vendors that are known.
pub const ALL: &[Vendor] = &[
    hosted("openai", "/models"),
    hosted("nvidia", "/models"),
    // Its list of models is open to everyone and so says nothing about the key.
    hosted("openrouter", "/key"),
    hosted("deepseek", "/models"),
    hosted("groq", "/models"),
    hosted("gemini", "/models"),
    hosted("mistral", "/models"),
    hosted("together", "/models"),
    hosted("fireworks", "/models"),
    hosted("cerebras", "/models"),
    hosted("xai", "/models"),
    hosted("deepinfra", "/models"),
    hosted("siliconflow", "/models"),
    hosted("moonshot", "/models"),
    hosted("zhipu", "/models"),
    hosted("dashscope", "/models"),
    local("ollama"),
    local("vllm"),
    // It answers `encoding_format: null` with an error.
    Vendor { refuses_nulls: true, ..local("llama_cpp") },
    local("lm_studio"),
];

/// The vendor of that name, or what holds for any other.
#[must_use]
pub fn find(name: &str) -> &'static Vendor {
    ALL.iter().find(|vendor| vendor.name == name).unwrap_or(&ORDINARY)
}

const fn hosted(name: &'static str, probe: &'static str) -> Vendor {
    Vendor { name, shows: Shows::Bearer, probe, refuses_nulls: false }
}

const fn local(name: &'static str) -> Vendor {
    Vendor { name, shows: Shows::BearerIfAny, probe: "/models", refuses_nulls: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendor_is_found_by_its_name_alone() {
        for vendor in ALL {
            assert_eq!(find(vendor.name), vendor);
            assert!(vendor.probe.starts_with('/'), "{}", vendor.name);
            assert_eq!(ALL.iter().filter(|other| other.name == vendor.name).count(), 1, "{}", vendor.name);
        }
        assert_eq!(find("nobody"), &ORDINARY);
        assert!(find("llama_cpp").refuses_nulls);
    }
}
