//! Describes what the data plane and the store say of themselves, as it is answered: they know nothing of the API's
//! description. It holds no value; a test holds every answer to it.
#![expect(dead_code, reason = "shapes are described, never made")]

mod kept;
mod ledger;
mod live;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::span::MOMENT_MAX;

pub(super) use kept::{AuditEntry, AuditVerdict, BackupFile, BackupVerdict, Rotated, VaultStatus, Via};
pub(super) use ledger::{AttemptLine, Receipt, RequestOutcome, UsageRow, UsageSums};
pub(super) use live::{BackendStatus, Class, EventFields, EventKind, Explanation, Health, Limits, Status};

/// A moment as queries say it: RFC 3339, or milliseconds since 1970.
pub(super) struct Moment;

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let number =
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MOMENT_MAX));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        RefOr::T(AnyOfBuilder::new().item(number).item(text).build().into())
    }
}

impl ToSchema for Moment {}

/// US dollars, as decimal text.
#[derive(ToSchema)]
#[schema(pattern = r"^-?[0-9]+(\.[0-9]{1,12})?$")]
pub(super) struct Money(String);

/// A wire format.
pub(super) struct Dialect;

impl PartialSchema for Dialect {
    fn schema() -> RefOr<Schema> {
        let names = policy::Dialect::ALL.iter().map(|dialect| dialect.name());
        RefOr::T(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into())
    }
}

impl ToSchema for Dialect {}
