//! The mutation matrix: kind × action × verb, sampled from a seed.
//!
//! Batches: many objects are changed, each once; then drift runs once for all of them, and they are
//! made again what they were.

pub(crate) mod places;
pub(crate) mod real;
pub(crate) mod table;
pub(crate) mod verbs;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::Value;

use crate::bed::{Bed, pointers};
use crate::oracle::owners::Owners;
use crate::oracle::{Finding, Identity, States, expected};
use crate::support::Result;
use places::{Action, Place, places};
use table::{Cell, Table};
use verbs::{VERBS, Verb};

/// How many changes have to be effective; the number is the default.
const MUTATIONS: &str = "STRANDLINE_MUTATIONS";
const DEFAULT_MUTATIONS: usize = 500;

/// Another seed is asked for by this variable.
const SEED: &str = "STRANDLINE_TEST_SEED";
const DEFAULT_SEED: u64 = 20_261_121;

/// Effective changes of one batch, at most.
const BATCH: usize = 60;

/// What is done to custom resources: of each action one verb per kind.
const THIN_VERBS: [Verb; 4] = [Verb::Edit, Verb::PatchMerge, Verb::PatchJson, Verb::Apply];

/// Every so many changes one is made by the real kubectl.
const REAL_EVERY: usize = 6;

fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many changes are wanted.
fn wanted() -> usize {
    number(MUTATIONS).unwrap_or(DEFAULT_MUTATIONS)
}

/// Whether more is asked for than CI has time for.
pub(crate) fn is_large() -> bool {
    wanted() > 2 * DEFAULT_MUTATIONS
}

/// The seed of everything that is chosen; printed.
pub(crate) fn seed() -> u64 {
    let seed = number(SEED).unwrap_or(DEFAULT_SEED);
    crate::report(&format!("{SEED}={seed}"));
    seed
}

/// One change that the server made.
pub(crate) struct Mutation {
    pub(crate) id: Identity,
    pub(crate) cell: Cell,
    pub(crate) before: Value,
    pub(crate) after: Value,
    /// The object as the request asked for it.
    pub(crate) asked: Value,
    pub(crate) expected: Vec<Finding>,
    /// The mirror's commit in which it is the newest change.
    pub(crate) commit: String,
    /// What was expected when that commit was there: a controller may write later.
    pub(crate) then: Vec<Finding>,
    /// How to see it again: the request's body.
    pub(crate) how: String,
}

/// The changes that are still to be made.
pub(crate) struct Matrix {
    rng: Rng,
    wanted: usize,
    cells: Vec<Cell>,
    /// Where the next batch goes on in `cells`.
    next: usize,
    objects: BTreeMap<String, Vec<Identity>>,
    sent: usize,
    pub(crate) table: Table,
}

impl Matrix {
    pub(crate) fn new(bed: &Bed<'_>, mut rng: Rng) -> Self {
        let wanted = wanted();
        crate::report(&format!("{MUTATIONS}={wanted}"));
        let mut objects: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
        let kinds: BTreeSet<String> = bed.desired().map(|(id, _)| id.kind.clone()).collect();
        for (id, desired) in bed.desired() {
            // What a CRD says of a kind decides what drift says of the kind's objects: those are
            // changed alone.
            let kind = desired["spec"]["names"]["kind"]
                .as_str()
                .unwrap_or_default();
            if id.kind != "CustomResourceDefinition" || !kinds.contains(kind) {
                objects.entry(id.kind.clone()).or_default().push(id.clone());
            }
        }
        let mut cells = Vec::new();
        for (kind, of_kind) in &objects {
            let thin = of_kind.iter().all(|id| bed.is_published(id));
            for action in [Action::Change, Action::Delete, Action::Add] {
                let mut verbs = VERBS.to_vec();
                if thin {
                    verbs.retain(|verb| THIN_VERBS.contains(verb));
                    rng.shuffle(&mut verbs);
                    verbs.truncate(1);
                }
                for verb in verbs {
                    cells.push(Cell {
                        kind: kind.clone(),
                        action,
                        verb,
                    });
                }
            }
        }
        rng.shuffle(&mut cells);
        Self {
            rng,
            wanted,
            cells,
            next: 0,
            objects,
            sent: 0,
            table: Table::default(),
        }
    }

    /// Makes the next batch of changes; empty when there are enough. `committed` waits for the
    /// commit of each before the next one is made, and for a file that is what it is asked to be.
    pub(crate) fn batch(
        &mut self,
        bed: &Bed<'_>,
        mut committed: impl FnMut(&Identity, &dyn Fn(&Value) -> bool) -> Result<String>,
    ) -> Result<Vec<Mutation>> {
        let mut batch: Vec<Mutation> = Vec::new();
        let mut used = BTreeSet::new();
        let mut idle = 0;
        while batch.len() < BATCH
            && self.table.effective() < self.wanted
            && idle < 2 * self.cells.len()
        {
            let cell = self.cells[self.next % self.cells.len()].clone();
            self.next += 1;
            match self.one(bed, &cell, &mut used)? {
                Some(mut mutation) => {
                    let id = &mutation.id;
                    let before = bed.stripped(id, &mutation.before)?;
                    let after = bed.stripped(id, &mutation.after)?;
                    let mut changed = Vec::new();
                    pointers(&before, &after, "", &mut changed);
                    let is = |file: &Value| has_all(file, &after, &changed);
                    mutation.commit = committed(id, &is)?;
                    mutation.after = bed.stored(&mutation.id)?;
                    mutation.then = expectation(bed, &mutation)?;
                    batch.push(mutation);
                    idle = 0;
                }
                None => idle += 1,
            }
        }
        // Controllers have seen the last change too.
        for mutation in &mut batch {
            mutation.after = bed.stored(&mutation.id)?;
            mutation.expected = expectation(bed, mutation)?;
        }
        Ok(batch)
    }

    /// Makes one change of the cell to an object that is not `used` yet.
    fn one(
        &mut self,
        bed: &Bed<'_>,
        cell: &Cell,
        used: &mut BTreeSet<Identity>,
    ) -> Result<Option<Mutation>> {
        let objects = &self.objects[&cell.kind];
        let free: Vec<&Identity> = objects.iter().filter(|id| !used.contains(*id)).collect();
        if free.is_empty() {
            return Ok(None);
        }
        let id = free[self.rng.usize(..free.len())].clone();
        let before = bed.stored(&id)?;
        let node = bed.schemas.kind(&id.group, &id.version, &id.kind);
        let subresources = &bed.api.resource(&id)?.subresources;
        let mut candidates = places(node, &before, &mut self.rng);
        candidates.retain(|place| {
            place.action == cell.action && cell.verb.fits(node, place, subresources)
        });
        if candidates.is_empty() {
            return Ok(None);
        }
        let place: Place = candidates.swap_remove(self.rng.usize(..candidates.len()));
        let request = cell.verb.request(node, &before, &place);
        self.sent += 1;
        let mut by_kubectl = false;
        let mut refused = None;
        let by_program = if self.sent.is_multiple_of(REAL_EVERY) {
            real::run(bed, &id, cell.verb, &before, &place, &request)?
        } else {
            None
        };
        if let Some(finished) = by_program {
            by_kubectl = true;
            if finished.code != Some(0) {
                refused = Some(finished.stderr);
            }
        } else {
            let (sub, manager) = (request.subresource, request.manager);
            let kind = request.content_type;
            let answer = bed.api.change(&id, sub, manager, kind, &request.body)?;
            if !answer.is_success() {
                let message = answer.body["message"].as_str().unwrap_or_default();
                refused = Some(format!("{}: {message}", answer.code));
            }
        }
        let how = format!(
            "{} {:?} at {:?}{} with {}",
            cell.verb.name(),
            place.action,
            place.at,
            if by_kubectl { " by kubectl" } else { "" },
            shown(&request.body)
        );
        if let Some(reason) = refused {
            self.table.refused(cell, &reason);
            return Ok(None);
        }
        let after = bed.stored(&id)?;
        if bed.stripped(&id, &after)? == bed.stripped(&id, &before)? {
            self.table.nothing(cell);
            // Ownership may have changed.
            bed.reset(&id, &before)?;
            return Ok(None);
        }
        self.table.changed(cell, by_kubectl);
        used.insert(id.clone());
        Ok(Some(Mutation {
            id,
            cell: cell.clone(),
            asked: places::applied(&before, &place),
            before,
            after,
            expected: Vec::new(),
            commit: String::new(),
            then: Vec::new(),
            how,
        }))
    }
}

/// Changes a leaf that desired has, by a patch; `None` where the server lets none of a few be.
pub(crate) fn leaf_changed(
    bed: &Bed<'_>,
    id: &Identity,
    rng: &mut Rng,
) -> Result<Option<Mutation>> {
    /// Candidates that are tried.
    const TRIES: usize = 5;
    let before = bed.stored(id)?;
    let desired = bed.desired_of(id).unwrap_or(&Value::Null);
    let node = bed.schemas.kind(&id.group, &id.version, &id.kind);
    let mut candidates = places(node, &before, rng);
    candidates.retain(|place| {
        place.action == Action::Change && places::get(desired, &place.at).is_some()
    });
    rng.shuffle(&mut candidates);
    for place in candidates.iter().take(TRIES) {
        let request = Verb::PatchMerge.request(node, &before, place);
        let kind = request.content_type;
        let answer = bed
            .api
            .change(id, "", request.manager, kind, &request.body)?;
        if answer.is_success() {
            let how = format!("patch at {:?}", place.at);
            let asked = places::applied(&before, place);
            let mutation = mutation(bed, id, before.clone(), asked, answer.body, how)?;
            if !mutation.expected.is_empty() {
                return Ok(Some(mutation));
            }
            bed.reset(id, &before)?;
        }
    }
    Ok(None)
}

/// A change that was made outside of the matrix, with what is expected of it.
pub(crate) fn mutation(
    bed: &Bed<'_>,
    id: &Identity,
    before: Value,
    asked: Value,
    after: Value,
    how: String,
) -> Result<Mutation> {
    let mut mutation = Mutation {
        id: id.clone(),
        cell: Cell {
            kind: id.kind.clone(),
            action: Action::Change,
            verb: Verb::PatchMerge,
        },
        before,
        after,
        asked,
        expected: Vec::new(),
        commit: String::new(),
        then: Vec::new(),
        how,
    };
    mutation.expected = expectation(bed, &mutation)?;
    Ok(mutation)
}

/// Whether a file has what `after` has, and has not what it has not, at these places: kubectl makes
/// more than one request where it takes a client-side apply over, and each may have its commit.
///
/// Elements may stand elsewhere in the file.
fn has_all(file: &Value, after: &Value, places: &[String]) -> bool {
    let in_list = |place: &str| place.split('/').any(|step| step.parse::<usize>().is_ok());
    places
        .iter()
        .filter(|place| !in_list(place))
        .all(|place| file.pointer(place).is_some() == after.pointer(place).is_some())
}

/// What drift has to say of a changed object.
fn expectation(bed: &Bed<'_>, mutation: &Mutation) -> Result<Vec<Finding>> {
    let id = &mutation.id;
    let (before, after) = (
        bed.stripped(id, &mutation.before)?,
        bed.stripped(id, &mutation.after)?,
    );
    let owners = Owners::of(&mutation.after, &[]);
    let states = States {
        desired: bed.desired_of(id).unwrap_or(&Value::Null),
        before: &before,
        after: &after,
        asked: &mutation.asked,
        owners: &owners,
    };
    Ok(expected(
        bed.schemas.kind(&id.group, &id.version, &id.kind),
        states,
    ))
}

/// Makes every changed object again what it was.
pub(crate) fn reset(bed: &Bed<'_>, batch: &[Mutation]) -> Result<()> {
    for mutation in batch {
        bed.reset(&mutation.id, &mutation.before)?;
    }
    Ok(())
}

fn shown(body: &Value) -> String {
    let text = body.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
