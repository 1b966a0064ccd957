//! What came out, by area.

use std::fmt;

use serde_json::Value;

use crate::areas::Area;
use crate::deviations::{self, DEVIATIONS};
use crate::record::{Record, Records};

/// What a check found.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) expected: Value,
    pub(crate) got: Value,
}

impl Outcome {
    pub(crate) fn new(expected: impl Into<Value>, got: impl Into<Value>) -> Self {
        Self { expected: expected.into(), got: got.into() }
    }

    fn agrees(&self) -> bool {
        self.expected == self.got
    }
}

/// All outcomes, counted.
pub(crate) struct Report {
    areas: Vec<Tally>,
    failed: Vec<String>,
    stale: Vec<String>,
    deviating: Vec<String>,
    /// The ids of the listed deviations that were met.
    met: Vec<&'static str>,
    /// Of each area of the file that was not run, its number of records.
    not_run: Vec<usize>,
}

#[derive(Default)]
struct Tally {
    name: &'static str,
    passed: usize,
    failed: usize,
    deviating: usize,
}

impl Report {
    pub(crate) fn new(records: &Records, selected: &[&Area]) -> Self {
        let is_run = |area: &str| selected.iter().any(|selected| selected.name == area);
        let not_run = records.areas().into_iter().filter(|(area, _)| !is_run(area));
        Self {
            areas: Vec::new(),
            failed: Vec::new(),
            stale: Vec::new(),
            deviating: Vec::new(),
            met: Vec::new(),
            not_run: not_run.map(|(_, count)| count).collect(),
        }
    }

    pub(crate) fn add(&mut self, area: &'static str, record: &Record, outcome: &Outcome) {
        if self.areas.last().is_none_or(|tally| tally.name != area) {
            self.areas.push(Tally { name: area, ..Tally::default() });
        }
        let Some(tally) = self.areas.last_mut() else { return };
        let id = &record.id;
        let (got, listed) = (outcome.got.to_string(), deviations::of(id));
        self.met.extend(listed.map(|deviation| deviation.id));
        match (outcome.agrees(), listed) {
            (true, None) => tally.passed += 1,
            (true, Some(_)) => {
                tally.failed += 1;
                self.stale.push(format!("{id}: is listed as a deviation, and agrees"));
            }
            (false, Some(deviation)) if deviation.got == got => {
                tally.deviating += 1;
                self.deviating.push(format!("{id}: {}", deviation.reason));
            }
            (false, Some(deviation)) => {
                tally.failed += 1;
                self.failed.push(format!("{id}: is listed as a deviation that gives {}, got {got}", deviation.got));
            }
            (false, None) => {
                tally.failed += 1;
                self.failed.push(format!("{id}: expected {}, got {got}", outcome.expected));
            }
        }
    }

    /// Says which deviations are listed and were not met, after everything that this program knows was run.
    pub(crate) fn miss_deviations(&mut self) {
        let missed = DEVIATIONS.iter().filter(|deviation| !self.met.contains(&deviation.id));
        self.stale
            .extend(missed.map(|deviation| format!("{}: is listed as a deviation, and there is no such record", deviation.id)));
    }

    pub(crate) fn is_success(&self) -> bool {
        self.failed.is_empty() && self.stale.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>7} {:>7} {:>10}", "area", "passed", "failed", "deviating")?;
        for Tally { name, passed, failed, deviating } in &self.areas {
            writeln!(f, "{name:<32} {passed:>7} {failed:>7} {deviating:>10}")?;
        }
        let sum = |count: fn(&Tally) -> usize| self.areas.iter().map(count).sum::<usize>();
        let (passed, failed, deviating) = (sum(|tally| tally.passed), sum(|tally| tally.failed), sum(|tally| tally.deviating));
        writeln!(f, "{:<32} {passed:>7} {failed:>7} {deviating:>10}", "all")?;
        for (title, lines) in
            [("deviating, as listed", &self.deviating), ("failed", &self.failed), ("no deviation any more", &self.stale)]
        {
            if !lines.is_empty() {
                writeln!(f, "\n{title}:")?;
                lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
            }
        }
        if !self.not_run.is_empty() {
            let records: usize = self.not_run.iter().sum();
            writeln!(f, "\nnot run: {records} records of {} other areas", self.not_run.len())?;
        }
        Ok(())
    }
}
