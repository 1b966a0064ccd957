//! Records whose result differs on purpose, how, and why. One that agrees after all, differs in another way or is not there any more is
//! reported, so that this list stays true and hides nothing else. `docs/reference/compatibility.md` says the same by subject.

/// One of them.
pub(crate) struct Deviation {
    pub(crate) id: &'static str,
    /// What the hub's library gives, as JSON.
    pub(crate) got: &'static str,
    pub(crate) reason: &'static str,
}

/// What is known of the record `id`.
pub(crate) fn of(id: &str) -> Option<&'static Deviation> {
    DEVIATIONS.iter().find(|known| known.id == id)
}

pub(crate) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        id: "queue_id_parse-002",
        got: r#"{"endpoint":"7b0e1c1e-0000-4000-8000-000000000001_Pri1234","priority":2000000000}"#,
        reason: "a priority is 0 to 9, so 1234 is no priority but a part of the name",
    },
    Deviation {
        id: "evaluate_routes-005",
        got: r#""no message has this source""#,
        reason: "a message comes from a device, a module or a twin; no message has any other source",
    },
    Deviation { id: "routing_scenario-021", got: r#"{"destinations":["mod1/in1"]}"#, reason: NO_TWINS },
    Deviation { id: "routing_scenario-022", got: r#"{"destinations":["mod1/in1"]}"#, reason: NO_TWINS },
];

const NO_TWINS: &str =
    "the hub does not keep twins yet, so nothing names the sender of a change; the destinations are those that are expected";
