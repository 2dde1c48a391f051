/// One step from an object's root to a place in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A field or map key.
    Key(Box<str>),
    /// A position in a list, from 0.
    Index(usize),
}
