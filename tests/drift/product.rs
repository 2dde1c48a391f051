//! The program under test, and what it reports.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::bed::{Bed, READER};
use crate::judge;
use crate::oracle::owners::Writer;
use crate::oracle::{Class, Finding, Identity};
use crate::support::program::{Finished, Program};
use crate::support::{Context as _, Failure, Result};

/// 32 bytes that the live side and the mirror share, so that Secrets can be compared.
pub(crate) const KEY: [u8; 32] = *b"a key for tests, 32 bytes long..";

/// A report, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: i32,
    pub(crate) objects: BTreeMap<Identity, Reported>,
    pub(crate) json: Value,
}

/// One object of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) class: String,
    pub(crate) fields: Vec<Finding>,
    pub(crate) reason: String,
}

/// The same object whatever its version.
pub(crate) fn unversioned(id: &Identity) -> Identity {
    Identity {
        version: String::new(),
        ..id.clone()
    }
}

/// `drift` with every set of the bed as a source.
pub(crate) fn command(bed: &Bed<'_>, home: &Path) -> Result<Program> {
    let key = home.join("key");
    std::fs::write(&key, KEY).context(key.display())?;
    let mut program = Program::strandline(home).arg("drift");
    for source in bed.sources() {
        program = program.args(["--desired", &source]);
    }
    Ok(program
        .args(["-o", "json", "--digest-key-file"])
        .arg(key)
        .deadline(Duration::from_secs(300)))
}

/// Holds the sets against the cluster, as a user who may only read.
pub(crate) fn live(bed: &Bed<'_>, args: &[&str]) -> Result<Report> {
    let program = command(bed, bed.home())?
        .arg("--kubeconfig")
        .arg(bed.plane.kubeconfig(READER)?)
        .args(args);
    read(program.run()?)
}

/// Holds the sets against a mirror, by a process that cannot reach the cluster.
pub(crate) fn mirror(bed: &Bed<'_>, repository: &Path, args: &[&str]) -> Result<Report> {
    let home = tempfile::tempdir().context("a home without a kubeconfig")?;
    let program = command(bed, home.path())?
        .env("KUBECONFIG", "/nonexistent")
        .arg("--mirror")
        .arg(repository)
        .args(args);
    read(program.run()?)
}

/// What a mirror alone says at each of these commits, whose first follows `base`: by the tables of
/// each minor version, of the objects that a commit touched.
pub(crate) fn at_commits(
    bed: &Bed<'_>,
    repository: &Path,
    base: &str,
    commits: Vec<String>,
    minors: &[u32],
) -> Result<Vec<Vec<Report>>> {
    let request = judge::Request {
        repository: repository.to_owned(),
        sources: bed.sources(),
        base: base.to_owned(),
        commits,
        minors: minors.to_vec(),
    };
    let home = tempfile::tempdir().context("a home without a kubeconfig")?;
    let answer = Program::new(std::env::current_exe().context("the test's program")?)
        .dir(home.path())
        .env("HOME", home.path())
        .env("KUBECONFIG", "/nonexistent")
        .env(judge::ASKED, "1")
        .stdin(serde_json::to_vec(&request).context("a request")?)
        .deadline(Duration::from_secs(600))
        .run()?
        .success()?;
    let mut answer: Value = serde_json::from_str(&answer).context("a judge's answer")?;
    crate::report(&format!(
        "the judge: {:.1} s to read the mirror, {:.1} s for {} commits",
        answer["opened"].as_f64().unwrap_or_default(),
        answer["judged"].as_f64().unwrap_or_default(),
        request.commits.len()
    ));
    let of_commits: Vec<Vec<Value>> =
        serde_json::from_value(answer["reports"].take()).context("a judge's reports")?;
    let parsed = of_commits.into_iter().map(|reports| {
        let parsed = reports.into_iter().map(|json| parse(0, json));
        parsed.collect()
    });
    parsed.collect()
}

/// The report that a run printed.
pub(crate) fn read(finished: Finished) -> Result<Report> {
    let Some(code @ (0 | 1 | 3)) = finished.code else {
        return Err(finished
            .expect_code(0)
            .err()
            .unwrap_or_else(|| Failure::new("code")));
    };
    let json: Value = serde_json::from_str(&finished.stdout)
        .context(format_args!("{}: {}", finished.what, finished.stderr))?;
    parse(code, json)
}

fn parse(code: i32, json: Value) -> Result<Report> {
    let mut objects = BTreeMap::new();
    for object in json["objects"].as_array().into_iter().flatten() {
        let id = Identity {
            group: text(&object["group"]),
            version: String::new(),
            kind: text(&object["kind"]),
            namespace: object["namespace"].as_str().map(str::to_owned),
            name: text(&object["name"]),
        };
        let fields = object["fields"].as_array().into_iter().flatten();
        let mut fields = fields.map(field).collect::<Result<Vec<_>>>()?;
        fields.sort();
        let reported = Reported {
            class: text(&object["class"]),
            fields,
            reason: text(&object["reason"]),
        };
        if objects.insert(id.clone(), reported).is_some() {
            return Err(Failure::new(format!("{id:?} is reported twice")));
        }
    }
    Ok(Report {
        code,
        objects,
        json,
    })
}

fn field(field: &Value) -> Result<Finding> {
    let class = match field["class"].as_str().unwrap_or_default() {
        "Changed" => Class::Changed,
        "Removed" => Class::Removed,
        "Added" => Class::Added,
        "PendingRemoval" => Class::PendingRemoval,
        "Pending" => Class::Pending,
        "Dropped" => Class::Dropped,
        "Ignored" => Class::Ignored,
        other => return Err(Failure::new(format!("a field of class {other:?}"))),
    };
    let writer = field["manager"].as_str().map(|manager| Writer {
        manager: manager.to_owned(),
        operation: text(&field["operation"]),
        subresource: text(&field["subresource"]),
    });
    Ok(Finding {
        path: text(&field["path"]),
        class,
        warning: field["severity"] != "info",
        writer,
    })
}

impl Report {
    /// A count of the summary.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.json["summary"][name].as_u64().unwrap_or(u64::MAX)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
