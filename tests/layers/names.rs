//! Every name that a source file mentions, resolved to where it comes from.
//!
//! This is no compiler: it over-approximates. An alias counts in the whole file, whatever block
//! it stands in, and all sides of a `cfg` are read. What is only compiled for tests is left out.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, Token, UseTree, Visibility};

/// A name, from its crate on: `crate::mirror::Mirror`, `std::process::Command`, `println`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub path: Vec<String>,
    pub line: usize,
    /// `use path::*`
    pub glob: bool,
    /// Made visible beyond its room under this or another name: `pub use`, `pub type`.
    pub exported: bool,
    /// `path!(…)`
    pub is_macro: bool,
}

/// A module whose text lies in another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// The inline modules around the declaration, and its own name.
    pub path: Vec<String>,
    pub line: usize,
    /// The value of a `#[path]` attribute.
    pub file: Option<String>,
    pub test_only: bool,
}

/// What a source file mentions.
#[derive(Debug, Default)]
pub struct Names {
    pub names: Vec<Name>,
    pub modules: Vec<ModuleFile>,
}

/// Reads the source text of the module that `module` names, from the crate's root.
pub fn read(source: &str, module: &[String]) -> syn::Result<Names> {
    let file = syn::parse_file(source)?;
    let mut collector = Collector {
        module: module.to_vec(),
        depth: module.len(),
        ..Collector::default()
    };
    collector.visit_file(&file);
    Ok(collector.finish())
}

/// A name as it stands in the text, with the module it stands in.
struct Mention {
    name: Name,
    leading_colon: bool,
    module: Vec<String>,
}

#[derive(Default)]
struct Collector {
    module: Vec<String>,
    /// How many leading elements of `module` are the file's own.
    depth: usize,
    mentions: Vec<Mention>,
    /// Local name → the mentions that it may stand for.
    aliases: BTreeMap<String, Vec<usize>>,
    modules: Vec<ModuleFile>,
    exporting: bool,
}

impl Collector {
    fn mention(&mut self, path: Vec<String>, line: usize, leading_colon: bool) -> usize {
        self.mentions.push(Mention {
            name: Name {
                path,
                line,
                glob: false,
                exported: self.exporting,
                is_macro: false,
            },
            leading_colon,
            module: self.module.clone(),
        });
        self.mentions.len() - 1
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], leading_colon: bool) {
        let line = tree.span().start().line;
        let mut path = prefix.to_vec();
        let (last, local) = match tree {
            UseTree::Path(next) => {
                path.push(next.ident.to_string());
                return self.use_tree(&next.tree, &path, leading_colon);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, leading_colon);
                }
                return;
            }
            UseTree::Glob(_) => {
                let index = self.mention(path, line, leading_colon);
                self.mentions[index].name.glob = true;
                return;
            }
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
        };
        // `use a::b::{self}` names `b` itself.
        let local = if last == "self" && !path.is_empty() {
            if local == "self" {
                path[path.len() - 1].clone()
            } else {
                local
            }
        } else {
            path.push(last);
            local
        };
        let index = self.mention(path, line, leading_colon);
        self.aliases.entry(local).or_default().push(index);
    }

    /// Finds what looks like a path in the tokens of a macro or an attribute.
    fn tokens(&mut self, tokens: TokenStream, prefix: &[String], in_attribute: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let leading_colon = is_path_separator(&tokens, at);
            let start = if leading_colon { at + 2 } else { at };
            match tokens.get(start) {
                Some(TokenTree::Ident(_)) => {
                    at = self.token_path(&tokens, start, prefix, leading_colon);
                    continue;
                }
                Some(TokenTree::Group(group)) => {
                    self.tokens(group.stream(), prefix, in_attribute);
                }
                Some(TokenTree::Literal(literal)) if in_attribute => {
                    let line = literal.span().start().line;
                    self.string_path(&literal.to_string(), line);
                }
                _ => {}
            }
            at = start + 1;
        }
    }

    /// Reads a path from the identifier at `at` on, and returns where it ends.
    fn token_path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: &[String],
        leading_colon: bool,
    ) -> usize {
        let line = tokens[at].span().start().line;
        let mut path = prefix.to_vec();
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            path.push(ident.to_string());
            at += 1;
            if !is_path_separator(tokens, at) {
                break;
            }
            at += 2;
            match tokens.get(at) {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.tokens(group.stream(), &path, false);
                    return at + 1;
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                    let index = self.mention(path, line, leading_colon);
                    self.mentions[index].name.glob = true;
                    return at + 1;
                }
                _ => {}
            }
        }
        let is_macro = matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == '!')
            && matches!(tokens.get(at + 1), Some(TokenTree::Group(_)));
        if path.len() > 1 || is_macro {
            let index = self.mention(path, line, leading_colon);
            self.mentions[index].name.is_macro = is_macro;
        }
        at
    }

    /// Attributes name functions in strings: `#[serde(with = "crate::a::b")]`.
    fn string_path(&mut self, literal: &str, line: usize) {
        let text = literal.trim_matches('"');
        let is_ident =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        let text = text
            .split('<')
            .next()
            .unwrap_or(text)
            .trim_end_matches("::");
        let parts: Vec<String> = text.split("::").map(str::to_owned).collect();
        if parts.len() > 1 && parts.iter().all(|part| is_ident(part)) {
            self.mention(parts, line, false);
        }
    }

    fn resolve(&self, mention: &Mention, seen: &mut Vec<String>) -> Vec<Vec<String>> {
        let path = &mention.name.path;
        let first = path[0].as_str();
        if mention.leading_colon {
            return vec![path.clone()];
        }
        let in_crate = |module: &[String], rest: &[String]| {
            let root = ["crate".to_owned()];
            root.iter().chain(module).chain(rest).cloned().collect()
        };
        match first {
            "crate" | "strandline" => return vec![in_crate(&[], &path[1..])],
            "self" | "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let skipped = if first == "self" { 1 } else { ups };
                let kept = mention.module.len().saturating_sub(ups);
                return vec![in_crate(&mention.module[..kept], &path[skipped..])];
            }
            _ => {}
        }
        let Some(indices) = self.aliases.get(first) else {
            return vec![path.clone()];
        };
        // `use kube;` stands for itself.
        if seen.iter().any(|name| name == first) {
            return vec![path.clone()];
        }
        seen.push(first.to_owned());
        let targets = indices
            .iter()
            .flat_map(|index| self.resolve(&self.mentions[*index], seen));
        let resolved = targets.map(|mut target| {
            target.extend_from_slice(&path[1..]);
            target
        });
        let resolved = resolved.collect();
        seen.pop();
        resolved
    }

    fn finish(self) -> Names {
        let mut names: Vec<Name> = Vec::new();
        for mention in &self.mentions {
            if mention.name.path.is_empty() {
                continue;
            }
            for path in self.resolve(mention, &mut Vec::new()) {
                let name = Name {
                    path,
                    ..mention.name.clone()
                };
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Names {
            names,
            modules: self.modules,
        }
    }
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    match (tokens.get(at), tokens.get(at + 1)) {
        (Some(TokenTree::Punct(first)), Some(TokenTree::Punct(second))) => {
            first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':'
        }
        _ => false,
    }
}

/// `pub(super)` and `pub(self)` stay within reach of the room.
fn leaves_the_room(visibility: &Visibility) -> bool {
    match visibility {
        Visibility::Public(_) => true,
        Visibility::Restricted(to) => !to.path.is_ident("super") && !to.path.is_ident("self"),
        Visibility::Inherited => false,
    }
}

/// Whether an item is compiled for tests only: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<Meta>()
                    .is_ok_and(|meta| demands_test(&meta)))
    })
}

fn demands_test(meta: &Meta) -> bool {
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|metas| metas.iter().any(demands_test)),
        _ => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        // A test module in a file of its own is still a module file.
        let declares_file = matches!(item, Item::Mod(module) if module.content.is_none());
        if declares_file || !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test_only(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let line = item.span().start().line;
        let local = self.mention(vec!["self".to_owned(), name.clone()], line, false);
        self.aliases.entry(name.clone()).or_default().push(local);
        self.module.push(name);
        if item.content.is_none() {
            self.modules.push(ModuleFile {
                path: self.module[self.depth..].to_vec(),
                line,
                file: path_attribute(&item.attrs),
                test_only: is_test_only(&item.attrs),
            });
        }
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.exporting = leaves_the_room(&item.vis);
        self.use_tree(&item.tree, &[], item.leading_colon.is_some());
        self.exporting = false;
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.exporting = leaves_the_room(&item.vis);
        let name = item.ident.to_string();
        let line = item.span().start().line;
        let local = item
            .rename
            .as_ref()
            .map_or_else(|| name.clone(), |(_, as_)| as_.to_string());
        let name = if name == "self" {
            "crate".to_owned()
        } else {
            name
        };
        let index = self.mention(vec![name], line, true);
        self.mentions[index].leading_colon = self.mentions[index].name.path[0] != "crate";
        self.aliases.entry(local).or_default().push(index);
        self.exporting = false;
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.exporting = leaves_the_room(&item.vis);
        visit::visit_item_type(self, item);
        self.exporting = false;
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.span().start().line;
        // One name alone is local, or an alias that is mentioned where it was made.
        if parts.len() > 1 {
            self.mention(parts, line, path.leading_colon.is_some());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let parts: Vec<String> = call
            .path
            .segments
            .iter()
            .map(|s| s.ident.to_string())
            .collect();
        let line = call.span().start().line;
        let index = self.mention(parts, line, call.path.leading_colon.is_some());
        self.mentions[index].name.is_macro = true;
        self.tokens(call.tokens.clone(), &[], false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone(), &[], true),
            Meta::NameValue(_) | Meta::Path(_) => {}
        }
        visit::visit_path(self, attribute.path());
    }
}
