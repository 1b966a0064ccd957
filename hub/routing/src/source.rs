//! A route's source: which messages it takes.
//!
//! Every message has a path, `/messages/modules/{module}/outputs/{output}` and beginnings of it, or `/twinChangeNotifications`.
//! A source selects each path that begins with its own levels, in any case. `*` means something only at the end, where it says
//! what is so without it.
//!
//! # Source
//! IoT Edge 1.5, which cuts every `*` and `/` off the end of the text before it compares: `/messages/modules/m*` is `…/m`.

use std::fmt;

use edge_protocol::identity::ModuleName;
use edge_protocol::message::Message;
use edge_protocol::system_properties::SystemProperty;

use crate::subject::same;

const TWIN_CHANGES: &str = "twinChangeNotifications";
/// The message type of a change of a twin.
const TWIN_CHANGE_TYPE: &str = "twinChangeNotification";

/// A compiled source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    reach: Reach,
    /// Was a `*` cut off the end of a name?
    cut_name: bool,
    /// Is there a `*` before the end?
    inner_star: bool,
}

/// What a source selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Everything,
    TwinChanges,
    /// Of devices and modules.
    Telemetry,
    /// Of any module.
    Modules,
    /// Of one.
    Module(String, Outputs),
    Nothing,
}

/// Which outputs of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// Any, and none.
    All,
    /// Any, but none is not enough.
    Named,
    /// This one. With a slash in it, it is several levels.
    One(String),
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageSource<'m> {
    /// The hub itself: a twin has changed.
    TwinChange,
    /// A leaf device.
    Device,
    /// A module.
    Module {
        /// Its name.
        module: &'m str,
        /// The output that it sent to.
        output: Option<&'m str>,
    },
}

impl<'m> MessageSource<'m> {
    /// Where this message comes from.
    pub fn of(message: &'m Message) -> Self {
        if message.system.get(SystemProperty::MessageType) == Some(TWIN_CHANGE_TYPE) {
            return Self::TwinChange;
        }
        match &message.from.module {
            Some(module) => Self::Module { module: ModuleName::as_str(module), output: message.output.as_deref() },
            None => Self::Device,
        }
    }

    /// Is it something that a client sent?
    pub const fn is_telemetry(&self) -> bool {
        !matches!(self, Self::TwinChange)
    }
}

/// The path, with a slash at both ends.
impl fmt::Display for MessageSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwinChange => write!(f, "/{TWIN_CHANGES}/"),
            Self::Device => f.write_str("/messages/"),
            Self::Module { module, output: None } => write!(f, "/messages/modules/{module}/"),
            Self::Module { module, output: Some(output) } => write!(f, "/messages/modules/{module}/outputs/{output}/"),
        }
    }
}

impl Source {
    /// Compiles a source that the parser has read: `/` and a name, once or more.
    pub fn new(path: &str) -> Self {
        let kept = path.trim_end_matches(['*', '/']);
        let cut_name = path.get(kept.len()..).is_some_and(|cut| cut.starts_with('*')) && !kept.is_empty();
        let levels: Vec<&str> = kept.split('/').skip(1).collect();
        Self { reach: Reach::of(&levels), cut_name, inner_star: kept.contains('*') }
    }

    pub(crate) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Does it select a message from there?
    pub fn selects(&self, source: &MessageSource<'_>) -> bool {
        match (&self.reach, source) {
            (Reach::Everything, _)
            | (Reach::TwinChanges, MessageSource::TwinChange)
            | (Reach::Telemetry, MessageSource::Device | MessageSource::Module { .. })
            | (Reach::Modules, MessageSource::Module { .. }) => true,
            (Reach::Module(wanted, outputs), MessageSource::Module { module, output }) => {
                same(wanted, module) && outputs.select(*output)
            }
            _ => false,
        }
    }

    /// The one module from which it takes messages.
    pub(crate) fn module(&self) -> Option<&str> {
        match &self.reach {
            Reach::Module(module, _) => Some(module),
            _ => None,
        }
    }

    /// What its author probably did not mean.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        if self.inner_star {
            return Some("its source selects no message: * means something only at the end");
        }
        if self.reach == Reach::Nothing {
            return Some(
                "its source selects no message: there are /*, /messages/*, /messages/modules/M/* and /messages/modules/M/outputs/O",
            );
        }
        self.cut_name
            .then_some("the * at the end of its source is ignored, as IoT Edge does: only the name before it is selected")
    }
}

impl Reach {
    fn of(levels: &[&str]) -> Self {
        let (first, rest) = match levels {
            [] => return Self::Everything,
            [first, rest @ ..] => (*first, rest),
        };
        if same(first, TWIN_CHANGES) && rest.is_empty() {
            return Self::TwinChanges;
        }
        match rest {
            _ if !same(first, "messages") => Self::Nothing,
            [] => Self::Telemetry,
            [modules, ..] if !same(modules, "modules") => Self::Nothing,
            [_] => Self::Modules,
            [_, module] => Self::Module((*module).to_owned(), Outputs::All),
            [_, _, outputs, ..] if !same(outputs, "outputs") => Self::Nothing,
            [_, module, _] => Self::Module((*module).to_owned(), Outputs::Named),
            [_, module, _, output @ ..] => Self::Module((*module).to_owned(), Outputs::One(output.join("/"))),
        }
    }
}

impl Outputs {
    pub(crate) fn select(&self, output: Option<&str>) -> bool {
        match (self, output) {
            (Self::All, _) | (Self::Named, Some(_)) => true,
            (Self::One(wanted), Some(output)) => {
                // An output with a slash in its name counts as several levels, as it would in the text of the path.
                same(wanted, output) || (output.contains('/') && begins_with(output, wanted))
            }
            (_, None) => false,
        }
    }
}

/// Does the path begin with these levels?
fn begins_with(path: &str, levels: &str) -> bool {
    let mut path = path.split('/');
    levels.split('/').all(|level| path.next().is_some_and(|name| same(level, name)))
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
            let selected = [&device, &module, &output, &twin].map(|message| source.selects(&MessageSource::of(message)));
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
        assert!(Source::new("/messages/modules/m/outputs/a/*").selects(&MessageSource::of(&message)));
        assert!(Source::new("/messages/modules/m/outputs/a/b").selects(&MessageSource::of(&message)));
        assert!(!Source::new("/messages/modules/m/outputs/b").selects(&MessageSource::of(&message)));
    }

    #[test]
    fn case_does_not_matter_in_any_script() {
        assert!(Source::new("/messages/modules/m/outputs/ÜBER").selects(&MessageSource::of(&message("edge/m", Some("über")))));
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
