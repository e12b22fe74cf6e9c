//! What is decided of a pool of local programs before any of them runs; never read from a file here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use protocol::agent_rpc::Codec;

use super::profile::Profile;

/// One pool of instances of the same program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// What sort of program it is.
    pub profile: &'static Profile,
    /// The words of a turn.
    pub codec: Codec,
    /// The program.
    pub program: PathBuf,
    /// Variables that it is given besides the few that every program needs.
    pub environment: Vec<(String, String)>,
    /// What starts it in a way that it ends with the gateway: this program, which calls [`become_child`]. None starts it
    /// directly.
    ///
    /// [`become_child`]: super::become_child
    pub launcher: Option<PathBuf>,
    /// When it is started.
    pub start: Start,
    /// How long it may take until it can be spoken to.
    pub startup_timeout: Duration,
    /// How long a call may take that is no turn.
    pub rpc_timeout: Duration,
    /// The mode of a turn that wants none in particular.
    pub mode: String,
    /// The model of a turn whose model the program does not know; none leaves it to the program.
    pub default_model: Option<String>,
    /// The address that accounts belong to; none: the program's own.
    pub endpoint: Option<String>,
    /// Whether one that is signed out is signed in without being told to.
    pub automatic_login: bool,
    /// What fills in the sign-in page; none: a person does.
    pub browser: Option<Browser>,
    /// How long signing in may take.
    pub login_timeout: Duration,
    /// How often it is tried again with a fresh page.
    pub login_retries: u32,
    /// The pause after signing in has failed in all that, and the longest: each further one is twice as long.
    pub login_pauses: (Duration, Duration),
    /// How ends are met.
    pub pace: Pace,
    /// The instances.
    pub instances: Vec<InstanceSettings>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSettings {
    /// Its name, unique in the gateway.
    pub name: String,
    /// Its folder; nothing else may write there.
    pub work_dir: PathBuf,
    /// Its ports for the socket and for HTTP; 0 takes a free one at each start.
    pub ports: (u16, u16),
    /// Whose it is.
    pub account: Option<Account>,
}

/// When an instance is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first request.
    Lazy,
    /// With the gateway.
    Boot,
}

/// How unwanted ends are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The pause before the first repeat; each further one is twice as long.
    pub pause_min: Duration,
    /// The longest.
    pub pause_max: Duration,
    /// So many ends ...
    pub ends_max: usize,
    /// ... within this time are a loop ...
    pub window: Duration,
    /// ... after which it is left alone for so long.
    pub rest: Duration,
}

impl Pace {
    /// The first pause, and the longest.
    pub(super) fn pauses(self) -> (Duration, Duration) {
        (self.pause_min, self.pause_max)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_secs(60),
            ends_max: 5,
            window: Duration::from_secs(120),
            rest: Duration::from_hours(1),
        }
    }
}

/// Who an instance is signed in as. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Account {
    /// By name and password, on the sign-in page.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// By a personal token, without a page.
    Token {
        /// The token.
        token: String,
        /// Which of the account's organizations; none: the program's choice.
        organization: Option<String>,
    },
    /// By an access key, without a page.
    Key {
        /// The public part.
        access_key: String,
        /// The secret part.
        secret_key: String,
        /// Which of the account's organizations; none: the program's choice.
        organization: Option<String>,
    },
}

impl Account {
    /// What of it nobody may read.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let [first, second] = match self {
            Self::Password { password, .. } => [Some(password), None],
            Self::Token { token, .. } => [Some(token), None],
            Self::Key { access_key, secret_key, .. } => [Some(access_key), Some(secret_key)],
        };
        first.into_iter().chain(second).map(String::as_str)
    }

    /// Whether both are the same person's: a password that was changed is no other account.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Password { username, .. }, Self::Password { username: other, .. }) => username == other,
            (
                Self::Key { access_key, organization, .. },
                Self::Key { access_key: other, organization: elsewhere, .. },
            ) => access_key == other && organization == elsewhere,
            // Nobody knows whose a token is.
            (Self::Password { .. } | Self::Token { .. } | Self::Key { .. }, _) => self == other,
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
    }
}

/// What fills in a sign-in page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// The WebDriver server, such as `chromedriver`.
    pub driver: PathBuf,
    /// The browser, where the driver does not find it by itself.
    pub program: Option<PathBuf>,
    /// Whether it has no window.
    pub is_headless: bool,
    /// How long a page may show nothing that is known.
    pub page_timeout: Duration,
}
