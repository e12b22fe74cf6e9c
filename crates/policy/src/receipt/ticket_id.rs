//! Decides how tickets and attempts are named: ULIDs, sortable by time; never mints one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::timestamp::Timestamp;

/// Crockford's base 32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 128 bits in groups of five.
const ULID_CHARS: usize = 26;

/// What minted request ids begin with.
const MINTED: &str = "req-";
/// Above so many random bits stands the time.
const RANDOM_BITS: u32 = 80;

/// Names one ticket, for ever. Displays as a ULID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub u128);

/// Names one attempt of a ticket. Displays as `<ulid>.<number>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// Whose.
    pub ticket: TicketId,
    /// Which, from 1.
    pub number: u8,
}

/// A text that names no ticket or attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an id")]
pub struct NotAnId;

impl TicketId {
    /// When it was minted.
    pub fn minted_at(self) -> Timestamp {
        Timestamp(i64::try_from(self.0 >> RANDOM_BITS).unwrap_or(i64::MAX))
    }

    /// The id of a request whose client gave none.
    pub fn request_id(self) -> String {
        format!("{MINTED}{self}")
    }

    /// The only ticket whose request may have got this id from [`Self::request_id`].
    pub fn of_request_id(id: &str) -> Option<Self> {
        id.strip_prefix(MINTED)?.parse().ok()
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; ULID_CHARS];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            let five_bits = u8::try_from(rest & 31).expect("five bits");
            *place = ALPHABET[usize::from(five_bits)];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl FromStr for TicketId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        // The first of 26 characters holds three bits only: anything above 7 would not fit in 128.
        if text.len() != ULID_CHARS || text.as_bytes().first() > Some(&b'7') {
            return Err(NotAnId);
        }
        text.bytes()
            .try_fold(0_u128, |id, byte| {
                let digit =
                    ALPHABET.iter().zip(0_u128..).find(|(letter, _)| letter.eq_ignore_ascii_case(&byte));
                digit.map(|(_, digit)| id << 5 | digit).ok_or(NotAnId)
            })
            .map(Self)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ticket, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (ticket, number) = text.split_once('.').ok_or(NotAnId)?;
        if number.starts_with(['+', '0']) {
            return Err(NotAnId);
        }
        Ok(Self { ticket: ticket.parse()?, number: number.parse().map_err(|_| NotAnId)? })
    }
}

macro_rules! as_text {
    ($id:ty) => {
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(TicketId);
as_text!(AttemptId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_ids_are_written_as_the_ulid_specification_does() {
        assert_eq!(TicketId(0).to_string(), "00000000000000000000000000");
        assert_eq!(TicketId(u128::MAX).to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        for bad in ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "0000000000000000000000000U", "x"] {
            assert_eq!(bad.parse::<TicketId>(), Err(NotAnId), "{bad}");
        }
        for bad in
            ["00000000000000000000000000", "00000000000000000000000000.", "00000000000000000000000000.+1"]
        {
            assert_eq!(bad.parse::<AttemptId>(), Err(NotAnId), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_come_back_and_sort_as_their_text(one: u128, other: u128, number in 1_u8..) {
            let id = AttemptId { ticket: TicketId(one), number };
            prop_assert_eq!(id.to_string().parse::<AttemptId>(), Ok(id));
            let json = serde_json::to_string(&id).expect("an id is text");
            prop_assert_eq!(serde_json::from_str::<AttemptId>(&json).expect("what was written"), id);
            prop_assert_eq!(TicketId::of_request_id(&TicketId(one).request_id()), Some(TicketId(one)));
            let texts = TicketId(one).to_string().cmp(&TicketId(other).to_string());
            prop_assert_eq!(TicketId(one).cmp(&TicketId(other)), texts);
        }
    }
}
