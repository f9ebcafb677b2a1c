//! `leeward drill`: rehearses, and reads reports.

mod show;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Context;
use leeward_drill::{
    DrillRun, ForeignClient, RunError,
    report::{Report, Verdict},
    run, run_folder,
};
use leeward_model::RegionName;
use leeward_policies::{Drill, Loaded, TopologyRef};
use owo_colors::OwoColorize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{args::DrillCommand, exit::Exit};

/// Carries out the verb.
///
/// # Errors
///
/// Where the drill cannot be read or run.
pub(crate) async fn run_command(command: &DrillCommand) -> anyhow::Result<Exit> {
    match command {
        DrillCommand::Run { file, runs, clients, pid_files, link_bootstraps, keep, plain } => {
            let around = Around {
                foreign: clients.iter().map(|text| foreign(text)).collect::<anyhow::Result<Vec<_>>>()?,
                pid_files: by_region("--pid-file", pid_files)?,
                link_bootstraps: by_region("--link-bootstrap", link_bootstraps)?,
            };
            Box::pin(rehearse(file, runs, around, *keep, *plain)).await
        }
        DrillCommand::Report { run } => report(run),
    }
}

/// `ROUTE=COMMAND ...`, its words apart by spaces.
fn foreign(text: &str) -> anyhow::Result<ForeignClient> {
    let (route, command) = text.split_once('=').with_context(|| format!("--client `{text}` has no `=`"))?;
    let command = command.split_whitespace().map(str::to_owned).collect();
    Ok(ForeignClient { route: route.to_owned(), command })
}

/// What stands around the estate and is not the drill's own.
struct Around {
    foreign: Vec<ForeignClient>,
    pid_files: BTreeMap<RegionName, Vec<PathBuf>>,
    link_bootstraps: BTreeMap<RegionName, Vec<String>>,
}

/// `REGION=VALUE`, several for one region where it has several.
fn by_region<T: From<String>>(flag: &str, texts: &[String]) -> anyhow::Result<BTreeMap<RegionName, Vec<T>>> {
    let mut values: BTreeMap<RegionName, Vec<T>> = BTreeMap::new();
    for text in texts {
        let (region, value) = text.split_once('=').with_context(|| format!("{flag} `{text}` has no `=`"))?;
        values.entry(RegionName::new(region)?).or_default().push(value.to_owned().into());
    }
    Ok(values)
}

async fn rehearse(file: &Path, runs: &Path, around: Around, keep: bool, plain: bool) -> anyhow::Result<Exit> {
    let Some(drill) = super::policy::one_drill(file)? else { return Ok(Exit::InvalidPolicy) };
    let topology_file = topology_of(&drill, file)?;
    let Some(topology) = super::policy::one_topology(&topology_file)? else { return Ok(Exit::InvalidPolicy) };
    if let Err(findings) = drill.check_against(&topology.document) {
        super::policy::print_text(&findings);
        return Ok(Exit::InvalidPolicy);
    }
    let name = drill.document.metadata.name.to_string();
    let folder = run_folder(runs, &name, leeward_drill::now());
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let folder = folder.canonicalize()?;
    let plan = DrillRun {
        program: std::env::current_exe().context("this program's own path")?,
        drill,
        topology,
        topology_file: topology_file.canonicalize()?,
        folder: folder.clone(),
        foreign: around.foreign,
        pid_files: around.pid_files,
        link_bootstraps: around.link_bootstraps,
        progress: show::shown(plain),
    };
    println!("drill {name}");
    let interrupt = interrupted()?;
    let outcome = Box::pin(run(plan, interrupt)).await;
    let passed = matches!(&outcome, Ok(report) if report.verdict == Verdict::Pass);
    if passed && !keep {
        fs::remove_dir_all(folder.join("estate")).context("the estate's data cannot be removed")?;
    }
    match outcome {
        Ok(report) => {
            let latest = runs.join(&name).join("latest");
            let _ = fs::remove_file(&latest);
            symlink(&folder, &latest).with_context(|| format!("{} cannot be made", latest.display()))?;
            print_report(&report);
            println!("report {}", folder.join("report.html").display());
            Ok(exit_of(report.verdict))
        }
        Err(RunError::Interrupted) => {
            eprintln!("interrupted; everything that was started is stopped");
            Ok(Exit::Interrupted)
        }
        Err(error @ RunError::NotReady { .. }) => {
            eprintln!("inconclusive: {error}; logs are in {}", folder.join("estate").display());
            Ok(Exit::Inconclusive)
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("drill {name} did not run"))),
    }
}

fn topology_of(drill: &Loaded<Drill>, file: &Path) -> anyhow::Result<PathBuf> {
    let topology = &drill.document.spec.topology;
    topology.path(file).ok_or_else(|| match topology {
        TopologyRef::Name(name) => anyhow::anyhow!(
            "{}: topology `{name}` is a name; a drill that is run alone names the topology's file",
            file.display()
        ),
        TopologyRef::File(path) => anyhow::anyhow!("{} is no file", path.display()),
    })
}

/// A token that is cancelled by Ctrl-C or SIGTERM.
fn interrupted() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::BudgetBroken,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}

fn report(run: &Path) -> anyhow::Result<Exit> {
    let file = if run.is_dir() { newest_report(run)? } else { run.to_owned() };
    let report = Report::read(&file)?;
    print_report(&report);
    println!("report {}", file.with_file_name("report.html").display());
    Ok(exit_of(report.verdict))
}

/// The `report.json` of a run's folder, of a drill's `latest`, or the newest below.
fn newest_report(folder: &Path) -> anyhow::Result<PathBuf> {
    let direct = [folder.join("report.json"), folder.join("latest/report.json")];
    if let Some(found) = direct.into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    let mut newest = None;
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let candidate = entry?.path().join("latest/report.json");
        if let Ok(changed) = candidate.metadata().and_then(|metadata| metadata.modified()) {
            newest = newest.max(Some((changed, candidate)));
        }
    }
    newest.map(|(_, path)| path).with_context(|| format!("{} holds no report", folder.display()))
}

fn print_report(report: &Report) {
    println!();
    for line in &report.expectations {
        println!("  {} {:<34} {:<14} budget {}", mark(line.verdict), line.name, line.measured, line.budget);
    }
    println!();
    for phase in &report.phases {
        println!("  {:<12} {:>8.3}s", phase.name, (phase.to - phase.from) as f64 / 1e6);
    }
    println!();
    for (route, tally) in &report.judgement.by_route {
        println!(
            "  {route:<10} sent {}, acknowledged {}, lost {}, duplicated {}, out of order {}",
            tally.sent, tally.acked, tally.lost, tally.duplicated, tally.reordered
        );
    }
    for group in &report.groups {
        println!(
            "  group {:<14} read {}, read again {}, skipped {}",
            group.group, group.read, group.re_read, group.skipped
        );
    }
    for line in &report.loss_statement {
        println!("  {line}");
    }
    for reason in &report.reasons {
        println!("  {reason}");
    }
    println!();
    let rto = report.rto_micros.map_or_else(String::new, |rto| format!(", RTO {:.3}s", rto as f64 / 1e6));
    println!("{} {}{rto}", report.drill, word(report.verdict));
}

fn mark(verdict: Verdict) -> String {
    let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let paint = |text: &str, ok: bool| match (coloured, ok) {
        (false, _) => text.to_owned(),
        (true, true) => text.green().to_string(),
        (true, false) => text.red().to_string(),
    };
    match verdict {
        Verdict::Pass => paint("met   ", true),
        Verdict::Fail => paint("BROKEN", false),
        Verdict::Inconclusive => paint("open  ", false),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "FAILED",
        Verdict::Inconclusive => "INCONCLUSIVE",
    }
}
