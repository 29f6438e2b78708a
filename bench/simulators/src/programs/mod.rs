//! The programs.

mod files;
mod hosts;
mod log;
mod network;

use crate::{Scenario, System};

/// A program and the expectation of a run.
pub struct Program {
    pub name: &'static str,
    pub kind: Kind,
    /// Adds the hosts, with the fault or without it.
    pub build: fn(&mut Scenario, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A seed finds the fault. No seed fails without it.
    Fault,
    /// There is no fault, so that no seed may fail.
    NoFault,
    /// Two runs of a seed may have two records.
    Chance,
    /// Not in the table: for measurements of time.
    Load,
}

/// All programs.
pub fn all<S: System>() -> Vec<Program> {
    macro_rules! programs {
        ($($kind:ident $module:ident::$name:ident,)*) => {
            vec![$(Program {
                name: stringify!($name),
                kind: Kind::$kind,
                build: $module::$name::<S>,
            }),*]
        };
    }
    programs![
        Fault log::acknowledged_before_sync,
        Fault log::torn_tail_any_length,
        Fault log::torn_tail_no_checksum,
        Fault log::torn_tail_refused,
        Fault log::retried_sync,
        Fault log::aborted_entry_returns,
        Fault log::padding_outside_checksum,
        Fault files::rename_without_directory_sync,
        Fault files::rename_without_file_sync,
        Fault files::empty_main_file,
        Fault files::logs_of_two_versions,
        Fault files::header_without_body,
        Fault files::read_of_older_view,
        Fault network::messages_in_one_read,
        Fault network::message_in_many_reads,
        Fault network::no_limit_in_partition,
        Fault network::no_limit_at_power_loss,
        Fault network::end_of_killed_server,
        Fault network::retry_applied_twice,
        Fault network::datagram_overtakes,
        Fault network::datagram_twice,
        Fault hosts::role_after_restart,
        Fault hosts::view_from_probe,
        Fault hosts::order_of_tasks,
        NoFault network::short_partition,
        Chance hosts::order_of_hash_set,
        Chance hosts::clock_of_std,
        Load network::busy,
        Load network::idle,
    ]
}
