//! Decides whether signing in that has failed is tried again without being told to, and when; never signs anybody in.

use std::time::Duration;

use tokio::time::Instant;

use super::super::ends;
use super::super::settings::Account;

/// Whether a login that has failed is tried again without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not before a person has changed something: another try would come to the same, or lock the account.
    Never,
    /// After a pause.
    Later,
    /// With the next request.
    Due,
}

impl Retry {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Later => "later",
            Self::Due => "next_request",
        }
    }
}

/// What keeps somebody from being signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Only a person can go on.
    Person(&'static str),
    /// What they sign in with was refused.
    Refused(&'static str),
    /// Another try may do better.
    Passing(&'static str),
}

/// The logins that have failed since somebody was signed in. They outlive the process that was to be signed in: it must not
/// try a wrong password once for each of its starts.
#[derive(Debug, Default)]
pub(in crate::process) struct Attempts {
    last: Option<Failed>,
    in_a_row: u32,
}

#[derive(Debug)]
struct Failed {
    account: Option<Account>,
    reason: &'static str,
    /// None: never.
    not_before: Option<Instant>,
}

impl Attempts {
    /// What this account was given was refused.
    pub(super) fn refused(&mut self, account: Option<Account>, reason: &'static str) -> Retry {
        self.last = Some(Failed { account, reason, not_before: None });
        Retry::Never
    }

    /// Something else kept this account from being signed in.
    pub(super) fn passed(
        &mut self,
        account: Option<Account>,
        reason: &'static str,
        pauses: (Duration, Duration),
        now: Instant,
    ) -> Retry {
        let not_before = now + ends::pause(pauses, self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some(Failed { account, reason, not_before: Some(not_before) });
        Retry::Later
    }

    /// Why this account is not to be signed in just now, if so.
    pub(in crate::process) fn standing(
        &self,
        account: Option<&Account>,
        now: Instant,
    ) -> Option<(&'static str, Retry)> {
        let Failed { reason, not_before, .. } =
            self.last.as_ref().filter(|last| last.account.as_ref() == account)?;
        match not_before {
            None => Some((*reason, Retry::Never)),
            Some(not_before) if now < *not_before => Some((*reason, Retry::Later)),
            Some(_) => None,
        }
    }

    /// When the pause is over that began with the last failure.
    pub(in crate::process) fn due(&self) -> Option<Instant> {
        self.last.as_ref()?.not_before
    }

    /// Somebody is signed in, or a person wants it tried.
    pub(in crate::process) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(password: &str) -> Option<Account> {
        Some(Account::Password { username: "u".to_owned(), password: password.to_owned() })
    }

    #[test]
    fn what_was_refused_is_never_tried_again_until_it_is_another() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(attempts.standing(account("a").as_ref(), now), None);
        assert_eq!(attempts.refused(account("a"), "wrong_password"), Retry::Never);
        let much_later = now + Duration::from_secs(1_000_000);
        assert_eq!(
            attempts.standing(account("a").as_ref(), much_later),
            Some(("wrong_password", Retry::Never))
        );
        assert_eq!((attempts.due(), attempts.standing(account("b").as_ref(), now)), (None, None));
        attempts.forget();
        assert_eq!(attempts.standing(account("a").as_ref(), now), None);
    }

    #[test]
    fn what_may_pass_is_tried_ever_more_seldom() {
        let pauses = (Duration::from_secs(60), Duration::from_secs(200));
        let (mut attempts, mut now) = (Attempts::default(), Instant::now());
        for want in [60.0, 120.0, 200.0, 200.0] {
            assert_eq!(attempts.passed(account("a"), "page_fault", pauses, now), Retry::Later);
            let due = attempts.due().expect("it is tried again");
            let pause = due.duration_since(now).as_secs_f64();
            assert!((want * 0.75..want * 1.25).contains(&pause), "{pause} for {want}");
            let just_before = due - Duration::from_millis(1);
            let waits = Some(("page_fault", Retry::Later));
            assert_eq!(attempts.standing(account("a").as_ref(), just_before), waits);
            assert_eq!(attempts.standing(account("a").as_ref(), due), None);
            assert_eq!(attempts.standing(account("b").as_ref(), now), None, "another need not wait");
            now = due;
        }
        attempts.forget();
        attempts.passed(account("a"), "page_fault", pauses, now);
        assert!(attempts.due().is_some_and(|due| due < now + Duration::from_secs(80)), "it begins anew");
    }
}
