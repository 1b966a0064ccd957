//! The rig: one hub after the other on the same data, until every place has been hit.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_bench::hub::{self, Hub};
use edge_bench::say;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::load::{self, ABSENT, PUBLISHERS, Phase, READER, WINDOW};
use crate::plan::{Plan, Target};

/// Bytes that the hub may keep: a handful of segments, so that they are used again and cleaned all the time.
const JOURNAL_BYTES: u64 = 24 * 1024 * 1024;
/// Deliveries in flight of the reader.
const DELIVERY_WINDOW: u32 = 100;
/// What the reader may settle until it is saved: with the next commit, or after 100 ms without one. Some times what was ever seen on a
/// busy machine; a hub that saves nothing is soon a hundred times beyond.
const UNSAVED: u64 = 3000;
/// How far back a message may be that comes again: what was in flight to the hub and from it, and what was settled and not saved.
const REACH: u64 = WINDOW as u64 + DELIVERY_WINDOW as u64 + UNSAVED;
/// A hub that has not come to its place by then never will.
const PATIENCE: Duration = Duration::from_secs(15);
/// For so long the publishers publish, and for so long they rest: longer than the hub waits before it saves cursors by themselves.
const GO: Duration = Duration::from_millis(400);
const REST: Duration = Duration::from_millis(160);
/// Time for the last messages to arrive, when no hub is killed any more.
const LAST_ARRIVALS: Duration = Duration::from_mins(1);
/// How often the ledger is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Kills between two lines of progress.
const PROGRESS: u32 = 50;

/// Why the rig cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The hub, or a client of it.
    #[error(transparent)]
    Bench(#[from] edge_bench::Error),
    /// The hub ended by itself.
    #[error("the hub ended by itself with {status}, on its way to {place}")]
    Ended {
        /// Where it was going.
        place: &'static str,
        /// How.
        status: ExitStatus,
    },
    /// A place that the hub never comes to.
    #[error("the hub does not come to {place}")]
    NeverThere {
        /// Which.
        place: &'static str,
    },
    /// A task panicked.
    #[error("a client came to no end of its own")]
    Client,
}

/// The first hub, with everything of it in `folder`.
pub(crate) fn start(program: PathBuf, folder: PathBuf) -> Result<Hub, Error> {
    let modules = ["probe", READER, ABSENT].map(str::to_owned).into_iter().chain((0..PUBLISHERS).map(load::publisher));
    let setup = hub::Plan {
        program,
        folder,
        routes: load::routes(),
        modules: modules.collect(),
        tls: false,
        max_journal_bytes: JOURNAL_BYTES,
        delivery_window: DELIVERY_WINDOW,
        environment: Vec::new(),
    };
    Ok(setup.start()?)
}

/// Runs it, and prints what came of it. False: something must not be.
pub(crate) async fn run(mut hub: Hub, mut plan: Plan, sabotage: Option<String>) -> Result<bool, Error> {
    let port = hub.address.port;
    let ledger = Arc::new(Ledger::new(PUBLISHERS, REACH));
    let (phase, phases) = watch::channel(Phase::Go);
    let reader = tokio::spawn(load::read(port, Arc::clone(&ledger)));
    let mut publishers = JoinSet::new();
    for place in 0..PUBLISHERS {
        publishers.spawn(load::publish(port, place, Arc::clone(&ledger), phases.clone()));
    }
    let killing = async {
        let mut said = 0;
        while let Some(target) = plan.next() {
            kill_at(&mut hub, &target, sabotage.as_deref(), &mut plan).await?;
            ledger.hub_died(Instant::now());
            if plan.kills() >= said + PROGRESS {
                said = plan.kills();
                let summary = ledger.summary();
                say(&format!("{said} kills, {} acknowledged, {} arrived", summary.acknowledged, summary.arrived));
            }
            if ledger.summary().fault_count > 0 {
                break;
            }
        }
        Ok::<_, Error>(())
    };
    tokio::select! {
        killed = killing => killed?,
        () = rhythm(&phase) => {}
    }
    hub.relaunch(Vec::new())?;
    phase.send_replace(Phase::Finish);
    let finishing = async {
        while let Some(ended) = publishers.join_next().await {
            ended.map_err(|_| Error::Client)??;
        }
        while ledger.summary().missing > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, Error>(())
    };
    let in_time = tokio::time::timeout(LAST_ARRIVALS, finishing).await;
    reader.abort();
    if let Ok(finished) = in_time {
        finished?;
    }
    Ok(report(&plan, &ledger))
}

/// Publishers publish and rest in turn.
async fn rhythm(phase: &watch::Sender<Phase>) {
    loop {
        tokio::time::sleep(GO).await;
        phase.send_replace(Phase::Rest);
        tokio::time::sleep(REST).await;
        phase.send_replace(Phase::Go);
    }
}

/// Starts the hub anew so that it dies at the target, and waits until it does.
async fn kill_at(hub: &mut Hub, target: &Target, sabotage: Option<&str>, plan: &mut Plan) -> Result<(), Error> {
    let mut environment = vec![("EDGE_FAILPOINT".to_owned(), target.setting())];
    environment.extend(sabotage.map(|sabotage| ("EDGE_SABOTAGE".to_owned(), sabotage.to_owned())));
    hub.relaunch(environment)?;
    let Ok(status) = tokio::time::timeout(PATIENCE, hub.process.ended()).await else {
        hub.process.kill();
        return if plan.missed(target) { Ok(()) } else { Err(Error::NeverThere { place: target.place }) };
    };
    let status = status?;
    // 9 is SIGKILL; nobody else sends it.
    if status.signal() != Some(9) {
        return Err(Error::Ended { place: target.place, status });
    }
    plan.hit(target);
    Ok(())
}

fn report(plan: &Plan, ledger: &Ledger) -> bool {
    for (place, hits) in plan.report() {
        say(&format!("{place:<20} hit {hits:>4} times"));
    }
    let summary = ledger.summary();
    say(&format!(
        "{} kills; {} messages acknowledged, {} arrived, {} came again: up to {} back (at most {REACH}), first come up to {:?} before the hub died",
        plan.kills(),
        summary.acknowledged,
        summary.arrived,
        summary.repeated,
        summary.furthest_back,
        summary.longest_before,
    ));
    say(&format!("acknowledged and lost: {}; other faults: {}", summary.missing, summary.fault_count));
    for fault in &summary.faults {
        say(&format!("    {fault}"));
    }
    summary.missing == 0 && summary.fault_count == 0 && summary.arrived > 0
}
