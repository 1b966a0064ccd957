//! Reading segments for what is still wanted of them, and writing that into one file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::moving;
use crate::disk::DiskFile;
use crate::fail_point;
use crate::journal::ledger::Segment;
use crate::journal::scan::{Scanner, Span, Step};
use crate::journal::shared::Shared;
use crate::journal::slots;
use crate::record::{self, Entry, Kind, QueueId, RecordRef};
use crate::seal::{self, QueueSpan, Seal};
use crate::segment::{Header, SEAL_AT, SegmentKind};

/// What is written at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Files are a multiple of what file systems give out.
const BLOCK_BYTES: u64 = 4096;

/// A segment to be moved.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) segment: Segment,
}

/// Of each queue, what is wanted of the sources. Records before its first mark are done with.
pub(crate) type Wanted = HashMap<QueueId, QueueSpan>;

/// A file that was written.
pub(crate) struct Copied {
    pub(crate) header: Header,
    pub(crate) seal: Seal,
}

/// The head of a copy, but for what is known at the end.
pub(crate) const fn header(generation: u64, first_offset: u64, covers: (u64, u64)) -> Header {
    Header { kind: SegmentKind::Compacted, generation, first_offset, file_bytes: 0, salt: 0, covers, records_at: 0 }
}

/// A copy that failed, and a file of it that could not be removed.
pub(crate) struct Failure {
    pub(crate) error: io::Error,
    pub(crate) leftover: Option<PathBuf>,
}

/// Bytes of each segment's records that some queue wants, as far as they could be read.
pub(crate) fn measure(shared: &Shared, sources: &[Source], wanted: &Wanted, measured: &mut HashMap<u64, u64>) -> io::Result<()> {
    for source in sources {
        let mut live = 0;
        walk(shared, source, &mut |record| {
            let entries = record.entries().filter(|entry| is_wanted(wanted, entry)).count();
            if entries > 0 {
                live += record::encoded_len(entries, record.payload.len()) as u64;
            }
            Ok(())
        })?;
        measured.insert(source.segment.generation, live);
    }
    Ok(())
}

fn is_wanted(wanted: &Wanted, entry: &Entry) -> bool {
    wanted.get(&entry.queue).is_some_and(|span| entry.number >= span.first.number)
}

/// Copies what is wanted into a file of just the size, whole and synced, under the name of a segment file. On failure nothing is left
/// of it, as far as the disk allows; also not where it has its name, and that may not be on disk.
pub(crate) fn copy(shared: &Shared, sources: &[Source], wanted: &Wanted, slot: u32, header: Header) -> Result<Copied, Failure> {
    let unfinished = shared.directory.join(slots::new_file_name(slot));
    let finished = shared.directory.join(slots::file_name(slot));
    let file = shared.disk.create(&unfinished).map_err(|error| Failure { error, leftover: None })?;
    let undo = |path: &Path| {
        let path = path.to_owned();
        move |error| Failure { error, leftover: moving::remove(shared, &path).is_err().then_some(path) }
    };
    let written = write(shared, sources, wanted, &file, header).and_then(|copied| {
        fail_point!("clean-written");
        file.sync_data()?;
        fail_point!("clean-synced");
        shared.disk.rename(&unfinished, &finished)?;
        Ok(copied)
    });
    let copied = written.map_err(undo(&unfinished))?;
    shared.disk.sync_dir(&shared.directory).map_err(undo(&finished))?;
    fail_point!("clean-named");
    Ok(copied)
}

fn write(
    shared: &Shared,
    sources: &[Source],
    wanted: &Wanted,
    file: &Arc<dyn DiskFile>,
    mut header: Header,
) -> io::Result<Copied> {
    let records_at = SEAL_AT + seal::area_bytes(wanted.len()) as u64;
    header.records_at = u32::try_from(records_at).unwrap_or(u32::MAX);
    header.salt = shared.salt;
    let seed = header.seed();
    let (mut buffer, mut position, mut end_offset) = (Vec::with_capacity(CHUNK_BYTES), records_at, header.first_offset);
    let mut entries = Vec::new();
    for source in sources {
        walk(shared, source, &mut |record| {
            entries.clear();
            entries.extend(record.entries().filter(|entry| is_wanted(wanted, entry)));
            if entries.is_empty() {
                return Ok(());
            }
            record::encode(&mut buffer, seed, (record.offset, 0), Kind::Message, &entries, record.payload);
            end_offset = record.offset + 1;
            if buffer.len() >= CHUNK_BYTES {
                file.write_at(&buffer, position)?;
                position += buffer.len() as u64;
                buffer.clear();
            }
            Ok(())
        })?;
    }
    let end_position = position + buffer.len() as u64;
    header.file_bytes = end_position.next_multiple_of(BLOCK_BYTES);
    buffer.resize(buffer.len() + usize::try_from(header.file_bytes - end_position).unwrap_or(0), 0);
    file.write_at(&buffer, position)?;
    let seal = Seal { end_offset, end_position, spans: wanted.values().copied().collect() };
    file.write_at(&seal.encode(seed), SEAL_AT)?;
    file.write_at(&header.encode(), 0)?;
    Ok(Copied { header, seal })
}

/// Calls with each message of a segment, past damage if there is some, which is noted.
fn walk(shared: &Shared, source: &Source, visit: &mut dyn FnMut(&RecordRef<'_>) -> io::Result<()>) -> io::Result<()> {
    let segment = &source.segment;
    let mut scanner = Scanner::new(Span {
        file: shared.disk.open(&source.path)?,
        seed: segment.seed,
        position: segment.records_at,
        offset: segment.first_offset,
        end_position: segment.end_position,
        end_offset: segment.end_offset,
        has_gaps: segment.compacted,
    });
    let mut damage = Vec::new();
    loop {
        let expected = scanner.span.offset;
        if let Step::Record(record) = scanner.step()? {
            if record.kind == Kind::Message {
                visit(&record)?;
            }
            continue;
        }
        if expected >= segment.end_offset {
            break;
        }
        let position = scanner.span.position;
        let found_more = scanner.resync()?;
        let next = if found_more { scanner.span.offset } else { segment.end_offset };
        // Where offsets have gaps, how many records stood there is not known.
        damage.push((position, if segment.compacted { 1 } else { next - expected }));
        if !found_more {
            break;
        }
    }
    // What each queue misses is counted by whoever reads it. Looked at after reading: a segment that is in use now was not written over.
    let mut ledger = shared.ledger();
    for (position, records) in damage {
        if ledger.segments.contains_key(&segment.generation) {
            ledger.note_damage(segment.generation, position, records);
        }
    }
    Ok(())
}
