//! Records whose result differs on purpose, and why. One that agrees after all is reported, so that this list stays true.
//! `docs/reference/compatibility.md` says the same by subject.

/// Why the record `id` may differ.
pub(crate) fn reason(id: &str) -> Option<&'static str> {
    DEVIATIONS.iter().find(|(known, _)| *known == id).map(|(_, reason)| *reason)
}

const DEVIATIONS: &[(&str, &str)] = &[
    ("queue_id_parse-002", "a priority is 0 to 9, so 1234 is no priority but a part of the name"),
    ("evaluate_routes-005", "a message comes from a device, a module or a twin; no message has any other source"),
    ("routing_scenario-021", NO_TWINS),
    ("routing_scenario-022", NO_TWINS),
];

const NO_TWINS: &str =
    "the hub does not keep twins yet, so nothing names the sender of a change; the destinations are those that are expected";
