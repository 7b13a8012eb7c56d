//! Which variables a template cannot do without.
//!
//! minijinja can list all variables of a template, but not say which of them are guarded (`{% if x %}`, `x is defined`,
//! `x | default(…)`), so its syntax tree is walked here. The tree is of an interface that changes with any version of
//! minijinja, which is therefore pinned.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::machinery::ast::{BinOpKind, UnaryOpKind};
use minijinja::machinery::ast::{CallArg, Expr, Stmt};

use super::{Known, PromptError, said};

/// What templates have without being given it.
const GLOBALS: &[&str] =
    &["range", "dict", "debug", "namespace", "loop", "self", "super", "caller", "true", "false", "none"];

/// Tests whether something is there.
const DEFINED: &str = "defined";
const UNDEFINED: &str = "undefined";

/// Filters that make up for what is not there.
const DEFAULTS: &[&str] = &["default", "d"];

/// Whether the template `text` of `tool` does without variables that are not `known`.
pub(super) fn variables(tool: &Arc<str>, origin: &str, text: &str, known: &Known) -> Result<(), PromptError> {
    let syntax = |why: minijinja::Error| PromptError::Syntax {
        tool: tool.to_string(),
        origin: origin.to_owned(),
        why: said(&why),
    };
    let tree =
        minijinja::machinery::parse(text, "prompt", minijinja::syntax::SyntaxConfig::default()).map_err(syntax)?;
    let mut walk = Walk { known, names: vec![BTreeSet::new()], missing: None };
    walk.statement(&tree);
    match walk.missing {
        None => Ok(()),
        Some((variable, line)) => Err(PromptError::Unknown {
            tool: tool.to_string(),
            origin: origin.to_owned(),
            variable,
            line,
            known: known.said(),
        }),
    }
}

/// A walk through a template.
struct Walk<'a> {
    known: &'a Known,
    /// What is there besides: names that the template made, and paths that it has asked for. Innermost last.
    names: Vec<BTreeSet<String>>,
    /// The first that is missing.
    missing: Option<(String, u32)>,
}

impl<'a> Walk<'a> {
    fn statements(&mut self, statements: &[Stmt<'a>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// Walks through `inner` with more names.
    fn within(&mut self, names: BTreeSet<String>, inner: impl FnOnce(&mut Self)) {
        self.names.push(names);
        inner(self);
        self.names.pop();
    }

    fn statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                let mut names = BTreeSet::new();
                assigned(&each.target, &mut names);
                self.within(names, |walk| {
                    each.filter_expr.iter().for_each(|filter| walk.expression(filter));
                    walk.statements(&each.body);
                });
                self.statements(&each.else_body);
            }
            Stmt::IfCond(condition) => {
                self.condition(&condition.expr);
                self.within(guarded(&condition.expr, true), |walk| walk.statements(&condition.true_body));
                self.within(guarded(&condition.expr, false), |walk| walk.statements(&condition.false_body));
            }
            Stmt::WithBlock(with) => {
                let mut names = BTreeSet::new();
                for (target, value) in &with.assignments {
                    self.expression(value);
                    assigned(target, &mut names);
                }
                self.within(names, |walk| walk.statements(&with.body));
            }
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.assign(&set.target);
            }
            Stmt::SetBlock(set) => {
                self.within(BTreeSet::new(), |walk| walk.statements(&set.body));
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.assign(&set.target);
            }
            Stmt::AutoEscape(escape) => {
                self.expression(&escape.enabled);
                self.statements(&escape.body);
            }
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.statements(&filter.body);
            }
            Stmt::Do(call) => {
                self.expression(&call.call.expr);
                self.arguments(&call.call.args);
            }
        }
    }

    fn assign(&mut self, target: &Expr<'a>) {
        if let Some(names) = self.names.last_mut() {
            assigned(target, names);
        }
    }

    fn expression(&mut self, expression: &Expr<'a>) {
        if let Some(path) = path(expression) {
            self.needs(&path, expression);
            return;
        }
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|it| self.expression(it));
            }
            Expr::UnaryOp(operation) => match operation.op {
                UnaryOpKind::Not => self.condition(&operation.expr),
                UnaryOpKind::Neg => self.expression(&operation.expr),
            },
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::ScAnd => {
                    self.condition(&operation.left);
                    self.within(guarded(&operation.left, true), |walk| walk.expression(&operation.right));
                }
                BinOpKind::ScOr => {
                    self.condition(&operation.left);
                    self.within(guarded(&operation.left, false), |walk| walk.expression(&operation.right));
                }
                _ => {
                    self.expression(&operation.left);
                    self.expression(&operation.right);
                }
            },
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|operand| self.expression(&operand.expr));
            }
            Expr::IfExpr(choice) => {
                self.condition(&choice.test_expr);
                self.within(guarded(&choice.test_expr, true), |walk| walk.expression(&choice.true_expr));
                if let Some(otherwise) = &choice.false_expr {
                    self.within(guarded(&choice.test_expr, false), |walk| walk.expression(otherwise));
                }
            }
            Expr::Filter(filter) => {
                if let Some(inner) = &filter.expr {
                    if DEFAULTS.contains(&filter.name) { self.condition(inner) } else { self.expression(inner) }
                }
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                if [DEFINED, UNDEFINED].contains(&test.name) {
                    self.condition(&test.expr);
                } else {
                    self.expression(&test.expr);
                }
                self.arguments(&test.args);
            }
            Expr::GetAttr(attribute) => self.expression(&attribute.expr),
            Expr::GetItem(item) => {
                self.expression(&item.expr);
                self.expression(&item.subscript_expr);
            }
            Expr::Call(call) => {
                self.expression(&call.expr);
                self.arguments(&call.args);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|item| self.expression(item)),
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) {
        for argument in arguments {
            let (CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value)) = argument;
            self.expression(value);
        }
    }

    /// An expression that is only asked whether it is there or true: the last step of a path may lead nowhere.
    fn condition(&mut self, expression: &Expr<'a>) {
        match (path(expression), expression) {
            (Some(path), _) => match path.split_last() {
                Some((_, [])) | None => {}
                Some((_, rest)) => self.needs(rest, expression),
            },
            (None, Expr::BinOp(operation)) if matches!(operation.op, BinOpKind::ScAnd) => {
                self.condition(&operation.left);
                self.within(guarded(&operation.left, true), |walk| walk.condition(&operation.right));
            }
            (None, Expr::BinOp(operation)) if matches!(operation.op, BinOpKind::ScOr) => {
                self.condition(&operation.left);
                self.within(guarded(&operation.left, false), |walk| walk.condition(&operation.right));
            }
            _ => self.expression(expression),
        }
    }

    /// `path` is used, and has to be there.
    fn needs(&mut self, path: &[&str], at: &Expr<'a>) {
        let own = |length: usize| {
            let name = path[..length].join(".");
            self.names.iter().any(|names| names.contains(&name))
        };
        // Of what the template made itself nothing is known; what it asked for is there as far as it asked.
        let is_there = (1..=path.len()).any(own) || GLOBALS.contains(&path[0]) || self.known.can_have(path);
        if !is_there && self.missing.is_none() {
            self.missing = Some((path.join("."), u32::from(at.span().start_line)));
        }
    }
}

/// `["trip", "budget"]` of `trip.budget`.
fn path<'a>(expression: &Expr<'a>) -> Option<Vec<&'a str>> {
    match expression {
        Expr::Var(variable) => Some(vec![variable.id]),
        Expr::GetAttr(attribute) => {
            let mut path = path(&attribute.expr)?;
            path.push(attribute.name);
            Some(path)
        }
        _ => None,
    }
}

/// The names that `target` is given.
fn assigned(target: &Expr<'_>, names: &mut BTreeSet<String>) {
    match target {
        Expr::Var(variable) => drop(names.insert(variable.id.to_owned())),
        Expr::List(list) => list.items.iter().for_each(|item| assigned(item, names)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| assigned(item, names)),
        _ => {}
    }
}

/// What is surely there when `condition` is `holds`.
fn guarded(condition: &Expr<'_>, holds: bool) -> BTreeSet<String> {
    if let (Some(path), true) = (path(condition), holds) {
        return BTreeSet::from([path.join(".")]);
    }
    match condition {
        Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Not) => guarded(&operation.expr, !holds),
        Expr::Test(test) if (test.name == DEFINED && holds) || (test.name == UNDEFINED && !holds) => {
            path(&test.expr).map(|path| path.join(".")).into_iter().collect()
        }
        Expr::BinOp(operation) => match (operation.op, holds) {
            (BinOpKind::ScAnd, true) | (BinOpKind::ScOr, false) => {
                let mut both = guarded(&operation.left, holds);
                both.extend(guarded(&operation.right, holds));
                both
            }
            _ => BTreeSet::new(),
        },
        _ => BTreeSet::new(),
    }
}
