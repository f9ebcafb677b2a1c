//! What a topology means as a whole: roles, references, votes, sums. The shape was checked while reading.

use std::{collections::BTreeMap, time::Duration};

use super::{Automation, DnsProvider, DnsRecordType, HostPort, Kafka, Region, Role, RtoArithmetic, Topology};
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    limits::FSYNC_WAIT_MAX,
    node::Node,
    read::{Reader, duration_text, nearest},
};

/// Reports every contradiction; true where there is none.
pub(crate) fn check(topology: &Topology, node: &Node, reader: &mut Reader<'_>) -> bool {
    let mut check = Check { topology, node, errors: Vec::new() };
    check.regions();
    check.roles();
    check.quorum();
    check.probing();
    check.data_loss();
    check.buffer();
    check.gateway();
    check.dns();
    check.recovery_time();
    let passed = check.errors.is_empty();
    for finding in check.errors {
        reader.report(finding);
    }
    if let Some(warning) = short_cooldown(topology, node) {
        reader.report(warning);
    }
    passed
}

struct Check<'a> {
    topology: &'a Topology,
    node: &'a Node,
    errors: Vec<Diagnostic>,
}

impl Check<'_> {
    fn error(&mut self, code: Code, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let span = self.node.span_at(path);
        self.errors.push(Diagnostic::error(code, span, message).help(help));
    }

    fn regions(&mut self) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, region) in self.topology.spec.regions.iter().enumerate() {
            let path = format!("spec/regions/{index}");
            if let Some(before) = first.insert(region.name.as_str(), index) {
                let span = self.node.span_at(&format!("{path}/name"));
                let other = self.node.span_at(&format!("spec/regions/{before}/name"));
                let message = format!("two regions are called `{}`", region.name);
                let finding = Diagnostic::error(Code::DuplicateRegion, span, message);
                self.errors
                    .push(finding.related(other, "the first").help("give each region a name of its own"));
            }
            self.region_kafka(region, &path);
        }
        self.clusters();
    }

    /// An address that two regions have is one cluster that is called two.
    fn clusters(&mut self) {
        let mut first: BTreeMap<&HostPort, (usize, String)> = BTreeMap::new();
        for (index, region) in self.topology.spec.regions.iter().enumerate() {
            for (address, path) in addresses(region, index) {
                let (owner, before) = first.entry(address).or_insert_with(|| (index, path.clone()));
                if *owner == index {
                    continue;
                }
                let (span, other) = (self.node.span_at(&path), self.node.span_at(before));
                let message = format!("{address} is the Kafka of two regions");
                let finding = Diagnostic::error(Code::SharedCluster, span, message);
                let help =
                    "give each region a cluster of its own: what is lost with one must not be the other";
                self.errors.push(finding.related(other, "the first").help(help));
            }
        }
    }

    fn region_kafka(&mut self, region: &Region, path: &str) {
        match (region.role, &region.kafka) {
            (Role::Witness, Some(_)) => self.error(
                Code::RegionKafka,
                &format!("{path}/kafka"),
                format!("the witness `{}` has a `kafka`, but a witness holds no data", region.name),
                "remove `kafka`, or make the region `role: standby`",
            ),
            (Role::Primary | Role::Standby, None) => self.error(
                Code::RegionKafka,
                &format!("{path}/name"),
                format!("the {} `{}` has no `kafka`", region.role, region.name),
                "add `kafka: {bootstrap: [\"host:9092\"]}`, or `kafka: {embedded: {}}` for a trial",
            ),
            (Role::Witness, None) => {}
            (Role::Primary | Role::Standby, Some(kafka)) => self.client_certificate(kafka, path),
        }
    }

    fn client_certificate(&mut self, kafka: &Kafka, path: &str) {
        let Kafka::Cluster(cluster) = kafka else { return };
        let Some(tls) = &cluster.tls else { return };
        if tls.cert.is_some() != tls.key.is_some() {
            self.error(
                Code::Contradiction,
                &format!("{path}/kafka/tls"),
                "a client certificate needs both `cert` and `key`",
                "add the other one, or remove both",
            );
        }
    }

    fn roles(&mut self) {
        let names = |role: Role| -> Vec<usize> {
            let regions = self.topology.spec.regions.iter().enumerate();
            regions.filter(|(_, region)| region.role == role).map(|(index, _)| index).collect()
        };
        for (role, required) in [(Role::Primary, true), (Role::Standby, true), (Role::Witness, false)] {
            match names(role).as_slice() {
                [] if required => self.error(
                    Code::Roles,
                    "spec/regions",
                    format!("mode `active-passive` needs a {role}, and no region is one"),
                    format!("give one region `role: {role}`"),
                ),
                [] | [_] => {}
                [first, second, ..] => {
                    let span = self.node.span_at(&format!("spec/regions/{second}/role"));
                    let other = self.node.span_at(&format!("spec/regions/{first}/role"));
                    let message = format!("mode `active-passive` has one {role}, and this is the second");
                    let finding = Diagnostic::error(Code::Roles, span, message).related(other, "the first");
                    self.errors.push(finding.help("one primary, one standby, at most one witness"));
                }
            }
        }
    }

    fn quorum(&mut self) {
        let failover = &self.topology.spec.failover;
        let voters = self.topology.spec.regions.len() as u64;
        let witness = self.topology.witness().is_some();
        if failover.automation == Automation::Auto && !witness {
            let span = self.node.span_at("spec/failover/automation");
            let finding = Diagnostic::error(Code::NoWitness, span, "automatic failover needs a witness")
                .label("two observers cannot tell a dead region from a dead link")
                .related(self.node.span_at("spec/regions"), "no region here is a witness")
                .help("add `{name: ..., role: witness}` at a third site, or use `automation: approve`");
            self.errors.push(finding);
        }
        let quorum = failover.detect.quorum.get();
        let path = "spec/failover/detect/quorum";
        if quorum > voters {
            let message = format!("a quorum of {quorum} cannot be reached: there are {voters} observers");
            self.error(Code::Quorum, path, message, "one observer runs in each region, the witness included");
        } else if quorum * 2 <= voters && failover.automation == Automation::Auto {
            let message = format!("{quorum} of {voters} observers are no majority");
            self.error(Code::Quorum, path, message, format!("use `quorum: {}`", voters / 2 + 1));
        } else if quorum == 0 {
            self.error(Code::Quorum, path, "a quorum of 0 asks nobody", "use `quorum: 2`");
        }
    }

    fn probing(&mut self) {
        let detect = &self.topology.spec.failover.detect;
        if detect.fail_after.get() == 0 {
            let path = "spec/failover/detect/failAfter";
            self.error(
                Code::Number,
                path,
                "a region cannot be lost after 0 failed probes",
                "use `failAfter: 3`",
            );
        }
        if detect.every.is_zero() {
            let path = "spec/failover/detect/every";
            self.error(
                Code::Number,
                path,
                "probes cannot follow each other without time between",
                "use `every: 2s`",
            );
        }
        if detect.signals.is_empty() {
            let path = "spec/failover/detect/signals";
            let help = "use `signals: [metadata, produce-canary, fetch-canary]`, or leave it out";
            self.error(Code::EmptyList, path, "nothing is probed", help);
        }
        if self.topology.spec.failover.fencing.methods.is_empty() {
            let help = "use `methods: [cut-gateways, seal-writes]`, or leave it out";
            self.error(
                Code::EmptyList,
                "spec/failover/fencing/methods",
                "nothing fences the old primary",
                help,
            );
        }
    }

    fn data_loss(&mut self) {
        let spec = &self.topology.spec;
        if spec.budgets.rpo.max.is_zero() && !spec.buffer.enabled {
            let span = self.node.span_at("spec/budgets/rpo");
            let finding = Diagnostic::error(
                Code::RpoWithoutBuffer,
                span,
                "nothing may be lost, but there is no buffer",
            )
            .label("mirroring alone is always a little behind")
            .help("add `buffer: {enabled: true}`, or allow some loss: `rpo: 10s`");
            self.errors.push(finding);
        }
    }

    fn buffer(&mut self) {
        let every = self.topology.spec.buffer.fsync.every;
        if every > FSYNC_WAIT_MAX {
            let message = format!("records would wait {} for the disk", duration_text(every));
            let help = format!("use {} at most; `every: 5ms` is much", duration_text(FSYNC_WAIT_MAX));
            self.error(Code::Number, "spec/buffer/fsync/every", message, help);
        }
    }

    fn gateway(&mut self) {
        let buffer = &self.topology.spec.buffer;
        let address = buffer.listen.host().parse::<core::net::IpAddr>();
        let beyond_loopback = address.is_ok_and(|address| !address.is_loopback());
        if beyond_loopback && buffer.tls.is_none() && !buffer.allow_plaintext {
            self.error(
                Code::PlaintextListener,
                "spec/buffer/listen",
                "the gateway would listen beyond loopback without TLS",
                "add `tls: {cert: {fromFile: ...}, key: {fromFile: ...}}`, or `allowPlaintext: true` where the \
                 network is trusted",
            );
        }
    }

    fn dns(&mut self) {
        for (index, record) in self.topology.spec.failover.dns.iter().enumerate() {
            let path = format!("spec/failover/dns/{index}");
            let known: Vec<&str> =
                self.topology.spec.regions.iter().map(|region| region.name.as_str()).collect();
            for name in record.targets.keys().filter(|name| self.topology.region(name).is_none()) {
                let span = self.key_span(&format!("{path}/targets"), name.as_str());
                let finding =
                    Diagnostic::error(Code::UnknownRegion, span, format!("there is no region `{name}`"));
                let finding = match nearest(name.as_str(), &known) {
                    Some(near) => finding.label(format!("did you mean `{near}`?")),
                    None => finding,
                };
                self.errors.push(finding.help(format!("`regions` has: {}", known.join(", "))));
            }
            let misspelt = record.targets.keys().any(|name| self.topology.region(name).is_none());
            let data = self.topology.spec.regions.iter().filter(|region| region.role != Role::Witness);
            for region in data.filter(|region| !misspelt && !record.targets.contains_key(&region.name)) {
                let message = format!("`{}` has no target for `{}`", record.name, region.name);
                let help = format!("add `{}: ...` to `targets`", region.name);
                self.error(Code::DnsTargetMissing, &format!("{path}/targets"), message, help);
            }
            self.dns_contents(record, &path);
        }
    }

    fn key_span(&self, path: &str, key: &str) -> crate::source::Span {
        let map = path.split('/').try_fold(self.node, |node, step| node.at(step));
        map.and_then(|map| map.entry(key)).map_or_else(|| self.node.span_at(path), |entry| entry.key_span)
    }

    fn dns_contents(&mut self, record: &super::DnsRecord, path: &str) {
        for (region, targets) in &record.targets {
            let at = format!("{path}/targets/{region}");
            let targets = targets.as_slice();
            match record.record_type {
                DnsRecordType::A => {
                    for target in
                        targets.iter().filter(|target| target.parse::<core::net::Ipv4Addr>().is_err())
                    {
                        let message = format!("an A record holds IPv4 addresses, and `{target}` is none");
                        self.error(Code::Address, &at, message, "use an address, or `type: CNAME`");
                    }
                }
                DnsRecordType::Cname if targets.len() > 1 => {
                    let message = "a CNAME record holds one name";
                    self.error(Code::Address, &at, message, "keep one, or use `type: A` with addresses");
                }
                DnsRecordType::Cname => {}
            }
        }
        if !is_dns_name(&record.name) {
            let message = format!("`{}` is no DNS name", record.name);
            let help = "use labels of letters, digits and `-` with dots between: `kafka.example.com`";
            self.error(Code::Name, &format!("{path}/name"), message, help);
        }
        if let DnsProvider::Rfc2136(server) = &record.provider {
            let zone = server.zone.trim_end_matches('.');
            let name = record.name.trim_end_matches('.');
            if name != zone && !name.ends_with(&format!(".{zone}")) {
                let message = format!("`{name}` is not in the zone `{zone}`");
                self.error(
                    Code::Contradiction,
                    &format!("{path}/provider/rfc2136/zone"),
                    message,
                    "name its zone",
                );
            }
        }
    }

    fn recovery_time(&mut self) {
        let budget = self.topology.spec.budgets.rto.max;
        let arithmetic = self.topology.rto_arithmetic();
        if arithmetic.total <= budget {
            return;
        }
        let path = "spec/budgets/rto";
        let span = self.node.span_of(&format!("{path}/max")).unwrap_or_else(|| self.node.span_at(path));
        let over = arithmetic.total.saturating_sub(budget);
        let finding = Diagnostic::error(Code::RtoUnmeetable, span, "this recovery time cannot be met")
            .label(format!("the worst case below is {}", duration_text(arithmetic.total)))
            .note(arithmetic.to_string())
            .help(recovery_time_help(&arithmetic, over));
        let largest = arithmetic.largest_adjustable().and_then(|term| term.path.as_ref());
        self.errors.push(match largest.and_then(|path| self.node.span_of(&format!("spec/{path}"))) {
            Some(largest) => finding.related(largest, "the longest part that can be changed"),
            None => finding,
        });
    }
}

fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(legal);
    name.len() <= 253 && name.split('.').all(label)
}

fn recovery_time_help(arithmetic: &RtoArithmetic, over: Duration) -> String {
    let allow = format!("allow `rto: {}`", duration_text(arithmetic.total));
    match arithmetic.largest_adjustable() {
        Some(term) if term.duration > over => {
            let enough = duration_text(term.duration.saturating_sub(over));
            format!("bring `{}` down to {enough}, or {allow}", term.name)
        }
        Some(term) => {
            format!("bring `{}` down from {}, or {allow}", term.name, duration_text(term.duration))
        }
        None => allow,
    }
}

/// `cooldown >= 2 x worst case`, else a second failover can begin while the first settles.
fn short_cooldown(topology: &Topology, node: &Node) -> Option<Diagnostic> {
    let failover = &topology.spec.failover;
    let needed = topology.rto_arithmetic().total.saturating_mul(2);
    if failover.automation != Automation::Auto || failover.cooldown >= needed {
        return None;
    }
    let span = node.span_at("spec/failover/cooldown");
    let message = format!("`cooldown` is {}, shorter than two worst cases", duration_text(failover.cooldown));
    let help = format!("use `cooldown: {}` or more", duration_text(needed));
    Some(Diagnostic::warning(Code::CooldownShort, span, message).help(help))
}

/// Where a region's Kafka is said to be, with the place of each address; any free port is none.
fn addresses(region: &Region, index: usize) -> Vec<(&HostPort, String)> {
    let path = format!("spec/regions/{index}/kafka");
    match &region.kafka {
        Some(Kafka::Cluster(cluster)) => {
            let places = (0..).map(|broker| format!("{path}/bootstrap/{broker}"));
            cluster.bootstrap.iter().zip(places).collect()
        }
        Some(Kafka::Embedded(embedded)) if embedded.listen.port() != 0 => {
            vec![(&embedded.listen, format!("{path}/embedded/listen"))]
        }
        Some(Kafka::Embedded(_)) | None => Vec::new(),
    }
}
