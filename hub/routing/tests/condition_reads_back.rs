//! Whatever a condition's tree is, its text reads back as the same tree: written with all parentheses, and with those alone that
//! precedence leaves necessary.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_routing::read;
use edge_routing::syntax::{Expression, ExpressionKind};
use proptest::prelude::*;
use support::Tree;

/// The tree that was read, in the form of those that tests make up.
fn tree(expression: &Expression<'_>) -> Tree {
    match &expression.kind {
        ExpressionKind::Unary(operator, operand) => Tree::prefix(operator.text(), tree(operand)),
        ExpressionKind::Binary(operator, operands) => Tree::infix(operator.text(), tree(&operands[0]), tree(&operands[1])),
        ExpressionKind::Chain(operator, operands) => {
            operands.iter().map(tree).reduce(|left, right| Tree::infix(operator.text(), left, right)).unwrap()
        }
        ExpressionKind::Call("f", arguments) => Tree::Call("f", arguments.iter().map(tree).collect()),
        ExpressionKind::Call("length", arguments) => Tree::Call("length", arguments.iter().map(tree).collect()),
        _ => Tree::Leaf(expression.to_string()),
    }
}

fn leaf() -> impl Strategy<Value = Tree> {
    let written = prop::sample::select(vec![
        "true",
        "false",
        "null",
        "undefined",
        "7",
        "-7",
        "0x1F",
        ".5e-3",
        "'text'",
        "\"it's\"",
        r"'\u00e9\''",
        "name",
        "a-b.c",
        "*x",
        "TRUE",
        "'x'y",
        "$name",
        "$body.a[0].b",
        "{$name}",
        "{$body.a}",
    ]);
    written.prop_map(Tree::leaf)
}

fn any_tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(6, 60, 3, |inner| {
        let operators = prop::sample::select(vec![
            "*", "/", "%", "+", "-", "||", "<", "<=", ">", ">=", "=", "!=", "AND", "AND", "OR", "OR", "??",
        ]);
        prop_oneof![
            (prop::sample::select(vec!["-", "NOT"]), inner.clone())
                .prop_map(|(operator, operand)| Tree::prefix(operator, operand)),
            (operators, inner.clone(), inner.clone()).prop_map(|(operator, left, right)| Tree::infix(operator, left, right)),
            (prop::sample::select(vec!["f", "length"]), prop::collection::vec(inner, 0..4))
                .prop_map(|(name, arguments)| Tree::Call(name, arguments)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_tree(original in any_tree()) {
        let text = original.text();
        let (expression, rest) = read(&text).unwrap();
        prop_assert_eq!(rest, "");
        prop_assert_eq!(&tree(&expression), &original);

        let printed = expression.to_string();
        let (again, rest) = read(&printed).unwrap();
        prop_assert_eq!(rest, "");
        prop_assert_eq!(&tree(&again), &original, "{}", printed);
        prop_assert_eq!(again.to_string(), printed);
    }
}

#[test]
fn precedence_is_that_of_iot_edge() {
    for (text, expected) in [
        ("NOT a = 'x'", "((NOT a) = 'x')"),
        ("- 2 * 3", "((- 2) * 3)"),
        ("2 + 3 * 4 = 14", "((2 + (3 * 4)) = 14)"),
        ("a || b + c", "((a || b) + c)"),
        ("1 < 2 = true", "((1 < 2) = true)"),
        ("a = b = c", "((a = b) = c)"),
        ("a OR b AND c", "(a OR (b AND c))"),
        ("a AND b AND c", "((a AND b) AND c)"),
        ("a ?? b ?? c = 'x'", "((a ?? b) ?? (c = 'x'))"),
        ("a <> b", "(a != b)"),
        ("not not a", "(NOT (NOT a))"),
        ("5 - -3", "(5 - -3)"),
    ] {
        let (expression, rest) = read(text).unwrap();
        assert_eq!((tree(&expression).text().as_str(), rest), (expected, ""), "{text}");
    }
}

#[test]
fn where_an_expression_ends_the_rest_is_left() {
    for (text, printed, rest) in [
        ("5 -3 = 2", "5", "-3 = 2"),
        ("a = 'x' b = 'y'", "a = 'x'", "b = 'y'"),
        ("f(a)+1=2", "f(a)", "+1=2"),
        ("a ! = 'x'", "a", "! = 'x'"),
        ("a:b", "a", ":b"),
        ("a = 'x')", "a = 'x'", ")"),
        ("", "", ""),
    ] {
        let (expression, left) = read(text).unwrap();
        assert_eq!((expression.to_string().as_str(), left), (printed, rest), "{text}");
    }
}
