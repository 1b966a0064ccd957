//! One scenario from its first line to its last.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};

use crate::cluster::Cluster;
use crate::dump::dump;
use crate::namespace::Namespace;

/// Longest scenario.
const LONGEST: Duration = Duration::from_mins(10);
/// Set to 1 to leave the namespace of a scenario that failed as it is.
const KEEP_FAILED: &str = "EDGE_KEEP_FAILED";

/// Runs `body` in a namespace of its own, named after `name`. Skipped without a cluster, see [`Cluster::connect`].
///
/// # Panics
/// When `body` does, or takes longer than ten minutes.
pub async fn scenario(name: &str, body: impl AsyncFnOnce(&Namespace)) {
    let Some(cluster) = Cluster::connect(name).await else { return };
    let namespace = Namespace::create(cluster, name).await;
    let began = Instant::now();
    let ended = AssertUnwindSafe(timeout(LONGEST, body(&namespace))).catch_unwind().await;
    let failure: Option<Box<dyn std::any::Any + Send>> = match ended {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(Box::new(format!("{name} was not over within {LONGEST:?}"))),
        Err(panic) => Some(panic),
    };
    let Some(failure) = failure else {
        namespace.remove().await;
        return;
    };
    let why = failure.downcast_ref::<String>().cloned().or_else(|| failure.downcast_ref::<&str>().map(|&why| why.to_owned()));
    let folder = dump(&namespace, why.as_deref().unwrap_or("(no message)")).await;
    let _ = writeln!(std::io::stderr(), "FAILED {name} after {:?}: look into {}", began.elapsed(), folder.display());
    if std::env::var(KEEP_FAILED).as_deref() == Ok("1") {
        let _ = writeln!(std::io::stderr(), "       namespace {} is kept", namespace.name());
    } else {
        namespace.remove().await;
    }
    resume_unwind(failure);
}
