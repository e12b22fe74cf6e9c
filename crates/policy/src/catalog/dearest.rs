//! Decides, once for a route, what its dearest candidates can cost, so that no request has to look at all of them; never
//! what a call did cost.

use super::Longest;
use super::{Candidate, OUTPUT_TOKENS_UNKNOWN};
use crate::money::{Amount, Price};

/// The most that candidates can cost, whatever is asked of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dearest {
    /// Those of known price that could be the dearest for some request: no other one costs at least as much for all.
    priced: Box<[Tariff]>,
    /// How long the answers of those may be whose price nobody knows, if there are any.
    unpriced: Option<Lengths>,
}

/// A price and the answers that it is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tariff {
    request: Amount,
    image: Amount,
    input: Amount,
    output: Amount,
    lengths: Lengths,
}

/// The longest answer in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lengths {
    /// Where the request does not say.
    unasked: u64,
    /// However much it asks for.
    ever: u64,
}

impl Dearest {
    pub(super) fn of<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Self {
        let (mut priced, mut unpriced): (Vec<Tariff>, Option<Lengths>) = (Vec::new(), None);
        for candidate in candidates {
            let lengths = Lengths::of(candidate);
            match candidate.price.as_deref() {
                Some(price) => keep(&mut priced, Tariff::of(price, lengths)),
                None => unpriced = Some(unpriced.map_or(lengths, |longest| longest.or(lengths))),
            }
        }
        Self { priced: priced.into(), unpriced }
    }

    /// Whether the price of every candidate is known.
    pub(super) fn is_known(&self) -> bool {
        self.unpriced.is_none()
    }

    /// What one call can cost at most; see [`super::Route::worst_case`].
    pub(super) fn worst_case(&self, prompt: u64, output: Longest, ceiling: Option<&Price>) -> Amount {
        let unpriced = self.unpriced.zip(ceiling).map(|(lengths, price)| Tariff::of(price, lengths));
        let all = self.priced.iter().copied().chain(unpriced);
        all.map(|tariff| tariff.cost(prompt, output)).max().unwrap_or_default()
    }
}

impl Tariff {
    fn of(price: &Price, lengths: Lengths) -> Self {
        let (input, output) = price.dearest_tokens();
        Self { request: price.request, image: price.image, input, output, lengths }
    }

    fn cost(&self, prompt: u64, output: Longest) -> Amount {
        // A request may ask for more than the model gives, but not get it.
        let each = output.each.map_or(self.lengths.unasked, |asked| asked.min(self.lengths.ever));
        let tokens = each.saturating_mul(output.answers);
        let parts = [self.input.times(prompt), self.output.times(tokens), self.image.times(output.images)];
        parts.into_iter().fold(self.request, Amount::saturating_add)
    }

    fn is_never_dearer_than(&self, other: &Self) -> bool {
        self.request <= other.request
            && self.image <= other.image
            && self.input <= other.input
            && self.output <= other.output
            && self.lengths.or(other.lengths) == other.lengths
    }
}

impl Lengths {
    fn of(candidate: &Candidate) -> Self {
        let unasked = candidate.max_output.unwrap_or(OUTPUT_TOKENS_UNKNOWN);
        Self { unasked, ever: candidate.max_output.unwrap_or(u64::MAX) }
    }

    fn or(self, other: Self) -> Self {
        Self { unasked: self.unasked.max(other.unasked), ever: self.ever.max(other.ever) }
    }
}

fn keep(tariffs: &mut Vec<Tariff>, new: Tariff) {
    if tariffs.iter().any(|known| new.is_never_dearer_than(known)) {
        return;
    }
    tariffs.retain(|known| !known.is_never_dearer_than(&new));
    tariffs.push(new);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::Carries;
    use crate::live::BackendId;
    use crate::money::PriceSpec;

    fn price() -> impl Strategy<Value = Price> {
        (0_u8..4, 0_u8..4, 0_u8..4, 0_u8..4).prop_map(|(input, output, image, request)| {
            let amount = |n: u8| n.to_string().parse::<Amount>().expect("an amount");
            let (input, output, image, request) =
                (amount(input), amount(output), amount(image), amount(request));
            PriceSpec { input, output, image, request, ..PriceSpec::default() }.price()
        })
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let candidate = (proptest::option::of(price()), proptest::option::of(1_u64..100_000)).prop_map(
            |(price, max_output)| Candidate {
                backend: BackendId(0),
                model: None,
                native: "m".into(),
                price: price.map(Arc::new),
                context: None,
                max_output,
                carries: Carries::default(),
                cost_place: 0,
            },
        );
        proptest::collection::vec(candidate, 0..12)
    }

    /// The rule, candidate by candidate.
    fn one_by_one(candidates: &[Candidate], prompt: u64, output: Longest, ceiling: Option<&Price>) -> Amount {
        let worst = candidates.iter().filter_map(|one| {
            let price = one.price.as_deref().or(ceiling)?;
            let most = one.max_output.unwrap_or(OUTPUT_TOKENS_UNKNOWN);
            let each = output.each.map_or(most, |asked| one.max_output.map_or(asked, |most| asked.min(most)));
            let (input, answer) = price.dearest_tokens();
            let images = price.image.times(output.images);
            let tokens = answer.times(each.saturating_mul(output.answers));
            Some([price.request, images, input.times(prompt), tokens].into_iter().sum())
        });
        worst.max().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn the_dearest_is_dear_as_the_dearest_of_all(
            candidates in candidates(),
            prompt in 0_u64..100_000,
            (each, answers, images) in (proptest::option::of(0_u64..200_000), 1_u64..4, 0_u64..11),
            ceiling in proptest::option::of(price()),
        ) {
            let dearest = Dearest::of(candidates.iter());
            let output = Longest { each, answers, images };
            let expected = one_by_one(&candidates, prompt, output, ceiling.as_ref());
            prop_assert_eq!(dearest.worst_case(prompt, output, ceiling.as_ref()), expected);
            prop_assert_eq!(dearest.is_known(), candidates.iter().all(|one| one.price.is_some()));
        }
    }

    #[test]
    fn equal_prices_are_kept_once() {
        let price =
            Arc::new(PriceSpec { input: "1".parse().expect("an amount"), ..PriceSpec::default() }.price());
        let candidate = |backend| Candidate {
            backend: BackendId(backend),
            model: None,
            native: "m".into(),
            price: Some(Arc::clone(&price)),
            context: None,
            max_output: None,
            carries: Carries::default(),
            cost_place: 0,
        };
        let all: Vec<Candidate> = (0..200).map(candidate).collect();
        assert_eq!(Dearest::of(all.iter()).priced.len(), 1);
    }
}
