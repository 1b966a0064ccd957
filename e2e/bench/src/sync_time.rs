//! How long the disk takes to keep a small write, as the journal makes it: over blocks that exist already.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use crate::Error;
use crate::stopwatch::Times;

/// Bytes of one write: about one message's record.
const WRITE_BYTES: usize = 400;
/// The file that is written over.
const FILE_BYTES: usize = 4 * 1024 * 1024;

/// Times of write and `fdatasync` together, in a file of its own in `folder`.
pub fn measure(folder: &Path, writes: usize) -> Result<Times, Error> {
    let path = folder.join("sync-time");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    let failed = || Error::file("write", &path);
    file.write_all_at(&vec![0; FILE_BYTES], 0).map_err(failed())?;
    file.sync_all().map_err(failed())?;
    let mut times = Times::default();
    for write in 0..writes {
        let at = write * WRITE_BYTES % (FILE_BYTES - WRITE_BYTES);
        let begun = Instant::now();
        file.write_all_at(&[7; WRITE_BYTES], at as u64).map_err(failed())?;
        file.sync_data().map_err(failed())?;
        times.add(begun.elapsed());
    }
    std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    Ok(times)
}
