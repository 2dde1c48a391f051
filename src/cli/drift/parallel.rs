//! Reading and judging on all of the machine's cores: what is done is pure, who does it is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::drift::evaluate::{Evaluator, Question, Tally};
use crate::drift::live::{FileReader, ReadFile, RecordedFile};
use crate::drift::report::Report;

/// More threads than this wait for memory more than they work.
const MOST_THREADS: usize = 8;
/// How many objects a thread takes at once.
const SHARE: usize = 128;

/// Reads the files of a live side, in their order.
pub(super) fn read(files: Vec<RecordedFile>) -> Vec<ReadFile> {
    let share = files.len().div_ceil(threads()).max(SHARE);
    let mut shares: Vec<Vec<RecordedFile>> = Vec::new();
    let mut files = files.into_iter();
    loop {
        let next: Vec<_> = files.by_ref().take(share).collect();
        if next.is_empty() {
            break;
        }
        shares.push(next);
    }
    let work = |share: Vec<RecordedFile>| -> Vec<ReadFile> {
        let mut reader = FileReader::default();
        share.into_iter().map(|file| reader.read(file)).collect()
    };
    thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || work(share)))
            .collect();
        let mut read = Vec::new();
        for one in running {
            match one.join() {
                Ok(part) => read.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        read
    })
}

/// The whole report, as [`evaluate`](crate::drift::evaluate::evaluate) makes it.
pub(super) fn evaluate(question: Question<'_>) -> Report {
    let evaluator = Evaluator::new(question);
    let subjects = evaluator.subjects();
    let shares: Vec<_> = subjects.chunks(SHARE).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(at) else {
                break done;
            };
            let judged = share
                .iter()
                .filter_map(|(identity, live)| evaluator.judge_opened(identity, *live));
            done.push((at, judged.collect::<Vec<_>>()));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads()).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    let mut tally = Tally::new(&question);
    for judged in done.into_iter().flat_map(|(_, judged)| judged) {
        tally.add(judged);
    }
    tally.finish()
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS))
}
