//! Waiting for a condition.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Pause between two looks. Every scenario looks this often at one API server.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest single look.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Looks until `look` finds what it is after, and returns that. `Err` is what was seen instead.
///
/// # Panics
/// When it was not found within `within`; the message ends with what was seen last.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        let seen = match timeout(LONGEST_LOOK, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(seen)) => seen,
            Err(_) => format!("no answer within {LONGEST_LOOK:?}"),
        };
        assert!(began.elapsed() < within, "waited {within:?} for this: {what}\nlast seen: {seen}");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_looks_until_it_finds() {
        let mut looks = 0;
        let found = eventually("three looks", Duration::from_secs(10), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("{looks} looks")) }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "last seen: it rains")]
    async fn it_says_what_it_saw_last() {
        eventually::<()>("sunshine", Duration::from_secs(1), async || Err("it rains".to_owned())).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "no answer")]
    async fn a_look_that_hangs_is_given_up() {
        eventually::<()>("an answer", Duration::from_secs(1), async || std::future::pending().await).await;
    }
}
