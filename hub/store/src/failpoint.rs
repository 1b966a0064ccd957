//! Named places at which a test can have the process killed. Empty unless the feature `failpoints` is on.
//!
//! `EDGE_FAILPOINT=name:count` kills the process with SIGKILL when it comes to the place of that name for the count-th time (1 by
//! default). Nothing is flushed, and nobody is told.

/// A named place. Costs nothing without the feature.
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::hit($name);
    };
}

/// The places of the journal, in the order in which a record comes to them.
pub const NAMES: [&str; 12] = [
    "submitted",
    "append",
    "written",
    "synced",
    "acknowledged",
    "cursor-written",
    "rotate-sealed",
    "rotate-head",
    "clean-written",
    "clean-synced",
    "clean-named",
    "clean-freed",
];

/// The process has come to a place.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("EDGE_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    let Some((wanted, count)) = wanted else { return };
    if wanted == name && HITS.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // Until the signal arrives.
        loop {
            std::thread::park();
        }
    }
}
