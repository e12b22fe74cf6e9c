//! The scripted provider as a program of its own, for tests in other languages and for measurements: prints its address
//! as one line of JSON and serves until it is ended.

use std::io::Write as _;

use clap::Parser;
use testkit::{Behaviour, Framing, ProviderSettings, ScriptedProvider};

/// A provider that does what a script says (`POST /__control/script`).
#[derive(Parser)]
struct Arguments {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Refuse calls without this bearer key.
    #[arg(long)]
    key: Option<String>,
    /// Answer everything with one fixed answer, and keep nothing of what comes in.
    #[arg(long)]
    fast: bool,
    /// Play a model that works with tools, in the dialect of each request's path.
    #[arg(long, conflicts_with = "fast")]
    agent: bool,
    /// With --fast: stream so many chunks instead of one small answer.
    #[arg(long, requires = "fast")]
    chunks: Option<usize>,
    /// With --chunks: the time between two of them.
    #[arg(long, default_value_t = 0)]
    interval_ms: u64,
    /// With --chunks: the length of each.
    #[arg(long, default_value_t = 200)]
    chunk_bytes: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let provider = ScriptedProvider::start_with(ProviderSettings {
        port: arguments.port,
        key: arguments.key.clone(),
        forgetful: arguments.fast,
        ..ProviderSettings::default()
    })
    .await?;
    if arguments.fast {
        provider.otherwise(fast(&arguments));
    }
    if arguments.agent {
        provider.otherwise(Behaviour::agent());
    }
    let line = serde_json::json!({"address": provider.address(), "base_url": provider.base_url()});
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The answer of a run that is measured: as small as a real one, or a stream of equal chunks.
fn fast(arguments: &Arguments) -> Behaviour {
    let Some(chunks) = arguments.chunks else {
        return Behaviour::json(
            200,
            &serde_json::json!({
                "id": "chatcmpl-fast", "object": "chat.completion", "created": 1_700_000_000, "model": "fast",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
            }),
        );
    };
    let frame = |content: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-fast\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"fast\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let filler = "x".repeat(arguments.chunk_bytes.saturating_sub(frame("").len()));
    let mut pieces = vec![frame(&filler); chunks];
    pieces.push("data: [DONE]\n\n".to_owned());
    let mut behaviour = Behaviour::replay(pieces).framed(Framing::Chunked);
    behaviour.interval_ms = arguments.interval_ms;
    behaviour
}
