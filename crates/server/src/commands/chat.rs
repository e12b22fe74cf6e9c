//! Talks to a model through a running gateway and shows the answer as it comes; never talks to a provider itself.

mod stream;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use policy::millis;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use upstream::Answer;

use super::outcome::{FAILED, advised};
use super::place::Place;
use super::running::{Held, Running, request_id};
use crate::args::ChatArguments;
use crate::output;
use stream::{Fault, Stream, Usage};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ending {
    Whole,
    /// By ^C.
    Stopped,
    /// Whoever read standard output has gone.
    Unread,
}

/// An answer that was heard.
#[derive(Debug, Serialize)]
struct Heard {
    text: String,
    ending: Ending,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    first_token_ms: Option<u64>,
    total_ms: u64,
    tokens_per_second: Option<String>,
    request_id: String,
    #[serde(skip)]
    pieces: u64,
}

/// How an answer is shown while it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// To a person: nothing of it may move the cursor.
    Person,
    /// To a pipe: as it is.
    Pipe,
    /// Not before it is whole.
    Later,
}

pub(super) async fn run(place: &Place, arguments: ChatArguments) -> anyhow::Result<ExitCode> {
    let running =
        Running::find(place, arguments.target.url.as_deref(), Held::Key(&arguments.target.key_env))?;
    let is_terminal = io::stdout().is_terminal();
    let showing = match (arguments.shape.json, is_terminal) {
        (true, _) => Showing::Later,
        (false, true) => Showing::Person,
        (false, false) => Showing::Pipe,
    };
    let mut talk = Talk::new(&arguments, running, showing);
    if arguments.prompt.is_none() && io::stdin().is_terminal() && showing == Showing::Person {
        return talk.converse().await;
    }
    let prompt = match arguments.prompt {
        Some(prompt) => prompt,
        None => io::read_to_string(io::stdin()).context("standard input cannot be read")?,
    };
    let prompt = prompt.trim_end().to_owned();
    if prompt.is_empty() {
        return Err(advised("there is nothing to say", "give a prompt: `lockgate chat MODEL \"Hello\"`"));
    }
    let heard = talk.say(prompt).await?;
    if showing == Showing::Later {
        output::print_json(&heard)?;
    }
    Ok(match heard.ending {
        Ending::Whole | Ending::Unread => ExitCode::SUCCESS,
        Ending::Stopped => ExitCode::from(FAILED),
    })
}

/// A conversation: everything said so far goes with every question.
struct Talk {
    running: Running,
    showing: Showing,
    model: String,
    max_tokens: Option<u64>,
    messages: Vec<Value>,
}

impl Talk {
    fn new(arguments: &ChatArguments, running: Running, showing: Showing) -> Self {
        let system = arguments.system.iter().map(|text| json!({"role": "system", "content": text}));
        Self {
            running,
            showing,
            model: arguments.model.clone(),
            max_tokens: arguments.max_tokens,
            messages: system.collect(),
        }
    }

    /// Asks at the terminal until ^D, or ^C at the prompt. ^C during an answer stops that answer only.
    async fn converse(&mut self) -> anyhow::Result<ExitCode> {
        output::remark(&format!("Talking to {} at {}. ^D ends.", self.model, self.running.address));
        loop {
            // Listened for before the prompt is seen; one that stopped the answer before is none of this one's.
            let mut stopped = signal(SignalKind::interrupt())?;
            output::print("> ")?;
            let line = tokio::select! {
                line = tokio::task::spawn_blocking(read_line) => line?.context("standard input cannot be read")?,
                _ = stopped.recv() => None,
            };
            let Some(line) = line else { break };
            if line.trim().is_empty() {
                continue;
            }
            if let Err(error) = self.say(line).await {
                super::outcome::report(&error);
            }
        }
        output::print("\n")?;
        Ok(ExitCode::SUCCESS)
    }

    /// Says something and hears the answer. What failed was never said.
    async fn say(&mut self, text: String) -> anyhow::Result<Heard> {
        self.messages.push(json!({"role": "user", "content": text}));
        let heard = self.hear().await;
        match &heard {
            Ok(heard) => self.messages.push(json!({"role": "assistant", "content": heard.text})),
            Err(_) => drop(self.messages.pop()),
        }
        heard
    }

    async fn hear(&self) -> anyhow::Result<Heard> {
        let mut body = json!({
            "model": self.model,
            "messages": self.messages,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if let Some(tokens) = self.max_tokens {
            body["max_tokens"] = json!(tokens);
        }
        let began = Instant::now();
        let mut stopped = std::pin::pin!(tokio::signal::ctrl_c());
        let mut answer = tokio::select! {
            answer = self.running.post("/chat/completions", body.to_string()) => answer?,
            stop = &mut stopped => {
                stop?;
                return Err(anyhow::anyhow!("stopped before the answer began"));
            }
        };
        let mut hearing = Hearing::new(began, self.showing);
        let ending = tokio::select! {
            ending = hearing.listen(&self.running, &mut answer) => ending?,
            stop = &mut stopped => { stop?; Ending::Stopped }
        };
        let heard = hearing.heard(ending, request_id(&answer));
        if self.showing != Showing::Later {
            output::print(if heard.text.ends_with('\n') { "" } else { "\n" })?;
            output::remark(&heard.line());
        }
        Ok(heard)
    }
}

/// An answer while it comes.
struct Hearing {
    stream: Stream,
    text: String,
    began: Instant,
    first: Option<Duration>,
    showing: Showing,
}

impl Hearing {
    fn new(began: Instant, showing: Showing) -> Self {
        Self { stream: Stream::new(), text: String::new(), began, first: None, showing }
    }

    /// Listens to the end of the answer. May be dropped at any point: what was heard stays heard.
    async fn listen(&mut self, running: &Running, answer: &mut Answer) -> anyhow::Result<Ending> {
        while let Some(chunk) = answer.chunk().await {
            let chunk = chunk.map_err(|failure| self.cut(running.broken(&failure)))?;
            let piece = match self.stream.take(chunk) {
                Ok(piece) => piece,
                Err(Fault::Told(body)) => {
                    return Err(self.cut(running.refused(StatusCode::OK, request_id(answer), &body)));
                }
                Err(Fault::Strange(what)) => {
                    return Err(self.cut(advised(what, "check that this address is a gateway's")));
                }
            };
            if !piece.is_empty() && self.show(&piece)? == Ending::Unread {
                return Ok(Ending::Unread);
            }
            if self.stream.is_done() {
                return Ok(Ending::Whole);
            }
        }
        Err(self
            .cut(anyhow::anyhow!("the answer ended before it was whole (request {})", request_id(answer))))
    }

    fn show(&mut self, piece: &str) -> anyhow::Result<Ending> {
        self.first.get_or_insert_with(|| self.began.elapsed());
        self.text.push_str(piece);
        let written = match self.showing {
            Showing::Person => output::write(&output::printable_lines(piece)),
            Showing::Pipe => output::write(piece),
            Showing::Later => Ok(()),
        };
        match written {
            Ok(()) => Ok(Ending::Whole),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::Unread),
            Err(error) => Err(error).context("standard output cannot be written"),
        }
    }

    /// An error begins on a line of its own.
    fn cut(&self, error: anyhow::Error) -> anyhow::Error {
        if !self.text.is_empty() && self.showing != Showing::Later {
            // The error is what the user must see; whether the line could be ended is not.
            drop(output::write("\n"));
        }
        error
    }

    fn heard(self, ending: Ending, request_id: &str) -> Heard {
        let total = self.began.elapsed();
        let mut heard = Heard {
            text: self.text,
            ending,
            finish_reason: self.stream.finish_reason,
            usage: self.stream.usage,
            first_token_ms: self.first.map(millis),
            total_ms: millis(total),
            tokens_per_second: None,
            request_id: request_id.to_owned(),
            pieces: self.stream.pieces,
        };
        let speaking = millis(total.saturating_sub(self.first.unwrap_or(total)));
        heard.tokens_per_second = per_second(heard.tokens(), speaking);
        heard
    }
}

impl Heard {
    fn tokens(&self) -> u64 {
        self.usage.map_or(self.pieces, |usage| usage.completion_tokens)
    }

    /// What people want to know of an answer.
    fn line(&self) -> String {
        let tokens = match self.usage {
            Some(usage) => format!("{} tokens in, {} out", usage.prompt_tokens, usage.completion_tokens),
            None => format!("about {} tokens out", self.pieces),
        };
        let first =
            self.first_token_ms.map_or_else(String::new, |ms| format!(", first after {}", seconds(ms)));
        let rate =
            self.tokens_per_second.as_ref().map_or_else(String::new, |rate| format!(", {rate} tokens/s"));
        let ending = match (self.ending, self.finish_reason.as_deref()) {
            (Ending::Stopped, _) => ", stopped by you",
            (Ending::Unread, _) => ", nobody read on",
            (Ending::Whole, Some("length")) => ", cut at its longest",
            (Ending::Whole, Some(_) | None) => "",
        };
        format!("[{tokens}{first}{rate}{ending}, request {}]", self.request_id)
    }
}

fn read_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    Ok((io::stdin().read_line(&mut line)? > 0).then_some(line))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

/// To a tenth; none where an answer came all at once.
fn per_second(tokens: u64, ms: u64) -> Option<String> {
    let tenths = tokens.saturating_mul(10_000).checked_div(ms)?;
    (tokens > 1).then(|| format!("{}.{}", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_under_an_answer_says_what_is_known() {
        let usage = Some(Usage { prompt_tokens: 12, completion_tokens: 30 });
        let heard = |usage, ending, finish: &str, ms| Heard {
            text: String::new(),
            ending,
            finish_reason: Some(finish.to_owned()),
            usage,
            first_token_ms: Some(350),
            total_ms: 350 + ms,
            tokens_per_second: per_second(30, ms),
            request_id: "req-1".to_owned(),
            pieces: 29,
        };
        for (heard, expected) in [
            (
                heard(usage, Ending::Whole, "stop", 1500),
                "[12 tokens in, 30 out, first after 0.35 s, 20.0 tokens/s, request req-1]",
            ),
            (
                heard(None, Ending::Stopped, "", 0),
                "[about 29 tokens out, first after 0.35 s, stopped by you, request req-1]",
            ),
            (
                heard(usage, Ending::Whole, "length", 900),
                "[12 tokens in, 30 out, first after 0.35 s, 33.3 tokens/s, cut at its longest, request req-1]",
            ),
        ] {
            assert_eq!(heard.line(), expected);
        }
    }
}
