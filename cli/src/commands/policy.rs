//! `leeward policy`: checks and shows policy files.

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

use anyhow::Context;
use leeward_policies::{Diagnostics, Drill, Format, Loaded, Policies, Source, Topology, load, schema};

use crate::{
    args::{Findings, PolicyCommand},
    exit::Exit,
};

/// Carries out the verb.
///
/// # Errors
///
/// Where a file cannot be read.
pub(crate) fn run(command: &PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Validate { files, output } => {
            let files: Vec<_> = files.iter().map(AsRef::as_ref).collect();
            validate(&files, *output)
        }
        PolicyCommand::Schema => {
            println!("{:#}", schema());
            Ok(Exit::Done)
        }
        PolicyCommand::Show { file, defaults } => show(file, *defaults),
    }
}

fn read(files: &[&Path]) -> anyhow::Result<Policies> {
    let sources = files
        .iter()
        .map(|file| {
            let text =
                fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            Ok(Source::new(file.display().to_string(), text))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(load(sources, &environment))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn print_findings(diagnostics: &Diagnostics, output: Findings) {
    let format = match output {
        Findings::Text => {
            Format::Text { colour: io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
        }
        Findings::Json => Format::Json,
        Findings::Github => Format::Github,
    };
    let text = diagnostics.render(format);
    match output {
        Findings::Text => eprint!("{text}"),
        Findings::Json | Findings::Github => print!("{text}"),
    }
}

fn validate(files: &[&Path], output: Findings) -> anyhow::Result<Exit> {
    let mut policies = read(files)?;
    policies.check_topology_files(&|path| fs::read_to_string(path), &environment);
    print_findings(&policies.diagnostics, output);
    if policies.diagnostics.has_errors() {
        return Ok(Exit::InvalidPolicy);
    }
    if output == Findings::Text {
        for topology in &policies.topologies {
            println!("topology {}: valid", topology.document.metadata.name);
            println!("  worst-case RTO {}", topology.document.rto_arithmetic());
        }
        for drill in &policies.drills {
            println!("drill {}: valid", drill.document.metadata.name);
        }
    }
    Ok(Exit::Done)
}

fn show(file: &Path, defaults: bool) -> anyhow::Result<Exit> {
    let policies = read(&[file])?;
    if policies.diagnostics.has_errors() {
        print_findings(&policies.diagnostics, Findings::Text);
        return Ok(Exit::InvalidPolicy);
    }
    for topology in &policies.topologies {
        print!("{}", topology.show(defaults));
    }
    for drill in &policies.drills {
        print!("{}", drill.show(defaults));
    }
    Ok(Exit::Done)
}

/// Prints findings for people.
pub(crate) fn print_text(diagnostics: &Diagnostics) {
    print_findings(diagnostics, Findings::Text);
}

/// The one drill of a file; `None` where the file is wrong, which has then been said.
///
/// # Errors
///
/// Where the file cannot be read, or has no drill or several.
pub(crate) fn one_drill(file: &Path) -> anyhow::Result<Option<Loaded<Drill>>> {
    let mut policies = read(&[file])?;
    if !policies.diagnostics.is_empty() {
        print_findings(&policies.diagnostics, Findings::Text);
    }
    if policies.diagnostics.has_errors() {
        return Ok(None);
    }
    let found = policies.drills.len();
    match (policies.drills.pop(), found) {
        (Some(drill), 1) => Ok(Some(drill)),
        (_, found) => anyhow::bail!("{} has {found} drills; one is needed", file.display()),
    }
}

/// The one topology of a file; `None` where the file is wrong, which has then been said.
///
/// # Errors
///
/// Where the file cannot be read, or has no topology or several.
pub(crate) fn one_topology(file: &Path) -> anyhow::Result<Option<Loaded<Topology>>> {
    let mut policies = read(&[file])?;
    if !policies.diagnostics.is_empty() {
        print_findings(&policies.diagnostics, Findings::Text);
    }
    if policies.diagnostics.has_errors() {
        return Ok(None);
    }
    let found = policies.topologies.len();
    match (policies.topologies.pop(), found) {
        (Some(topology), 1) => Ok(Some(topology)),
        (_, found) => anyhow::bail!("{} has {found} topologies; one is needed", file.display()),
    }
}
