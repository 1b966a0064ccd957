//! A route's source: which messages it takes.
//!
//! Every message has a path, `/messages/modules/{module}/outputs/{output}` and beginnings of it, or `/twinChangeNotifications`.
//! A source selects each path that begins with its own levels, in any case. `*` means something only at the end, where it says
//! what is so without it.
//!
//! # Source
//! IoT Edge 1.5, which cuts every `*` and `/` off the end of the text before it compares: `/messages/modules/m*` is `…/m`.

use edge_protocol::identity::ModuleName;
use edge_protocol::message::Message;
use edge_protocol::system_properties::SystemProperty;

const TWIN_CHANGES: &str = "twinChangeNotifications";

/// A compiled source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    levels: Vec<String>,
    /// Was a `*` cut off the end of a name?
    cut_name: bool,
}

impl Source {
    /// Compiles a source that the parser has read: `/` and a name, once or more.
    pub(crate) fn new(path: &str) -> Self {
        let kept = path.trim_end_matches(['*', '/']);
        let cut_name = path.get(kept.len()..).is_some_and(|cut| cut.starts_with('*'));
        Self { levels: kept.split('/').skip(1).map(str::to_owned).collect(), cut_name }
    }

    pub(crate) fn selects(&self, message: &Message) -> bool {
        let mut path = levels_of(message);
        self.levels.iter().all(|level| path.next().is_some_and(|name| same(level, name)))
    }

    /// The one module from which it takes messages.
    pub(crate) fn module(&self) -> Option<&str> {
        match self.levels.as_slice() {
            [messages, modules, module, ..] if same(messages, "messages") && same(modules, "modules") => Some(module),
            _ => None,
        }
    }

    /// What its author probably did not mean.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        if self.levels.iter().any(|level| level.contains('*')) {
            return Some("its source selects no message: * means something only at the end");
        }
        let mut levels = self.levels.iter().map(String::as_str);
        let selects_something = match levels.next() {
            None => true,
            Some(first) if same(first, TWIN_CHANGES) => levels.next().is_none(),
            Some(first) if same(first, "messages") => {
                levels.next().is_none_or(|level| same(level, "modules"))
                    && levels.nth(1).is_none_or(|level| same(level, "outputs"))
            }
            Some(_) => false,
        };
        if !selects_something {
            return Some(
                "its source selects no message: there are /*, /messages/*, /messages/modules/M/* and /messages/modules/M/outputs/O",
            );
        }
        self.cut_name
            .then_some("the * at the end of its source is ignored, as IoT Edge does: only the name before it is selected")
    }
}

/// The levels of a message's path.
fn levels_of(message: &Message) -> impl Iterator<Item = &str> {
    let is_twin_change = message.system.get(SystemProperty::MessageType) == Some("twinChangeNotification");
    let module = message.from.module.as_ref().map(ModuleName::as_str).filter(|_| !is_twin_change);
    let output = message.output.as_deref().filter(|_| module.is_some());
    let first = if is_twin_change { TWIN_CHANGES } else { "messages" };
    [Some(first), module.map(|_| "modules"), module, output.map(|_| "outputs")]
        .into_iter()
        .flatten()
        // An output with a slash in its name counts as two levels, as it would in the text of the path.
        .chain(output.into_iter().flat_map(|output| output.split('/')))
}

/// Equal but for case. Names are ASCII almost always, so the slow way is rarely taken.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!a.is_ascii() && !b.is_ascii() && a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, output: Option<&str>) -> Message {
        Message {
            from: from.parse().unwrap(),
            output: output.map(str::to_owned),
            system: edge_protocol::system_properties::SystemProperties::new(),
            properties: Vec::new(),
            body: Vec::new().into(),
        }
    }

    fn twin_change() -> Message {
        let mut message = message("edge/m", Some("o"));
        message.system.set(SystemProperty::MessageType, "twinChangeNotification");
        message
    }

    #[test]
    fn each_source_selects_its_messages() {
        let device = message("leaf", Some("ignored"));
        let module = message("edge/Filter", None);
        let output = message("edge/Filter", Some("Alerts"));
        let twin = twin_change();
        // Which of device, module, module with output, twin change?
        for (path, expected) in [
            ("/*", [true, true, true, true]),
            ("/messages", [true, true, true, false]),
            ("/messages/*", [true, true, true, false]),
            ("/MESSAGES/*", [true, true, true, false]),
            ("/messages/modules", [false, true, true, false]),
            ("/messages/modules/*", [false, true, true, false]),
            ("/messages/modules/filter", [false, true, true, false]),
            ("/messages/modules/FILTER/*", [false, true, true, false]),
            ("/messages/modules/Filter/outputs/*", [false, false, true, false]),
            ("/messages/modules/Filter/outputs/alerts", [false, false, true, false]),
            ("/messages/modules/Filter/outputs/alerts/*", [false, false, true, false]),
            ("/messages/modules/Filter/outputs/alert", [false; 4]),
            ("/messages/modules/Filt", [false; 4]),
            ("/messages/modules/Filt*", [false; 4]),
            ("/messages/modules/Filter*", [false, true, true, false]),
            ("/messages/modules/*/outputs/*", [false; 4]),
            ("/*/modules", [false; 4]),
            ("/message", [false; 4]),
            ("/messages/events", [false; 4]),
            ("/twinChangeNotifications", [false, false, false, true]),
            ("/twinchangenotifications/*", [false, false, false, true]),
        ] {
            let source = Source::new(path);
            let selected = [&device, &module, &output, &twin].map(|message| source.selects(message));
            assert_eq!(selected, expected, "{path}");
            // Whatever selects nothing is doubted, unless only this name is not there.
            if !selected.contains(&true) && !path.contains("/Filt") {
                assert!(source.doubt().is_some(), "{path}");
            }
        }
    }

    #[test]
    fn an_output_with_a_slash_counts_as_two_levels() {
        let message = message("edge/m", Some("a/B"));
        assert!(Source::new("/messages/modules/m/outputs/a/*").selects(&message));
        assert!(Source::new("/messages/modules/m/outputs/a/b").selects(&message));
        assert!(!Source::new("/messages/modules/m/outputs/b").selects(&message));
    }

    #[test]
    fn case_does_not_matter_in_any_script() {
        assert!(Source::new("/messages/modules/m/outputs/ÜBER").selects(&message("edge/m", Some("über"))));
    }

    #[test]
    fn sources_that_say_what_they_mean_are_not_doubted() {
        for path in [
            "/*",
            "/messages/*",
            "/messages/modules/*",
            "/messages/modules/m/*",
            "/messages/modules/m/outputs/o",
            "/twinChangeNotifications",
        ] {
            assert_eq!(Source::new(path).doubt(), None, "{path}");
        }
        for path in ["/messages/modules/m*", "/messages/modules/m/inputs/i", "/twinChangeNotifications/x", "/devices/*"] {
            assert!(Source::new(path).doubt().is_some(), "{path}");
        }
        assert_eq!(Source::new("/messages/modules/m/outputs/o").module(), Some("m"));
        assert_eq!(Source::new("/messages/modules/*").module(), None);
    }
}
