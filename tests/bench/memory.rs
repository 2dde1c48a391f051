//! The most memory that a first sync takes: the kernel's own mark of a child process.
//!
//! The simulator lives in a process of its own, and so do the git children.

use std::path::Path;
use std::time::{Duration, Instant};

use strandline::simulator::load::Load;
use strandline::simulator::{Simulator, SimulatorOptions};

use crate::support::child::Child;
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, Unavailable, wait_for};
use crate::{Report, folder, recorded, runtime, subfolder};

/// The argument by which this program is its own simulator: `serve OBJECTS TYPES FILE` writes a
/// kubeconfig to FILE once it serves, and goes on until it is killed.
pub(crate) const SERVE: &str = "serve";

const OBJECTS: usize = 50_000;
const TYPES: usize = 60;
/// In megabytes of 1,000,000 bytes.
const MOST: f64 = 120.0;
const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let folder = folder()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let program = std::env::current_exe().context("this program's own path")?;
    let mut simulator = Program::new(program)
        .arg(SERVE)
        .args([OBJECTS, TYPES].map(|number| number.to_string()))
        .arg(&kubeconfig)
        .spawn("simulator", folder.path())?;
    wait_for("the simulator's load", DEADLINE, || {
        match simulator.try_wait()? {
            Some(code) => Err(Failure::new(format_args!(
                "it ended with {code}\n{}",
                simulator.log_tail(20)
            ))),
            None => Ok(kubeconfig.is_file().then_some(())),
        }
    })?;
    // The default is what counts; the other way of reading lists stands beside it.
    let (peak, took) = snapshot(folder.path(), &kubeconfig, None)?;
    report.figure(
        peak <= MOST,
        &format!(
            "memory: {peak:.1} MB at most (at most {MOST} MB) in a first sync of {OBJECTS} objects of {TYPES} types, {:.1} s",
            took.as_secs_f64()
        ),
    );
    for mode in ["pages", "watch-list"] {
        let (peak, took) = snapshot(folder.path(), &kubeconfig, Some(mode))?;
        Report::note(&format!(
            "memory: {peak:.1} MB with --list-mode {mode}, {:.1} s",
            took.as_secs_f64()
        ));
    }
    Ok(())
}

/// Returns the most memory in megabytes, and the wall time.
fn snapshot(folder: &Path, kubeconfig: &Path, mode: Option<&str>) -> Result<(f64, Duration)> {
    let name = mode.unwrap_or("default");
    let home = subfolder(folder, name)?;
    let mut program = Program::strandline(&home)
        .args(["snapshot", "--quiet", "-o", "json", "--kubeconfig"])
        .arg(kubeconfig);
    if let Some(mode) = mode {
        program = program.args(["--list-mode", mode]);
    }
    let start = Instant::now();
    let mut child = program.spawn(name, folder)?;
    let (code, peak, took) = watch(&mut child, start)?;
    if code != 0 {
        let tail = child.log_tail(20);
        return Err(Failure::new(format_args!("it ended with {code}\n{tail}")));
    }
    recorded(&child.stdout()?, OBJECTS)?;
    Ok((peak, took))
}

/// Waits for a child; returns its exit code, its most memory in megabytes, and the time since
/// `start`.
pub(crate) fn watch(child: &mut Child, start: Instant) -> Result<(i32, f64, Duration)> {
    let status = format!("/proc/{}/status", child.pid());
    let mut peak = None;
    loop {
        // A mark that only rises: the last one read is the highest. A process that has ended
        // has none.
        let now = std::fs::read_to_string(&status)
            .ok()
            .and_then(|text| high_water_mark(&text));
        peak = now.or(peak);
        if let Some(code) = child.try_wait()? {
            let peak =
                peak.ok_or_else(|| Failure::new("the kernel tells no VmHWM (Linux only)"))?;
            return Ok((code, peak, start.elapsed()));
        }
        if start.elapsed() > DEADLINE {
            return Err(Failure::new("the child does not end"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `VmHWM` in megabytes: <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>.
fn high_water_mark(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024.0 / 1e6)
}

/// The simulator's process.
pub(crate) fn serve(args: &[String]) -> Result<()> {
    let [objects, types, file] = args else {
        return Err(Failure::new("serve takes OBJECTS TYPES FILE"));
    };
    let load = Load {
        objects: objects.parse().context("OBJECTS")?,
        types: types.parse().context("TYPES")?,
    };
    runtime()?.block_on(async {
        let simulator = Simulator::start(SimulatorOptions::default())
            .await
            .context("the simulator")?;
        load.fill(&simulator).context("the load")?;
        // By a rename, or its reader might see half of it.
        let half = format!("{file}.new");
        std::fs::write(&half, simulator.kubeconfig()).context(&half)?;
        std::fs::rename(&half, file).context(file)?;
        std::future::pending().await
    })
}
