//! How many unauthenticated connections each address has, so that one cannot take all places.
//!
//! An entry exists as long as one of its address's connections does: there are never more than places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Unauthenticated connections of one address: a quarter of all places. A pod needs one; a gateway's whole site may share an address.
pub(super) const MAX_PER_ADDRESS: usize = super::MAX_HANDSHAKES / 4;

type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The table of addresses.
#[derive(Clone, Default)]
pub(super) struct Peers(Counts);

/// One connection's share; dropping it gives it back.
pub(super) struct Share {
    counts: Counts,
    address: IpAddr,
}

impl Peers {
    /// A share for one more connection of `address`; none: it has [`MAX_PER_ADDRESS`].
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MAX_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Share { counts: Arc::clone(&self.0), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_share_and_no_more_and_leaves_others_theirs() {
        let peers = Peers::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut shares: Vec<_> = (0..MAX_PER_ADDRESS).map(|_| peers.take(one).unwrap()).collect();
        assert!(peers.take(one).is_none());
        assert!(peers.take(other).is_some());
        shares.pop();
        assert!(peers.take(one).is_some());
        drop(shares);
        assert!(peers.0.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }
}
