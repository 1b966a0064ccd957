//! What a subscription asks for.
//!
//! Deliveries go by identity: a filter only says which of a module's own inputs it reads, so a filter for somebody else's
//! topics, however it is written, selects nothing.
//!
//! # Source
//! IoT Edge 1.5 grants every filter and ignores those that it does not know. It takes `devices/…/modules/…/#` and
//! `…/inputs/#`; here a filter for one input works as well, and a filter for another identity does not.

use crate::configuration::STATUS_TOPIC;
use crate::identity::{EDGE_AGENT, Identity, ModuleName};

/// A subscription's filter, as the hub understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Messages for inputs of the subscribing module.
    Inputs(InputFilter),
    /// The hub's own state; only for the controller.
    Status,
    /// Known to SDKs, and without effect in this version.
    KnownLater(Later),
    /// Granted and without effect.
    Unknown,
}

/// Which inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFilter {
    /// Every input of the module.
    Every,
    /// One input.
    One(String),
}

/// Features of IoT Hub that a filter may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// `$iothub/methods/POST/…`
    Methods,
    /// `$iothub/twin/PATCH/properties/desired/…`
    DesiredProperties,
    /// `$iothub/twin/res/#`
    TwinResponses,
    /// `…messages/devicebound/#`
    CloudToDevice,
}

impl InputFilter {
    /// Are messages for `input` asked for?
    pub fn selects(&self, input: &str) -> bool {
        match self {
            Self::Every => true,
            Self::One(name) => name == input,
        }
    }
}

impl Filter {
    /// Sorts a legal filter of the client `identity`.
    pub fn classify(filter: &str, identity: &Identity) -> Self {
        if filter == STATUS_TOPIC {
            let agent = identity.module.as_ref().is_some_and(|module| module.as_str() == EDGE_AGENT);
            return if agent { Self::Status } else { Self::Unknown };
        }
        if filter.starts_with("$iothub/methods/POST/") {
            return Self::KnownLater(Later::Methods);
        }
        if filter.starts_with("$iothub/twin/PATCH/properties/desired/") {
            return Self::KnownLater(Later::DesiredProperties);
        }
        if filter == "$iothub/twin/res/#" {
            return Self::KnownLater(Later::TwinResponses);
        }
        if filter.ends_with("messages/devicebound/#") {
            return Self::KnownLater(Later::CloudToDevice);
        }
        match &identity.module {
            Some(module) => inputs(filter, identity.device.as_str(), module).map_or(Self::Unknown, Self::Inputs),
            None => Self::Unknown,
        }
    }
}

/// Can the filter select `devices/{device}/modules/{module}/inputs/{input}/{properties}`, and for which inputs?
fn inputs(filter: &str, device: &str, module: &ModuleName) -> Option<InputFilter> {
    let mut levels = filter.split('/');
    // The two ids may be wildcards, the words around them not: `#` alone asks for user topics, which are another matter.
    for (expected, is_id) in [("devices", false), (device, true), ("modules", false), (module.as_str(), true)] {
        let level = levels.next()?;
        if level != expected && !(is_id && level == "+") {
            return None;
        }
    }
    match levels.next()? {
        "#" => return Some(InputFilter::Every),
        "inputs" | "+" => {}
        _ => return None,
    }
    let selected = match levels.next()? {
        "#" => return Some(InputFilter::Every),
        "+" => InputFilter::Every,
        name => InputFilter::One(name.to_owned()),
    };
    // Every delivery has one more level, its properties, and no other; a filter without it, with more, or for certain properties never
    // selects one. A `#` selects the level before it, too.
    matches!((levels.next()?, levels.next()), ("#", _) | ("+", None | Some("#"))).then_some(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(filter: &str) -> Filter {
        Filter::classify(filter, &"edge/reader".parse().unwrap())
    }

    #[test]
    fn every_form_in_which_sdks_ask_for_inputs_is_understood() {
        for filter in [
            "devices/edge/modules/reader/inputs/#",
            "devices/edge/modules/reader/#",
            "devices/+/modules/+/inputs/#",
            "devices/edge/modules/reader/inputs/+/#",
            "devices/edge/modules/reader/inputs/+/+",
            "devices/edge/modules/reader/inputs/+/+/#",
            "devices/edge/modules/reader/+/#",
        ] {
            assert_eq!(classify(filter), Filter::Inputs(InputFilter::Every), "{filter}");
        }
        let one = InputFilter::One("in".into());
        assert!(one.selects("in") && !one.selects("In"));
        assert_eq!(classify("devices/edge/modules/reader/inputs/in/#"), Filter::Inputs(one.clone()));
        assert_eq!(classify("devices/edge/modules/reader/inputs/in/+"), Filter::Inputs(one));
    }

    #[test]
    fn filters_that_could_never_select_an_own_input_are_unknown() {
        for filter in [
            "devices/edge/modules/other/inputs/#",
            "devices/edge2/modules/reader/inputs/#",
            "devices/edge/modules/reader/inputs/in",
            "devices/edge/modules/reader/inputs/in/a=1",
            "devices/edge/modules/reader/inputs/in/+/+",
            "devices/edge/modules/reader/outputs/#",
            "devices/edge/modules/#",
            "/devices/edge/modules/reader/#",
            "devices/edge/modules/reader",
            "#",
            "+/+/+/+/+/+/+",
            "$edgehub/status",
            "something/else",
        ] {
            assert_eq!(classify(filter), Filter::Unknown, "{filter}");
        }
        assert_eq!(Filter::classify("devices/edge/modules/reader/#", &"edge".parse().unwrap()), Filter::Unknown);
    }

    #[test]
    fn only_the_agent_reads_the_status() {
        assert_eq!(Filter::classify("$edgehub/status", &"edge/$edgeAgent".parse().unwrap()), Filter::Status);
        assert_eq!(Filter::classify("$edgehub/status", &"edge".parse().unwrap()), Filter::Unknown);
    }

    #[test]
    fn what_comes_later_is_told_apart() {
        for (filter, later) in [
            ("$iothub/methods/POST/#", Later::Methods),
            ("$iothub/twin/PATCH/properties/desired/#", Later::DesiredProperties),
            ("$iothub/twin/res/#", Later::TwinResponses),
            ("devices/edge/messages/devicebound/#", Later::CloudToDevice),
        ] {
            assert_eq!(classify(filter), Filter::KnownLater(later), "{filter}");
        }
        assert_eq!(classify("x/$iothub/methods/POST/#"), Filter::Unknown);
    }
}
