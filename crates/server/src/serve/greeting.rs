//! Decides what a person who starts the gateway is told, once, on standard output; the log says the rest.

use std::io::Write;

use super::Ready;
use crate::assemble::{Assembled, Demo};

/// Prints the addresses, a token that was made just now, and what to do next.
pub(super) fn print(ready: &Ready, assembled: &Assembled, demo: Demo) {
    let text = text(ready, assembled, demo);
    // Nobody reading is no reason not to serve.
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap_or_default();
}

fn text(ready: &Ready, assembled: &Assembled, demo: Demo) -> String {
    let (address, metrics) = (&ready.address, &ready.metrics_address);
    let version = env!("CARGO_PKG_VERSION");
    let mut text =
        format!("Lockgate {version} serves http://{address}/v1 and metrics at http://{metrics}/metrics\n");
    if let Some(token) = &ready.admin_token {
        text += &format!("Admin token, made now and shown only this once: {token}\n");
    }
    let snapshot = &assembled.gateway.view().snapshot;
    if snapshot.identity.is_open() {
        text += "No gateway key exists, so only programs on this machine are served. `lockgate keys create app` makes one.\n";
    }
    match demo {
        Demo::With => {
            text += &format!(
                "Try: curl http://{address}/v1/chat/completions -H 'content-type: application/json' -d \
                 '{{\"model\": \"demo/chat\", \"stream\": true, \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n"
            );
        }
        Demo::Without if snapshot.backends.is_empty() => {
            text += "There is no backend yet. Set a provider's key (OPENAI_API_KEY, ...), write lockgate.yaml \
                     (`lockgate config init`), or start with --demo.\n";
        }
        Demo::Without => {}
    }
    text
}
