//! What may be written about local processes, exactly as it is typed; nothing is defaulted here.

use super::super::bind::{List, Table, choice, shape};
use super::super::leaf::{SecretText, Text};
use super::super::quantity::Count;
use super::{Span, Wait};

shape! {
    /// A program on this machine that the gateway starts and watches, once or several times.
    pub struct Process {
        /// What sort of program it is. Default: lingma.
        pub profile: Option<ProcessProfile>,
        /// Its path.
        pub program: Text,
        /// The words of a turn. Default: those of the profile.
        pub codec: Option<ProcessCodec>,
        /// How many. Default: one for each account, at least one.
        pub instances: Option<Count<1, 64>>,
        /// Where they work; several have a folder each inside of it. Default: `instances` in the data folder.
        pub work_dir: Option<Text>,
        /// The port of a single instance's socket. Default: the profile's own.
        pub socket_port: Option<Count<1, 65_535>>,
        /// The port of a single instance's HTTP server. Default: a free one.
        pub http_port: Option<Count<1, 65_535>>,
        /// When they are started. Default: lazy.
        pub start: Option<ProcessStart>,
        /// How long one may take until it can be spoken to. Default: 30s.
        pub startup_timeout: Option<Wait>,
        /// How long a call may take that is no turn. Default: 30s.
        pub rpc_timeout: Option<Wait>,
        /// The mode of a turn. Default: chat.
        pub mode: Option<Text>,
        /// The model of a turn that asks for one which the program does not have. Default: the program's own choice.
        pub default_model: Option<Text>,
        /// The address that accounts belong to. Default: the program's own.
        pub endpoint: Option<Text>,
        /// Variables that the program is given; of the gateway's own it sees only the few that every program needs.
        pub environment: Option<Table<SecretText>>,
        /// Who they are signed in as, one each.
        pub accounts: Option<List<ProcessAccount>>,
        /// How they are signed in.
        pub login: Option<ProcessLogin>,
        /// How unwanted ends are met.
        pub restart: Option<ProcessRestart>,
    }
}

choice! {
    /// Sorts of local programs. What is known of each is a row of upstream's, whose names the server's tests hold to these.
    pub enum ProcessProfile {
        /// The language server of an editor's plugin.
        Lingma = "lingma",
        /// A program of one's own.
        Simple = "simple",
    }
}

choice! {
    /// The words of a turn.
    pub enum ProcessCodec {
        /// `chat/ask`.
        Chat = "chat",
        /// `session/prompt`.
        Session = "session",
        /// `prompt`.
        Simple = "simple",
    }
}

choice! {
    /// When a local process is started.
    pub enum ProcessStart {
        /// With the first request.
        Lazy = "lazy",
        /// With the gateway.
        Boot = "boot",
    }
}

shape! {
    /// Who a local process is signed in as.
    pub struct ProcessAccount {
        /// The account's name; it may stand in a variable, as the password does.
        pub username: Option<SecretText>,
        /// Its password.
        pub password: Option<SecretText>,
        /// A personal token instead of both.
        pub token: Option<SecretText>,
        /// An access key instead, with its `secret_key`.
        pub access_key: Option<SecretText>,
        /// What belongs to the access key.
        pub secret_key: Option<SecretText>,
        /// Which organization a token or a key signs in to. Default: the program's choice.
        pub organization: Option<Text>,
    }
}

shape! {
    /// How local processes are signed in.
    pub struct ProcessLogin {
        /// Whether one that is signed out is signed in without being told to. Default: false.
        pub automatic: Option<bool>,
        /// Whether a browser without a window fills in the page. Default: false, a person does.
        pub headless: Option<bool>,
        /// The WebDriver server that drives the browser. Default: chromedriver.
        pub driver: Option<Text>,
        /// The browser, where the driver does not find it.
        pub browser: Option<Text>,
        /// How long signing in may take. Default: 300s.
        pub timeout: Option<Wait>,
        /// How often it is tried again with a fresh page. Default: 2.
        pub retries: Option<Count<0, 10>>,
        /// How long a page may show a browser nothing that is known. Default: 30s.
        pub page_timeout: Option<Wait>,
        /// The pause after all of that has failed, until a request may have it tried again; each further one is twice as long.
        /// Default: 60s.
        pub pause: Option<Wait>,
        /// The longest pause. Default: 1h.
        pub pause_max: Option<Wait>,
    }
}

shape! {
    /// How unwanted ends of local processes are met.
    pub struct ProcessRestart {
        /// The pause before the first new start; each further one is twice as long. Default: 500ms.
        pub pause: Option<Span<1, 60_000>>,
        /// The longest pause. Default: 60s.
        pub pause_max: Option<Wait>,
        /// So many ends within `window` are a loop. Default: 5.
        pub ends_max: Option<Count<1, 100>>,
        /// Default: 2m.
        pub window: Option<Wait>,
        /// How long one that ends in a loop is left alone. Default: 1h.
        pub rest: Option<Wait>,
    }
}
