//! `leeward`: the one binary. A command is read, given its settings, run, and its end put into an exit code.

#[macro_use]
mod out;

mod args;
mod client;
mod commands;
mod exit;
mod http;
mod settings;
mod telemetry;
mod terminal;
mod tls;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Arguments, Command},
    client::{Silent, Unreachable},
    exit::Exit,
    settings::Settings,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => {
            let _ = refused.print();
            return if refused.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Unreachable>() || error.is::<Silent>() {
                Exit::Unreachable.into()
            } else {
                Exit::Failed.into()
            }
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if let Command::Policy(command) = &arguments.command {
        return commands::policy::run(command);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed in this process");
    }
    let config = arguments.config;
    let settings = Settings::load(config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Policy(command) => commands::policy::run(&command),
            Command::Up(up) => Box::pin(commands::up::run(&up)).await,
            Command::Check(check) => commands::check::run(&check, &settings).await,
            Command::Serve(serve) => commands::serve::run(&serve, &settings).await,
            Command::Status(status) => commands::status::run(&status, &settings).await,
            Command::Link(link) => commands::link::run(&link, &settings).await,
            Command::Group(group) => commands::link::run_group(&group, &settings).await,
            Command::Failover(failover) => commands::verb::failover(&failover, &settings).await,
            Command::Switchover(verb) => commands::verb::switchover(&verb, &settings).await,
            Command::Failback(failback) => commands::verb::failback(&failback, &settings).await,
            Command::Approve(steer) => commands::verb::steer("approve", &steer, &settings).await,
            Command::Retry(steer) => commands::verb::steer("retry", &steer, &settings).await,
            Command::Abort(steer) => commands::verb::steer("abort", &steer, &settings).await,
            Command::Pause(steer) => commands::verb::steer("pause", &steer, &settings).await,
            Command::Resume(steer) => commands::verb::steer("resume", &steer, &settings).await,
            Command::Drill(drill) => commands::drill::run_command(&drill).await,
            Command::Events(events) => commands::events::run(&events, &settings).await,
        }
    })
}
