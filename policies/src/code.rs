//! The stable codes of findings. A code keeps its meaning for ever; a retired one is not reused.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a finding is about. E01xx: the text and its shape; E02xx: a topology's meaning; E03xx: a
        /// drill's meaning; W: warnings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    Syntax = "E0101",
    /// A key stands twice in one mapping.
    DuplicateKey = "E0102",
    /// A mapping, list or text stands where another was needed.
    WrongShape = "E0103",
    /// A field without default is missing.
    MissingField = "E0104",
    /// The file is too large, too deep, or uses a YAML feature that policies leave out.
    Refused = "E0105",
    /// `apiVersion` or `kind` is not one of ours, or the file holds no document.
    UnknownKind = "E0110",
    /// Two documents have one kind and name.
    DuplicateDocument = "E0111",
    /// No field has this name.
    UnknownField = "E0112",
    /// The field is specified but this version does not do it.
    FieldNotYet = "E0113",
    /// The value is not one of the field's values.
    UnknownValue = "E0114",
    /// The value is specified but this version does not do it.
    ValueNotYet = "E0115",
    /// A duration, size or rate lacks its unit or has a wrong one.
    Unit = "E0120",
    /// A number is malformed or out of its range.
    Number = "E0121",
    /// A name has characters or a length that are not allowed.
    Name = "E0122",
    /// A regular expression does not compile.
    Regex = "E0123",
    /// A list that must name something is empty.
    EmptyList = "E0124",
    /// An address is not `host:port`, or an IP address is malformed.
    Address = "E0126",
    /// `${VAR}` names a variable that is not set.
    VariableUnset = "E0130",
    /// `${VAR}` is malformed, or its value has a line break.
    VariableMalformed = "E0131",
    /// A secret is written in the file.
    SecretInClear = "E0140",
    /// Two regions have one name.
    DuplicateRegion = "E0201",
    /// A region is named that `regions` does not have.
    UnknownRegion = "E0202",
    /// The mode needs other roles than there are.
    Roles = "E0203",
    /// Automatic failover without a third vote.
    NoWitness = "E0204",
    /// A data-loss budget of zero without the producer buffer.
    RpoWithoutBuffer = "E0205",
    /// The quorum cannot be reached, or is no majority.
    Quorum = "E0206",
    /// The worst case is longer than the recovery-time budget.
    RtoUnmeetable = "E0207",
    /// A region has no Kafka, or a witness has one.
    RegionKafka = "E0209",
    /// A DNS record lacks a target for a region that can be promoted.
    DnsTargetMissing = "E0210",
    /// An embedded DNS server or region beside a real one that cannot reach it, or a similar contradiction.
    Contradiction = "E0211",
    /// A listener beyond loopback without TLS.
    PlaintextListener = "E0212",
    /// Two regions are one Kafka cluster.
    SharedCluster = "E0213",
    /// A step's fields do not fit its kind.
    Step = "E0301",
    /// A drill's expectations cannot be judged with its load.
    Expectation = "E0302",
    /// A fault or action names what the topology does not have.
    DrillTarget = "E0303",
    /// The file of a drill's topology cannot be read or has errors.
    DrillTopology = "E0304",
    /// Failovers may follow each other faster than one can finish.
    CooldownShort = "W0301",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
