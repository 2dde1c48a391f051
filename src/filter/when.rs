//! `when:`: an expression over the object, in the Common Expression Language.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::objects::Key;
use cel::{Context, Env, Program};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;

/// Longest expression, in bytes. With [`DEEPEST_LOOP`] it bounds what one object can cost.
const LONGEST: usize = 2048;
/// How many `all`, `exists`, `filter` or `map` may lie in each other. CEL has no other loops, and
/// its cost grows by the length of a list with each of them.
const DEEPEST_LOOP: usize = 2;
/// The one variable.
const OBJECT: &str = "object";
/// What CEL declares itself: its types' names, and the namespace of optional values.
const DECLARED: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "optional",
    "string",
    "uint",
];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression over the variable `object`: the object as the server sent it, without
/// `metadata.managedFields`.
///
/// The language is that of admission policies
/// (<https://kubernetes.io/docs/reference/using-api/cel/>). Values in the `data` and `stringData`
/// of a Secret are empty texts there: an expression can ask which keys there are, not what they
/// hold.
pub(super) struct When {
    program: Program,
}

/// An expression that gave neither true nor false. Holds nothing of the object: why it did not is
/// full of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecided;

impl When {
    /// Compiles an expression; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("expected an expression of at most {LONGEST} bytes"));
        }
        let program = ENVIRONMENT
            .compile(text)
            .map_err(|error| format!("expected a CEL expression: {error}"))?;
        Checker::default().check(program.expression(), 0)?;
        Ok(Self { program })
    }

    /// Whether the expression is true of the object.
    pub(super) fn holds(&self, object: &Value, hide_data: bool) -> Result<bool, Undecided> {
        // A bug in the interpreter must not end the recorder over one object.
        let run = || {
            let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
            context.add_variable_from_value(OBJECT, root(object, hide_data));
            self.program.execute(&context)
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(cel::Value::Bool(holds))) => Ok(holds),
            _ => Err(Undecided),
        }
    }
}

/// As the location of the error is the text's own only from within a visitor.
impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expression;
        impl Visitor<'_> for Expression {
            type Value = When;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CEL expression")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<When, E> {
                When::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Expression)
    }
}

/// Looks for unknown variables and loops that are too deep.
#[derive(Default)]
struct Checker<'a> {
    scope: Vec<&'a str>,
}

impl<'a> Checker<'a> {
    fn check(&mut self, expression: &'a IdedExpr, loops: usize) -> Result<(), String> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                let known = name == OBJECT
                    || DECLARED.contains(&name.as_str())
                    || self.scope.contains(&name.as_str());
                if known {
                    Ok(())
                } else {
                    Err(format!("unknown variable '{name}', expected '{OBJECT}'"))
                }
            }
            Expr::Select(select) => self.check(&select.operand, loops),
            Expr::Call(call) => {
                if let Some(target) = &call.target {
                    self.check(target, loops)?;
                }
                self.check_all(&call.args, loops)
            }
            Expr::List(list) => self.check_all(&list.elements, loops),
            Expr::Map(map) => self.check_entries(&map.entries, loops),
            Expr::Struct(fields) => self.check_entries(&fields.entries, loops),
            Expr::Comprehension(each) => {
                self.check(&each.iter_range, loops)?;
                if loops == DEEPEST_LOOP {
                    return Err(format!(
                        "expected at most {DEEPEST_LOOP} loops (all, exists, filter, map) in each other"
                    ));
                }
                let before = self.scope.len();
                self.scope.push(&each.iter_var);
                self.scope.extend(each.iter_var2.as_deref());
                self.scope.push(&each.accu_var);
                for part in [
                    &each.accu_init,
                    &each.loop_cond,
                    &each.loop_step,
                    &each.result,
                ] {
                    self.check(part, loops + 1)?;
                }
                self.scope.truncate(before);
                Ok(())
            }
        }
    }

    fn check_all(&mut self, all: &'a [IdedExpr], loops: usize) -> Result<(), String> {
        all.iter().try_for_each(|one| self.check(one, loops))
    }

    fn check_entries(&mut self, all: &'a [IdedEntryExpr], loops: usize) -> Result<(), String> {
        all.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::StructField(field) => self.check(&field.value, loops),
            EntryExpr::MapEntry(entry) => {
                self.check(&entry.key, loops)?;
                self.check(&entry.value, loops)
            }
        })
    }
}

fn root(object: &Value, hide_data: bool) -> cel::Value {
    let Value::Object(map) = object else {
        return cel::Value::Null;
    };
    let entry = |(name, value): (&String, &Value)| {
        let value = if hide_data && (name == "data" || name == "stringData") {
            hidden(value)
        } else {
            convert(value)
        };
        (name.clone(), value)
    };
    to_map(map.iter().map(entry))
}

fn hidden(value: &Value) -> cel::Value {
    match value {
        Value::Object(map) => to_map(map.keys().map(|name| (name.clone(), String::new().into()))),
        Value::Null => cel::Value::Null,
        _ => String::new().into(),
    }
}

fn to_map(entries: impl Iterator<Item = (String, cel::Value)>) -> cel::Value {
    let map: HashMap<Key, cel::Value> = entries
        .map(|(name, value)| (Key::String(Arc::new(name)), value))
        .collect();
    cel::Value::Map(cel::objects::Map { map: Arc::new(map) })
}

/// Whole numbers are `int`, as Kubernetes has them.
fn convert(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => number
            .as_i64()
            .map(cel::Value::Int)
            .or_else(|| number.as_u64().map(cel::Value::UInt))
            .or_else(|| number.as_f64().map(cel::Value::Float))
            .unwrap_or(cel::Value::Null),
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => cel::Value::List(Arc::new(list.iter().map(convert).collect())),
        Value::Object(map) => to_map(
            map.iter()
                .map(|(name, value)| (name.clone(), convert(value))),
        ),
    }
}
