//! Paths into bodies and twins.

use edge_routing::BodyPath;

use crate::record::{Error, Record, Records};
use crate::report::Outcome;

fn valid(is_valid: bool) -> &'static str {
    if is_valid { "valid" } else { "invalid" }
}

pub(super) fn body(record: &Record, _: &Records) -> Result<Outcome, Error> {
    Ok(Outcome::new(record.expected()?.clone(), valid(BodyPath::parse(record.text("path")?).is_ok())))
}

pub(super) fn twin(record: &Record, _: &Records) -> Result<Outcome, Error> {
    Ok(Outcome::new(record.expected()?.clone(), valid(BodyPath::parse_twin(record.text("path")?).is_ok())))
}
