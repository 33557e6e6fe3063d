//! What goes wrong in a simulated network, and how often.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// One kind of what can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Messages take up to 3 s; without it, up to 200 ms.
    Delay,
    /// 15 % of all messages are lost.
    Drop,
    /// 10 % of all messages come twice.
    Duplicate,
    /// Messages overtake each other.
    Reorder,
    /// For up to 15 s some nodes and the others do not hear each other.
    Partition,
    /// A node's process dies, and starts again within 15 s.
    Crash,
    /// Clocks of nodes are up to 3 s off, where no chain tells the time.
    ClockSkew,
    /// A node's disk takes nothing for up to 10 s.
    Disk,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Delay,
        Self::Drop,
        Self::Duplicate,
        Self::Reorder,
        Self::Partition,
        Self::Crash,
        Self::ClockSkew,
        Self::Disk,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Partition => "partition",
            Self::Crash => "crash",
            Self::ClockSkew => "clock-skew",
            Self::Disk => "disk",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected delay, drop, duplicate, reorder, partition, crash, clock-skew or disk")]
pub struct ParseFaultError;

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or(ParseFaultError)
    }
}

/// What the network does to messages, and the world to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// A message takes from 5 ms to this, in milliseconds.
    pub most_delay_ms: u64,
    /// How many messages of a thousand are lost.
    pub drop_permille: u64,
    /// How many of a thousand come twice.
    pub double_permille: u64,
    /// Whether messages from one party to another overtake each other.
    pub reorders: bool,
    /// By how much a node's clock is off at most, in seconds.
    pub most_skew_secs: u64,
    /// The mean time between two crashes of one node, in milliseconds; 0 for none.
    pub crash_every_ms: u64,
    /// The mean time between two partitions of the network, in milliseconds; 0 for none.
    pub partition_every_ms: u64,
    /// The mean time between two faults of one node's disk, in milliseconds; 0 for none.
    pub disk_every_ms: u64,
}

impl Weather {
    /// Messages take up to 200 ms, and nothing goes wrong but that they overtake each other and clocks differ.
    pub const CALM: Self = Self { reorders: true, most_skew_secs: 3, ..Self::STILL };

    /// Late, lost, doubled and overtaken messages, and crashes.
    pub const STORM: Self = Self {
        most_delay_ms: 3_000,
        drop_permille: 150,
        double_permille: 100,
        crash_every_ms: 130_000,
        ..Self::CALM
    };

    const STILL: Self = Self {
        most_delay_ms: 200,
        drop_permille: 0,
        double_permille: 0,
        reorders: false,
        most_skew_secs: 0,
        crash_every_ms: 0,
        partition_every_ms: 0,
        disk_every_ms: 0,
    };

    /// These faults, and no other.
    pub fn of(faults: &BTreeSet<Fault>) -> Self {
        faults.iter().fold(Self::STILL, |weather, fault| match fault {
            Fault::Delay => Self { most_delay_ms: Self::STORM.most_delay_ms, ..weather },
            Fault::Drop => Self { drop_permille: Self::STORM.drop_permille, ..weather },
            Fault::Duplicate => Self { double_permille: Self::STORM.double_permille, ..weather },
            Fault::Reorder => Self { reorders: true, ..weather },
            Fault::Partition => Self { partition_every_ms: 120_000, ..weather },
            Fault::Crash => Self { crash_every_ms: Self::STORM.crash_every_ms, ..weather },
            Fault::ClockSkew => Self { most_skew_secs: Self::CALM.most_skew_secs, ..weather },
            Fault::Disk => Self { disk_every_ms: 200_000, ..weather },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_each_fault_changes_the_weather() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_ne!(Weather::of(&BTreeSet::from([fault])), Weather::STILL, "{fault}");
        }
        assert_eq!("rain".parse::<Fault>(), Err(ParseFaultError));
    }
}
