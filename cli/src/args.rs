//! The verb tree.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 64 usage, 69 controller unreachable, 75 another operation is under way, \
77 not permitted, 78 invalid policy, 98 drill inconclusive, 99 budget broken, 130 interrupted.";

/// Keeps Kafka estates alive when a region dies.
#[derive(Debug, Parser)]
#[command(name = "leeward", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Settings of this process (TOML); `LEEWARD_*` variables and flags win over it.
    #[arg(long, global = true, value_name = "FILE", env = "LEEWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts two embedded regions, a link, a gateway and sample traffic, and says what to point a client at.
    Up(UpArguments),
    /// Runs the daemon of a topology.
    Serve(ServeArguments),
    /// Connects to the clusters of a policy, and says which rights each role lacks there. Changes nothing.
    Check(CheckArguments),
    /// Shows regions, links, gateways and gates.
    Status(StatusArguments),
    /// Reads policy files.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Looks at a mirror's links.
    #[command(subcommand)]
    Link(LinkCommand),
    /// Looks at consumer groups across regions.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Emergency: makes another region the primary, and names what may be lost.
    Failover(FailoverArguments),
    /// Planned: makes another region the primary with nothing lost, or not at all.
    Switchover(VerbArguments),
    /// Brings the old region back and makes it the primary again.
    Failback(FailbackArguments),
    /// Lets the failover that waits for a person begin.
    Approve(SteerArguments),
    /// Tries the step again at which an operation is held.
    Retry(SteerArguments),
    /// Gives up an operation that is held.
    Abort(SteerArguments),
    /// Lets nothing fail over by itself until `resume`.
    Pause(SteerArguments),
    /// Ends a pause.
    Resume(SteerArguments),
    /// Rehearses a failover.
    #[command(subcommand)]
    Drill(DrillCommand),
    /// Prints what happened.
    Events(EventsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Policy file with one topology to start instead of the built-in one; its clusters must run where it names any.
    #[arg(short = 'f', long = "file", value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,
    /// Where the regions' data and the processes' logs go.
    #[arg(long, default_value = "runs/up")]
    pub(crate) data: PathBuf,
    /// Leaves out the sample traffic, which goes through the gateway; without one there is none.
    #[arg(long)]
    pub(crate) no_load: bool,
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// The embedded region's cluster.
    Node,
    /// Probes and seals, from one region.
    Agent,
    /// Links into one region.
    Mirror,
    /// The durable gateway for applications.
    Gateway,
    /// The embedded DNS server.
    Dns,
    /// Decides, and carries it out.
    Controller,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Policy file with one topology.
    #[arg(short = 'f', long = "file", value_name = "POLICY")]
    pub(crate) policy: PathBuf,
    /// Where this process keeps its state.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// What this process does; all of it by default.
    #[arg(long = "role", value_delimiter = ',')]
    pub(crate) roles: Vec<Role>,
    /// The region in which this process stands; without it, roles that stand in a region run for every region.
    #[arg(long)]
    pub(crate) region: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Policy file with one topology.
    #[arg(short = 'f', long = "file", value_name = "POLICY")]
    pub(crate) policy: PathBuf,
    /// Only what these need; all that the topology has something to do for by default.
    #[arg(long = "role", value_delimiter = ',')]
    pub(crate) roles: Vec<Role>,
    /// The region in which the process will stand; without it, what is needed in either place.
    #[arg(long)]
    pub(crate) region: Option<String>,
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Goes on as things change.
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Findings {
    Text,
    Json,
    Github,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Checks files; exits with 78 where something is wrong.
    Validate {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(short, long, value_enum, default_value = "text")]
        output: Findings,
    },
    /// Prints the JSON Schema of policy files.
    Schema,
    /// Prints the whole effective document.
    Show {
        file: PathBuf,
        /// Says of each value whether it is a default or where it stands.
        #[arg(long)]
        defaults: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Shows a link's state and the positions of its partitions.
    Describe {
        /// `SOURCE-to-TARGET`.
        link: String,
        /// The mirror agent's gRPC; `peers.mirrors` names it otherwise.
        #[arg(long)]
        agent: Option<String>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Lets stopped partitions begin again, from the source's first record on, once their topics were deleted at the target.
    ///
    /// What the link's map says about target topics that are gone is forgotten, and the link runs anew under its epoch.
    /// Partitions whose topic still stands at the target go on where they were.
    BeginAnew {
        /// `SOURCE-to-TARGET`.
        link: String,
        /// The mirror agent's gRPC; `peers.mirrors` names it otherwise.
        #[arg(long)]
        agent: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Turns an offset of one region into the other's, exactly, or says why it is not there.
    Translate {
        /// `SOURCE-to-TARGET`.
        #[arg(long)]
        link: String,
        topic: String,
        partition: i32,
        offset: i64,
        /// From the target's log to the source's.
        #[arg(long)]
        to_source: bool,
        #[arg(long)]
        agent: Option<String>,
    },
    /// Lists the positions of the groups that a link follows.
    List {
        #[arg(long)]
        link: String,
        #[arg(long)]
        agent: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerbArguments {
    /// The region that becomes the primary.
    #[arg(long)]
    pub(crate) to: String,
    /// Says what would be done, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) steer: SteerArguments,
}

#[derive(Debug, Args)]
pub(crate) struct FailoverArguments {
    #[command(flatten)]
    pub(crate) verb: VerbArguments,
    /// How much may be lost, in time (`3s`), or `unbounded` while the old region is dark.
    #[arg(long, value_name = "TIME")]
    pub(crate) accept_loss: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FailbackArguments {
    #[command(flatten)]
    pub(crate) verb: VerbArguments,
    /// Brings the region back as a standby: the primary stays where it is.
    #[arg(long)]
    pub(crate) standby_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SteerArguments {
    /// Refuses where another decision came first.
    #[arg(long, default_value_t = 0)]
    pub(crate) expected_epoch: u64,
    /// Goes into the journal.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrillCommand {
    /// Runs a drill file; exits with 99 where a budget is broken, 98 where nothing can be said.
    Run {
        file: PathBuf,
        /// Where reports go: a folder for each run, and `latest`.
        #[arg(long, default_value = "runs")]
        runs: PathBuf,
        /// A producer that is not ours: `gateway-java=COMMAND ...`; `{bootstrap}`, `{topic}`, `{partitions}` and
        /// `{route}` in it are filled in. What stands before the first `-` says which way it goes.
        #[arg(long = "client", value_name = "ROUTE=COMMAND")]
        clients: Vec<String>,
        /// For regions that are not embedded: a file with the id of a process that the drill may kill.
        #[arg(long = "pid-file", value_name = "REGION=FILE")]
        pid_files: Vec<String>,
        /// For regions that are not embedded: what mirrors and agents of other regions go through to reach it.
        #[arg(long = "link-bootstrap", value_name = "REGION=HOST:PORT")]
        link_bootstraps: Vec<String>,
        /// Keeps the regions' data and the processes' logs.
        #[arg(long)]
        keep: bool,
        /// Plain lines on a terminal too.
        #[arg(long)]
        plain: bool,
    },
    /// Prints the result of a run.
    Report {
        /// A run's folder, or its `report.json`.
        #[arg(default_value = "runs")]
        run: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EventsArguments {
    /// Waits for more.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only those after this number.
    #[arg(long, default_value_t = 0)]
    pub(crate) after: u64,
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
