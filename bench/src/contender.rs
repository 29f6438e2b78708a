//! A runtime, or a stand-in for one, by its functions. [`contenders`](crate::contenders) has the list.

use std::{io, path::Path};

use crate::{
    cost::Cost,
    workload::{Load, OnDisk, Parked, Running, Serve, ServeUnix, Tasks, Timers, Work},
};

/// A runtime, or a stand-in for one, with its rows.
pub struct Contender {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// The package whose version is reported, and that version if the lock file has several.
    pub package: Option<&'static str>,
    /// Its settings, for the report.
    pub setting: &'static str,
    /// The names of missing rows, with the reason. A stand-in has only the rows where it makes sense,
    /// and gives no reasons for the others.
    pub lacks: &'static [(&'static str, &'static str)],
    /// See [`crate::rows::echo`].
    pub echo: Option<Serve>,
    /// See [`crate::rows::idle`].
    pub echo_pooled: Option<Serve>,
    /// See [`crate::rows::echo`].
    pub unix: Option<ServeUnix>,
    /// See [`crate::rows::echo`].
    pub udp: Option<Serve>,
    /// See [`crate::rows::accept`].
    pub accept: Option<Serve>,
    /// See [`crate::rows::pairs`].
    pub pairs: Option<Work>,
    /// See [`crate::rows::file`].
    pub file: Option<OnDisk>,
    /// See [`crate::rows::disk`].
    pub direct: Option<OnDisk>,
    /// See [`crate::rows::disk`].
    pub fsync: Option<OnDisk>,
    /// See [`crate::rows::names`].
    pub metadata: Option<fn(Load, &Path) -> io::Result<Cost>>,
    /// See [`crate::rows::names`].
    pub rename: Option<fn(Load, &Path) -> io::Result<Cost>>,
    /// See [`crate::rows::nop`].
    pub nop: Option<Work>,
    /// See [`crate::rows::spawn`].
    pub spawn: Option<Work>,
    /// See [`crate::rows::turns`].
    pub turns: Option<Work>,
    /// See [`crate::rows::blocking`].
    pub blocking: Option<Work>,
    /// See [`crate::rows::sleep`].
    pub sleep: Option<Work>,
    /// See [`crate::rows::timeout`].
    pub timeout: Option<Work>,
    /// See [`crate::rows::wake`].
    pub wake_parked: Option<fn(Load) -> io::Result<Parked>>,
    /// See [`crate::rows::wake`].
    pub wake_running: Option<fn(Load) -> io::Result<Running>>,
    /// See [`crate::rows::wake`].
    pub ping_pong: Option<Work>,
    /// See [`crate::rows::scale`].
    pub scale_tasks: Option<fn(Load) -> io::Result<Tasks>>,
    /// See [`crate::rows::scale`].
    pub scale_timers: Option<fn(Load) -> io::Result<Timers>>,
}

impl Contender {
    /// A contender without rows.
    pub const NONE: Self = Self {
        name: "",
        package: None,
        setting: "",
        lacks: &[],
        echo: None,
        echo_pooled: None,
        unix: None,
        udp: None,
        accept: None,
        pairs: None,
        file: None,
        direct: None,
        fsync: None,
        metadata: None,
        rename: None,
        nop: None,
        spawn: None,
        turns: None,
        blocking: None,
        sleep: None,
        timeout: None,
        wake_parked: None,
        wake_running: None,
        ping_pong: None,
        scale_tasks: None,
        scale_timers: None,
    };

    /// The reason for a missing row, if it gives one.
    pub fn why_not(&self, row: &str) -> Option<&'static str> {
        let (_, reason) = self.lacks.iter().find(|(name, _)| *name == row)?;
        Some(reason)
    }
}
