//! An object under construction: which leaf stands where, with which of its guesses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::{Key, Path, Step, field};

/// One leaf of an object.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Which leaf of the kind.
    pub leaf: usize,
    /// The guesses for its value, and the one in use.
    pub values: Vec<Value>,
    pub at: usize,
    /// How many guesses the server has refused here.
    pub refused: usize,
    /// It is here to be covered; otherwise something else needs it.
    pub wanted: bool,
    /// To how many elements of its list it has moved on.
    pub moves: usize,
    /// The server has told which values it takes.
    pub told: bool,
    /// It tells which member of a union stands beside it.
    pub paired: bool,
}

impl Slot {
    pub fn value(&self) -> &Value {
        &self.values[self.at]
    }

    /// Takes a value that is known to be needed.
    pub fn prefer(&mut self, value: Value) {
        self.at = self
            .values
            .iter()
            .position(|known| *known == value)
            .unwrap_or_else(|| {
                self.values.push(value);
                self.values.len() - 1
            });
    }

    /// Goes to the next guess; `false` if all were refused.
    pub fn next(&mut self) -> bool {
        self.refused += 1;
        self.at = (self.at + 1) % self.values.len();
        self.refused < self.values.len()
    }
}

/// Leaves by their places. Indexes are names of elements, not positions: elements may be taken
/// out without the others moving up.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub slots: BTreeMap<Path, Slot>,
    /// How often a child of an object that wants one was chosen.
    pub choices: BTreeMap<Path, usize>,
}

impl Draft {
    /// The slots at or below a place.
    pub fn below<'a>(&'a self, path: &'a [Key]) -> impl Iterator<Item = (&'a Path, &'a Slot)> {
        self.slots
            .range(path.to_vec()..)
            .take_while(move |(place, _)| place.starts_with(path))
    }

    pub fn has(&self, path: &[Key]) -> bool {
        self.below(path).next().is_some()
    }

    /// The first wanted leaf whose own name is this.
    pub fn named(&self, name: Option<&Key>) -> Option<Path> {
        let mut wanted = self.slots.iter().filter(|(_, slot)| slot.wanted);
        let found = wanted.find(|(path, _)| name.is_some() && path.last() == name);
        found.map(|(path, _)| path.clone())
    }

    /// Where, below a place, a value stands.
    pub fn holder(&self, path: &[Key], value: Option<&Value>) -> Option<Path> {
        let mut holders = self
            .below(path)
            .filter(|(_, slot)| Some(slot.value()) == value);
        holders.next().map(|(place, _)| place.clone())
    }

    pub fn wanted(&self) -> usize {
        self.slots.values().filter(|slot| slot.wanted).count()
    }

    /// The next steps from a place.
    pub fn children(&self, path: &[Key]) -> BTreeSet<Key> {
        self.below(path)
            .filter_map(|(place, _)| place.get(path.len()).cloned())
            .collect()
    }

    /// Takes out everything at or below a place.
    pub fn remove(&mut self, path: &[Key]) -> Vec<(Path, Slot)> {
        let places: Vec<Path> = self.below(path).map(|(place, _)| place.clone()).collect();
        places
            .into_iter()
            .filter_map(|place| {
                let slot = self.slots.remove(&place)?;
                Some((place, slot))
            })
            .collect()
    }

    /// The object, without its head.
    pub fn render(&self) -> Map<String, Value> {
        let tree = self.tree();
        match tree.value() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn tree(&self) -> Tree<'_> {
        let mut root = Tree::Inner(BTreeMap::new());
        for (path, slot) in &self.slots {
            let mut tree = &mut root;
            for key in path {
                tree = match tree {
                    Tree::Inner(children) => children
                        .entry(key)
                        .or_insert_with(|| Tree::Inner(BTreeMap::new())),
                    Tree::Leaf(_) => break,
                };
            }
            *tree = Tree::Leaf(slot.value());
        }
        root
    }

    /// From the server's positions to our places: the part that this object has, and the rest.
    pub fn locate(&self, dense: &[Path]) -> Vec<(Path, Path)> {
        let root = self.tree();
        dense.iter().map(|dense| root.locate(dense)).collect()
    }
    /// From our place to the server's position.
    pub fn dense(&self, path: &[Key]) -> Path {
        let place = |at: usize| match &path[at] {
            Key::Field(name) => Key::Field(name.clone()),
            key @ Key::Index(_) => {
                let all = self.children(&path[..at]);
                Key::Index(all.iter().position(|child| child == key).unwrap_or(0))
            }
        };
        (0..path.len()).map(place).collect()
    }
}

enum Tree<'a> {
    Inner(BTreeMap<&'a Key, Tree<'a>>),
    Leaf(&'a Value),
}

impl Tree<'_> {
    fn locate(&self, dense: &[Key]) -> (Path, Path) {
        let mut tree = self;
        let mut path = Path::new();
        for (at, key) in dense.iter().enumerate() {
            let Tree::Inner(children) = tree else {
                return (path, dense[at..].to_vec());
            };
            let found = match key {
                Key::Index(position) => children.iter().nth(*position),
                // Some checks write `cephFS` for `cephfs`.
                Key::Field(name) => children.get_key_value(key).or_else(|| {
                    children.iter().find(|(known, _)| {
                        matches!(known, Key::Field(known) if known.eq_ignore_ascii_case(name))
                    })
                }),
            };
            let Some((key, child)) = found else {
                return (path, dense[at..].to_vec());
            };
            path.push((*key).clone());
            tree = child;
        }
        (path, Path::new())
    }

    fn value(&self) -> Value {
        match self {
            Tree::Leaf(value) => (*value).clone(),
            Tree::Inner(children) => {
                let is_list = matches!(children.keys().next(), Some(Key::Index(_)));
                if is_list {
                    return children.values().map(Tree::value).collect();
                }
                let fields = children.iter().map(|(key, child)| {
                    let name = match key {
                        Key::Field(name) => name.clone(),
                        Key::Index(index) => index.to_string(),
                    };
                    (name, child.value())
                });
                Value::Object(fields.collect())
            }
        }
    }
}

/// The value at a place of the server's object.
pub fn lookup<'a>(object: &'a Value, path: &[Key]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| match key {
        Key::Field(name) => value.get(name),
        Key::Index(index) => value.get(index),
    })
}

/// Where an object has a leaf of a kind.
pub fn find(object: &Value, steps: &[Step]) -> Option<Path> {
    let Some((step, rest)) = steps.split_first() else {
        return (!object.is_null()).then(Path::new);
    };
    let below = |key: Key, value: &Value| {
        let path = find(value, rest)?;
        Some([vec![key], path].concat())
    };
    match step {
        Step::Field(name) => below(field(name), object.get(name)?),
        Step::Element => {
            let mut all = object.as_array()?.iter().enumerate();
            all.find_map(|(at, value)| below(Key::Index(at), value))
        }
        Step::Entry => {
            let mut all = object.as_object()?.iter();
            all.find_map(|(name, value)| below(field(name), value))
        }
    }
}
