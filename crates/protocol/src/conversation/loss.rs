//! What could not be carried from one dialect to another, and where the client wrote it; never whether that is allowed.

use std::fmt;

/// A path into the client's JSON, such as `messages[2].content[0]`; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Box<str>);

impl Place {
    /// The place that `path` names.
    pub fn new(path: impl Into<Box<str>>) -> Self {
        Place(path.into())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A field of what stands here.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Place(name.into()) } else { Place(format!("{}.{name}", self.0).into()) }
    }

    /// An element of the list that stands here.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Place(format!("{}[{index}]", self.0).into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wish that stands beside the turns, and that the answer would be another for. Each dialect has its own path for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of `Request` of the same name")]
pub enum Field {
    MaxOutputTokens,
    Temperature,
    TopP,
    TopK,
    Seed,
    PresencePenalty,
    FrequencyPenalty,
    Stop,
    Candidates,
    Logprobs,
    LogitBias,
    ToolChoice,
    ParallelToolCalls,
    Format,
    Reasoning,
    Verbosity,
    Metadata,
    ServiceTier,
    Store,
    PreviousResponseId,
    User,
}

/// What a part has beside what it says. Each dialect has its own path for it, inside of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// How closely a picture is to be looked at.
    Detail,
    /// The name of a document.
    Title,
    /// What a call takes.
    Arguments,
    /// The seal of a call.
    Seal,
}

/// One thing that was not carried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// What the client wrote there.
    At(Place),
    /// What the part there has beside what it says.
    Of(Place, Aspect),
    /// A wish beside the turns.
    Field(Field),
}

impl Loss {
    /// The path to tell the client, whose dialect writes a wish at `field`, and in a part an aspect of it at `aspect`.
    pub(crate) fn path(
        &self,
        field: fn(Field) -> &'static str,
        aspect: fn(Aspect) -> &'static str,
    ) -> String {
        match self {
            Loss::At(place) => place.to_string(),
            Loss::Of(place, of) => match aspect(*of) {
                "" => place.to_string(),
                inner => place.field(inner).to_string(),
            },
            Loss::Field(wish) => field(*wish).to_owned(),
        }
    }
}
