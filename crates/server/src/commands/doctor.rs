//! Looks at everything a gateway here needs and says what to do about what is wrong; never repairs or makes anything.

mod folder;
mod machine;
mod reach;

use std::process::ExitCode;

use control::config::Loaded;
use serde::Serialize;

use super::outcome::{self, FAILED};
use super::place::Place;
use crate::args::DoctorArguments;
use crate::output::{self, Screen, Tone};
use folder::Depth;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// Works, but not as it should, or not for long.
    Warn,
    /// A gateway would not start, or not serve.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    subject: String,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(subject: &str, says: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), verdict: Verdict::Ok, says: says.into(), advice: None }
    }

    fn warn(subject: &str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.into()), ..Self::ok(subject, says) }
    }

    fn fail(subject: &str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, advice: Some(advice.into()), ..Self::ok(subject, says) }
    }

    /// What an error means is the same here as at the end of any command.
    fn error(subject: &str, error: &anyhow::Error) -> Self {
        let (_, advice) = outcome::judge(error);
        Self { verdict: Verdict::Fail, advice, ..Self::ok(subject, format!("{error:#}")) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

pub(super) async fn run(place: &Place, arguments: DoctorArguments) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    if let Some(loaded) = configuration(place, &mut findings) {
        let settings = &loaded.settings;
        let depth = if arguments.deep { Depth::Whole } else { Depth::Usual };
        findings.extend(folder::look(settings, depth).await);
        findings.extend(machine::look(place, settings).await);
        findings.extend(reach::ports(settings).await);
        if !arguments.offline {
            findings.extend(reach::backends(place).await);
        }
    }
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
    let report = Report { ok, findings };
    if arguments.shape.json {
        output::print_json(&report)?;
    } else {
        output::print(&told(&report.findings, place.screen()))?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn configuration(place: &Place, findings: &mut Vec<Finding>) -> Option<Loaded> {
    let file = place.config().map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    match place.load() {
        Ok(loaded) => {
            let settings = &loaded.settings;
            let counts = format!(
                "{file}: {}, {}",
                output::counted(settings.backends.len(), "backend"),
                output::counted(settings.keys.len(), "key")
            );
            findings.push(Finding::ok("configuration", counts));
            findings.extend(loaded.notices.iter().map(|notice| {
                Finding::warn("configuration", notice.to_string(), "`lockgate check` reads it again")
            }));
            Some(loaded)
        }
        Err(error) => {
            findings.push(Finding::error("configuration", &error.into()));
            None
        }
    }
}

fn told(findings: &[Finding], screen: Screen) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (tone, word) = match finding.verdict {
            Verdict::Ok => (Tone::Good, "ok  "),
            Verdict::Warn => (Tone::Doubtful, "warn"),
            Verdict::Fail => (Tone::Bad, "fail"),
        };
        let says = output::printable_lines(&finding.says).replace('\n', "\n      ");
        text.push_str(&format!("{}  {:width$}  {says}\n", screen.paint(tone, word), finding.subject));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("      {:width$}  -> {advice}\n", ""));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (warnings, failures) = (count(Verdict::Warn), count(Verdict::Fail));
    text.push_str(&match (failures, warnings) {
        (0, 0) => "Everything is well.\n".to_owned(),
        (0, warnings) => format!("It works; {} to look at.\n", output::counted(warnings, "thing")),
        (failures, _) => format!("{} must be put right.\n", output::counted(failures, "thing")),
    });
    text
}
