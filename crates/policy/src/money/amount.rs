//! Decides how money is counted: whole units of 1e-12 US dollars; never a float, never a silent overflow.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits after the point that one unit stands for.
const DECIMALS: usize = 12;
/// Units in one dollar.
const UNITS: i128 = 1_000_000_000_000;
/// Prices are quoted per million tokens, six digits away from the price of one.
const MILLION_DECIMALS: usize = 6;
/// More text than any amount needs; bounds the work spent on a hostile number.
const TEXT_BYTES_MAX: usize = 64;

/// An amount of money in units of 1e-12 US dollars.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub i128);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("is not a decimal number such as 1.25")]
    NotDecimal,
    /// More digits after the point than a unit can hold; it would have to be rounded.
    #[error("has too many digits after the point (at most {0} can be kept exactly)")]
    TooPrecise(usize),
    /// Beyond what fits.
    #[error("is too large")]
    TooLarge,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The price of one token from a price per million tokens, exactly: `"1.25"` is 0.00000125.
    pub fn per_million(text: &str) -> Result<Self, AmountError> {
        parse(text, DECIMALS - MILLION_DECIMALS).map(Self)
    }

    /// `self + other`, held at the largest amount instead of wrapping.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self - other`, held at the smallest amount instead of wrapping.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self` for each of `count` tokens, held at the largest amount instead of wrapping.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    /// `self + other`, or nothing when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `self - other`, or nothing when it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// As people say it: dollars to the cent, and less than a cent to two digits that count.
    #[must_use]
    pub fn rounded(self) -> impl fmt::Display {
        Rounded(self)
    }
}

/// An amount for the eye only; what it leaves out is lost.
struct Rounded(Amount);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Amount(exact)) = *self;
        let units = exact.unsigned_abs();
        let digits = units.checked_ilog10().map_or(0, |log| usize::try_from(log).unwrap_or(0) + 1);
        let is_below_a_cent = (1..DECIMALS - 1).contains(&digits);
        let places = if is_below_a_cent { (DECIMALS + 2 - digits).min(DECIMALS) } else { 2 };
        let step = 10_u128.pow(u32::try_from(DECIMALS - places).unwrap_or(0));
        let steps = units.saturating_add(step / 2) / step;
        let in_dollar = UNITS.unsigned_abs() / step;
        let sign = if exact < 0 { "-" } else { "" };
        write!(f, "{sign}${}.{:0places$}", steps / in_dollar, steps % in_dollar)
    }
}

/// Reads a decimal as a whole number of units, `decimals` digits after the point being one unit.
fn parse(text: &str, decimals: usize) -> Result<i128, AmountError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(AmountError::TooLarge);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(AmountError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals {
        return Err(AmountError::TooPrecise(decimals));
    }
    let padding = std::iter::repeat_n(b'0', decimals - fraction.len());
    let units = whole
        .bytes()
        .chain(fraction.bytes())
        .chain(padding)
        .try_fold(0_i128, |units, digit| units.checked_mul(10)?.checked_add(i128::from(digit - b'0')));
    let units = units.ok_or(AmountError::TooLarge)?;
    Ok(if negative { -units } else { units })
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        parse(text, DECIMALS).map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (whole, fraction) = (units / UNITS.unsigned_abs(), units % UNITS.unsigned_abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{fraction:0DECIMALS$}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount as decimal text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(|error| E::custom(format_args!("{text:?} {error}")))
            }
        }
        deserializer.deserialize_str(Text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<i128, AmountError>) {
        assert_eq!(text.parse::<Amount>().map(|amount| amount.0), expected, "{text}");
    }

    #[test]
    fn decimals_are_read_exactly_or_refused() {
        use AmountError::{NotDecimal, TooLarge, TooPrecise};
        check("0", Ok(0));
        check("1", Ok(UNITS));
        check("0.000000000001", Ok(1));
        check("0.0000000000010", Ok(1));
        check("-2.5", Ok(-2_500_000_000_000));
        check("0.0000000000001", Err(TooPrecise(12)));
        for bad in ["", ".", ".5", "5.", "1e3", "+1", " 1", "1.2.3", "--1", "-", "١"] {
            check(bad, Err(NotDecimal));
        }
        check(&"9".repeat(40), Err(TooLarge));
        check(&"0".repeat(65), Err(TooLarge));
    }

    #[test]
    fn a_price_per_million_is_the_exact_price_of_one() {
        assert_eq!(Amount::per_million("1.25"), Ok(Amount(1_250_000)));
        assert_eq!(Amount::per_million("0.000001"), Ok(Amount(1)));
        assert_eq!(Amount::per_million("0.0000001"), Err(AmountError::TooPrecise(6)));
    }

    #[test]
    fn people_are_told_cents_and_small_amounts_by_the_digits_that_count() {
        let check = |exact: &str, said: &str| {
            assert_eq!(exact.parse::<Amount>().expect("an amount").rounded().to_string(), said, "{exact}");
        };
        check("0", "$0.00");
        check("10", "$10.00");
        check("5.016000000001", "$5.02");
        check("1234.994999999999", "$1234.99");
        check("0.995", "$1.00");
        check("0.01", "$0.01");
        check("0.042", "$0.04");
        check("0.0042", "$0.0042");
        check("0.00999", "$0.0100");
        check("0.000000000001", "$0.000000000001");
        check("-2.5", "-$2.50");
        assert!(Amount(i128::MAX).rounded().to_string().starts_with("$170141183460469231731687303.7"));
    }

    #[test]
    fn sums_hold_at_the_edge_instead_of_wrapping() {
        let most = Amount(i128::MAX);
        assert_eq!(most.saturating_add(Amount(1)), most);
        assert_eq!(most.times(2), most);
        assert_eq!(most.checked_add(Amount(1)), None);
        assert_eq!(Amount(i128::MIN).checked_sub(Amount(1)), None);
        assert_eq!([Amount(1), Amount(2)].into_iter().sum::<Amount>(), Amount(3));
    }

    proptest! {
        #[test]
        fn text_and_json_give_the_amount_back(units in -(i128::MAX)..=i128::MAX) {
            let amount = Amount(units);
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
            let json = serde_json::to_string(&amount).expect("an amount is text");
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).expect("what was written"), amount);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-0-9.e ]{0,50}") {
            if let Ok(amount) = text.parse::<Amount>() {
                let back = amount.to_string();
                prop_assert_eq!(back.parse::<Amount>(), Ok(amount));
            }
        }
    }
}
