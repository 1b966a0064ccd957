//! Gives every part of a condition its kind, and refuses what does not fit together. All of a condition's problems are found, except
//! those that only follow from others.

use super::function::{FUNCTIONS, Function, TWIN_CHANGE_INCLUDES};
use super::node::{Comparison, Link, Node, Otherwise};
use super::syntax::{BinaryOperator, ChainOperator, Expression, ExpressionKind, UnaryOperator};
use super::value::{Type, Value};
use super::{number, text};
use crate::body::{BodyPath, PathProblem, Paths};
use crate::cursor::Misfit;
use crate::error::{Advice, MAX_PROBLEMS_PER_ROUTE, Problem, quoted};
use crate::subject::SystemName;
use crate::suggest::nearest;

const BODY_PREFIX: &str = "$body.";

/// Checks conditions, and collects what they ask of the body.
pub(crate) struct Checker<'p> {
    paths: &'p mut Paths,
    /// May the condition see changes of twins?
    twin_changes: bool,
    problems: Vec<Misfit>,
}

/// A checked part and its kind; `None`: it has a problem, which is reported.
type Checked = Option<(Node, Type)>;

/// Checks one condition.
pub(crate) fn check(expression: &Expression<'_>, paths: &mut Paths, twin_changes: bool) -> Result<(Node, Type), Vec<Misfit>> {
    let mut checker = Checker { paths, twin_changes, problems: Vec::new() };
    match checker.expression(expression) {
        Some(result) if checker.problems.is_empty() => Ok(result),
        _ => Err(checker.problems),
    }
}

impl Checker<'_> {
    fn refuse(&mut self, problem: Problem, offset: usize) -> Checked {
        if self.problems.len() < MAX_PROBLEMS_PER_ROUTE {
            self.problems.push((problem, offset));
        }
        None
    }

    fn expression(&mut self, expression: &Expression<'_>) -> Checked {
        let offset = expression.offset;
        match &expression.kind {
            ExpressionKind::Empty | ExpressionKind::Undefined => Some(constant(Value::Undefined, Type::Undefined)),
            ExpressionKind::Null => Some(constant(Value::Null, Type::Null)),
            ExpressionKind::Bool(value) => Some(constant(Value::Bool(*value), Type::Bool)),
            ExpressionKind::Number(text) => match number::literal(text) {
                Some(number) => Some(constant(Value::Number(number), Type::Number)),
                None => self.refuse(Problem::Number { found: quoted(text) }, offset),
            },
            ExpressionKind::String(literal) => Some(constant(Value::Text(text::unescape(literal).into()), Type::Text)),
            ExpressionKind::Property(name) => Some((Node::Application((*name).to_owned()), Type::Text)),
            ExpressionKind::System(name) => self.named(name, offset),
            ExpressionKind::EscapedSystem(name) => {
                let (otherwise, type_) = self.otherwise(name, offset)?;
                Some((otherwise.map_or(Node::Constant(Value::Undefined), Node::Escaped), type_))
            }
            ExpressionKind::Unary(operator, operand) => self.unary(*operator, operand, offset),
            ExpressionKind::Binary(operator, operands) => self.binary(*operator, operands, offset),
            ExpressionKind::Chain(operator, operands) => self.chain(*operator, operands),
            ExpressionKind::Call(name, arguments) => self.call(name, arguments, offset),
        }
    }

    /// `$name`
    fn named(&mut self, name: &str, offset: usize) -> Checked {
        let (otherwise, type_) = self.otherwise(name, offset)?;
        Some(match otherwise {
            None => (Node::Constant(Value::Undefined), type_),
            // No name of a property has brackets.
            Some(otherwise) if name.contains(['[', ']']) => (Node::Escaped(otherwise), type_),
            Some(otherwise) => (Node::Named { application: name.to_owned(), otherwise }, type_),
        })
    }

    /// What `$name` means as a place in the body or a system property; neither has brackets and no path.
    fn otherwise(&mut self, name: &str, offset: usize) -> Option<(Option<Otherwise>, Type)> {
        let path = name.get(..BODY_PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(BODY_PREFIX));
        if path.is_some() {
            let path = BodyPath::parse(name.get(BODY_PREFIX.len()..).unwrap_or_default());
            return Some((Some(Otherwise::Body(self.path(path, name, offset)?)), Type::Body));
        }
        if name.contains(['[', ']']) {
            return Some((None, Type::Undefined));
        }
        let name = SystemName::new(name.get(1..).unwrap_or_default());
        Some((Some(Otherwise::System(name)), Type::Text))
    }

    fn path(&mut self, path: Result<BodyPath, PathProblem>, text: &str, offset: usize) -> Option<usize> {
        let problem = match path {
            Ok(path) => match self.paths.number(&path) {
                Some(number) => return Some(number),
                None => Problem::TooManyPaths,
            },
            Err(problem) => Problem::Path { path: quoted(text), problem },
        };
        self.refuse(problem, offset);
        None
    }

    fn unary(&mut self, operator: UnaryOperator, operand: &Expression<'_>, offset: usize) -> Checked {
        let (node, type_) = self.expression(operand)?;
        match (operator, type_) {
            (UnaryOperator::Not, Type::Null) => Some(constant(Value::Bool(true), Type::Bool)),
            (UnaryOperator::Not, Type::Bool | Type::Body) => Some((Node::Not(Box::new(node)), Type::Bool)),
            (UnaryOperator::Negate, Type::Number | Type::Body) => Some((Node::Negate(Box::new(node)), Type::Number)),
            (UnaryOperator::Not, _) => self.refuse_operands("NOT", "bool", &[type_], offset),
            (UnaryOperator::Negate, _) => self.refuse_operands("-", "number", &[type_], offset),
        }
    }

    fn refuse_operands(&mut self, operator: &'static str, expected: &'static str, found: &[Type], offset: usize) -> Checked {
        let is_text = found.contains(&Type::Text);
        let advice = match operator {
            "NOT" if is_text => Some(Advice::Parentheses),
            _ if is_text && (found.contains(&Type::Number) || expected.starts_with("number")) => Some(Advice::AsNumber),
            _ => None,
        };
        self.refuse(Problem::Operands { operator, expected, found: names(found, " and "), advice }, offset)
    }

    fn binary(&mut self, operator: BinaryOperator, operands: &[Expression<'_>; 2], offset: usize) -> Checked {
        let [left, right] = operands.each_ref().map(|operand| self.expression(operand));
        let ((left, left_type), (right, right_type)) = (left?, right?);
        let any = left_type == Type::Body || right_type == Type::Body;
        let both = |wanted: Type| [left_type, right_type].iter().all(|given| *given == wanted || *given == Type::Body);
        let comparable = left_type == right_type || (any && left_type != Type::Undefined && right_type != Type::Undefined);
        let nodes = [left, right];
        let (fits, expected) = match operator {
            BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Remainder
            | BinaryOperator::Add
            | BinaryOperator::Subtract => (both(Type::Number), "number and number"),
            BinaryOperator::Concatenate => (both(Type::Text), "string and string"),
            _ => (comparable, "two of the same kind"),
        };
        if !fits {
            return self.refuse_operands(operator.text(), expected, &[left_type, right_type], offset);
        }
        Some(match operator {
            BinaryOperator::Concatenate => (Node::concat(nodes), Type::Text),
            BinaryOperator::Coalesce => (Node::Coalesce(Box::new(nodes)), if any { Type::Body } else { left_type }),
            _ if expected == "number and number" => {
                (Node::Arithmetic(operator, Box::new(nodes)), if any { Type::Body } else { Type::Number })
            }
            _ => (Node::Compare(Box::new(Comparison { operator, any, operands: nodes })), Type::Bool),
        })
    }

    fn chain(&mut self, operator: ChainOperator, operands: &[Expression<'_>]) -> Checked {
        let mut result: Option<Type> = None;
        let mut links: Vec<Link> = Vec::with_capacity(operands.len());
        for operand in operands {
            let Some((node, type_)) = self.expression(operand) else {
                // It could have been of the body.
                result = result.or(Some(Type::Body));
                continue;
            };
            let yes_or_no = matches!(type_, Type::Bool | Type::Null | Type::Undefined | Type::Body);
            // On the right of a value of the body IoT Edge takes anything.
            if !yes_or_no && result != Some(Type::Body) {
                self.refuse_operands(operator.text(), "bool on either side", &[type_], operand.offset);
                result = result.or(Some(Type::Bool));
                continue;
            }
            let both = type_ == Type::Body || result == Some(Type::Body);
            links.push(Link { node, both, decided: !both && type_ != Type::Null });
            result = Some(match (result, type_) {
                (None, first) => first,
                (Some(Type::Null), Type::Null) => Type::Null,
                (Some(Type::Null), _) | (_, Type::Null) if operator == ChainOperator::And && !both => Type::Null,
                _ => Type::Bool,
            });
        }
        let is_whole = links.len() == operands.len();
        result.filter(|_| is_whole).map(|type_| (Node::Chain(operator, links), type_))
    }

    fn call(&mut self, name: &str, arguments: &[Expression<'_>], offset: usize) -> Checked {
        if name.eq_ignore_ascii_case(TWIN_CHANGE_INCLUDES) {
            return self.twin_change_includes(arguments, offset);
        }
        let Some(function) = Function::by_name(name) else {
            // Looking for what was meant is work, and nobody would be told.
            if self.problems.len() >= MAX_PROBLEMS_PER_ROUTE {
                return None;
            }
            let names: Vec<&'static str> = FUNCTIONS.iter().map(|function| function.name).chain([TWIN_CHANGE_INCLUDES]).collect();
            return self.refuse(Problem::UnknownFunction { found: quoted(name), did_you_mean: nearest(name, &names) }, offset);
        };
        let checked: Vec<Checked> = arguments.iter().map(|argument| self.expression(argument)).collect();
        let (nodes, types): (Vec<Node>, Vec<Type>) = checked.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        if !function.accepts(&types) {
            let problem = Problem::Arguments {
                function: function.name,
                expected: function.takes,
                found: format!("({})", names(&types, ", ")),
                advice: (function.takes == "(number)" && types == [Type::Text]).then_some(Advice::AsNumber),
            };
            return self.refuse(problem, offset);
        }
        let node = if function.is_concat() { Node::concat(nodes) } else { Node::Call(function, nodes) };
        Some((node, function.gives()))
    }

    fn twin_change_includes(&mut self, arguments: &[Expression<'_>], offset: usize) -> Checked {
        if !self.twin_changes {
            return self.refuse(Problem::NoTwinChanges, offset);
        }
        let (path, text) = match arguments {
            [Expression { kind: ExpressionKind::Property(path), .. }] => (BodyPath::parse_twin(path), *path),
            _ => (Err(PathProblem::NoPath), ""),
        };
        Some((Node::Includes(self.path(path, text, offset)?), Type::Bool))
    }
}

fn constant(value: Value<'static>, type_: Type) -> (Node, Type) {
    (Node::Constant(value), type_)
}

/// Long lists are cut.
fn names(types: &[Type], separator: &str) -> String {
    const MAX_NAMES: usize = 8;
    let names: Vec<&str> = types.iter().take(MAX_NAMES).map(|type_| type_.name()).collect();
    format!("{}{}", names.join(separator), if types.len() > MAX_NAMES { ", …" } else { "" })
}
