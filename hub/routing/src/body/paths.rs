//! The tree of all paths that are asked for, and what one body has at their ends.

use std::borrow::Cow;

use edge_protocol::system_properties::SystemProperty;
use smallvec::SmallVec;

use super::path::{BodyPath, Step};
use super::read;
use crate::subject::{Property, Subject, SystemName};

/// Most places in the body that the conditions of one configuration may ask for: each costs 32 bytes while a message is judged.
pub(crate) const MAX_BODY_PATHS: usize = 1_000;

/// The place that is the whole body.
pub(super) const ROOT: usize = 0;

/// The paths. Each has a number, by which a [`FoundAll`] is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Paths {
    /// The first is the whole body; each comes after the one above it.
    nodes: Vec<Node>,
    count: usize,
}

/// A place in the body, on the way to others or asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    /// Its number, if it is asked for.
    pub(super) number: Option<usize>,
    /// What is asked for below it, if it is an object; sorted by name. The numbers are places in [`Paths::nodes`].
    members: Vec<(String, usize)>,
    /// What is asked for below it, if it is an array; sorted.
    elements: Vec<(u32, usize)>,
}

/// What is at the end of one path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Found<'b> {
    #[default]
    Nothing,
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'b, str>),
    /// A text that looks like a date.
    Date,
    /// An object or an array.
    Composite,
}

/// What is at the ends of all paths; `None`: the body cannot be read.
pub(crate) struct FoundAll<'b>(Option<Values<'b>>);

pub(super) type Values<'b> = SmallVec<[Found<'b>; 4]>;

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], count: 0 }
    }
}

impl Paths {
    /// The number of this path; a new one unless it was asked for before. `None`: there are [`MAX_BODY_PATHS`] others.
    pub(crate) fn number(&mut self, path: &BodyPath) -> Option<usize> {
        let known = self.known(path);
        if known.is_some() || self.count >= MAX_BODY_PATHS {
            return known;
        }
        let at = path.steps().iter().fold(ROOT, |at, step| self.below(at, step));
        let number = self.count;
        self.nodes.get_mut(at)?.number = Some(number);
        self.count += 1;
        Some(number)
    }

    fn known(&self, path: &BodyPath) -> Option<usize> {
        let mut node = self.nodes.first()?;
        for step in path.steps() {
            let below = match step {
                Step::Member(name) => node.member(name),
                Step::Element(position) => node.element(*position),
            };
            node = self.nodes.get(below?)?;
        }
        node.number
    }

    /// The place one step down; it is made if it is not there.
    fn below(&mut self, at: usize, step: &Step) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return 0 };
        let known = match step {
            Step::Member(name) => match node.members.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
                Ok(index) => node.members.get(index).map(|(_, below)| *below),
                Err(index) => {
                    node.members.insert(index, (name.clone(), new));
                    None
                }
            },
            Step::Element(position) => match node.elements.binary_search_by_key(position, |(known, _)| *known) {
                Ok(index) => node.elements.get(index).map(|(_, below)| *below),
                Err(index) => {
                    node.elements.insert(index, (*position, new));
                    None
                }
            },
        };
        known.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            new
        })
    }

    /// Nothing, for each path.
    pub(super) fn nothing<'b>(&self) -> Values<'b> {
        let mut values = Values::new();
        values.resize(self.count, Found::Nothing);
        values
    }

    /// How many places are asked for or on the way to one, the whole body included.
    pub(super) const fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)
    }

    /// Reads the body of a message.
    pub(crate) fn find<'b>(&self, subject: &'b impl Subject) -> FoundAll<'b> {
        let property = |property| subject.system_property(&SystemName::Known(property));
        let encoding =
            read::encoding(text(property(SystemProperty::ContentType)), text(property(SystemProperty::ContentEncoding)));
        FoundAll(encoding.and_then(|encoding| read::read(self, encoding, subject.body())))
    }
}

fn text(property: Property<'_>) -> Option<&str> {
    match property {
        Property::Text(text) => Some(text),
        Property::Missing | Property::Empty => None,
    }
}

impl Node {
    pub(super) fn member(&self, name: &str) -> Option<usize> {
        let index = self.members.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.members.get(index).map(|(_, below)| *below)
    }

    pub(super) fn element(&self, position: u32) -> Option<usize> {
        let index = self.elements.binary_search_by_key(&position, |(known, _)| *known).ok()?;
        self.elements.get(index).map(|(_, below)| *below)
    }

    /// Everything below it.
    pub(super) fn below(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|(_, below)| *below).chain(self.elements.iter().map(|(_, below)| *below))
    }
}

impl<'b> FoundAll<'b> {
    /// `None`: the body cannot be read.
    pub(crate) fn get(&self, number: usize) -> Option<&Found<'b>> {
        self.0.as_ref()?.get(number)
    }
}
