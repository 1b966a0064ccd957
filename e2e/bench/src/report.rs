//! Figures as text, each beside what was asked of it.

use std::time::Duration;

use crate::line::{Line, Measured, Series, Target};
use crate::say;
use crate::stopwatch::median;

/// Is a bound held?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Pass,
    /// No.
    Fail,
}

impl Verdict {
    /// PASS where it holds.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Pass } else { Self::Fail }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
        }
    }
}

/// Prints one figure that may be at most so large, and judges it.
pub fn at_most(what: &str, figure: f64, bound: f64, unit: &str) -> Verdict {
    let verdict = Verdict::of(figure <= bound);
    say(&format!("{:<58} {figure:>10.2} {unit:<8} at most {bound:>8.2}   {}", what, verdict.word()));
    verdict
}

/// Prints a figure of which nothing is asked.
pub fn figure(what: &str, figure: f64, unit: &str) {
    say(&format!("{what:<58} {figure:>10.2} {unit}"));
}

/// Prints a line and judges it.
pub fn line(line: &Line, measured: &Measured) -> Verdict {
    let Measured { hub, beside, syncs } = measured;
    series(line.name, hub);
    series("", beside);
    let ratio = median(&hub.rates) / median(&beside.rates).max(1e-9);
    // Lost or disordered messages make any rate worthless; at QoS 0 only the broker beside may lose.
    let sound = hub.lost == 0 && hub.disordered == 0;
    let (figure, bound, holds, unit) = match line.target {
        Target::TimesMosquitto(least) => (ratio, least, ratio >= least, "x mosquitto"),
        Target::OfUnconditional(least) => (ratio, least, ratio >= least, "of the unconditional rate"),
        Target::TimesSync(most) => {
            let sync = syncs.percentile(50);
            say(&format!("    a synced write: p50 {}, p99 {}", millis(sync), millis(syncs.percentile(99))));
            let ratio = hub.acknowledged.percentile(50).as_secs_f64() / sync.as_secs_f64().max(1e-9);
            (ratio, most, ratio <= most, "x a synced write, acknowledgement p50")
        }
    };
    let verdict = Verdict::of(holds && sound);
    let relation = if matches!(line.target, Target::TimesSync(_)) { "at most" } else { "at least" };
    say(&format!("    {figure:.2} {unit}, {relation} {bound:.2}: {}", verdict.word()));
    verdict
}

fn series(name: &str, series: &Series) {
    let (low, high) = series.rates.iter().fold((f64::MAX, 0.0_f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
    let share = |time: Duration| time.as_secs_f64() / series.took.as_secs_f64().max(1e-9) * 100.0;
    let mut text = format!(
        "{name:<30} {:<13} {:>9.0}/s ({low:.0} to {high:.0})  ack p50 {} p99 {}  processor: server {:.0} %, client {:.0} %",
        series.name,
        median(&series.rates),
        millis(series.acknowledged.percentile(50)),
        millis(series.acknowledged.percentile(99)),
        share(series.server_time),
        share(series.client_time),
    );
    for (count, what) in [(series.lost, "lost"), (series.disordered, "out of order"), (series.repeated, "repeated")] {
        if count > 0 {
            text.extend(["  ", &count.to_string(), " ", what]);
        }
    }
    say(&text);
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
