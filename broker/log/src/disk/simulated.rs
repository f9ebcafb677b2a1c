//! A file system in memory that loses what was not synced and fails when told to.
//!
//! A file keeps its synced bytes and the writes since, in order. A crash keeps, for each file, a part of those writes
//! that the seed picks (whole, torn or none, in any order, as a page cache may write them back), and the names that
//! were synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// What goes wrong with a coming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// A write takes only half of its bytes; nothing is reported.
    ShortWrite,
    /// A write takes half of its bytes, then the disk is full.
    NoSpace,
    /// A write fails with an input/output error.
    WriteFails,
    /// A read fails with an input/output error.
    ReadFails,
    /// A sync fails and drops the writes it should have kept, as Linux does.
    SyncFails,
}

/// A file system in memory; clones share it.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: u64,
    next_inode: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
    faults: VecDeque<DiskFault>,
    capacity_bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate { len: u64 },
}

impl SimulatedDisk {
    /// An empty disk; `seed` decides what its crashes keep.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                random: seed,
                next_inode: 0,
                inodes: BTreeMap::new(),
                names: BTreeMap::new(),
                synced_names: BTreeMap::new(),
                directories: BTreeSet::new(),
                faults: VecDeque::new(),
                capacity_bytes: u64::MAX,
            })),
        }
    }

    /// The power goes: what was not synced survives in part or not at all. Files opened before keep writing to what
    /// they opened, as those of a process that died would not; open them anew.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut random = state.random;
        // Removals and creations that were not synced happened or did not, as a journaling file system pleases.
        let unsynced: BTreeSet<PathBuf> = state
            .names
            .keys()
            .chain(state.synced_names.keys())
            .filter(|path| state.names.get(*path) != state.synced_names.get(*path))
            .cloned()
            .collect();
        for path in unsynced {
            if next(&mut random).is_multiple_of(2) {
                match state.synced_names.get(&path) {
                    Some(inode) => state.names.insert(path, *inode),
                    None => state.names.remove(&path),
                };
            }
        }
        state.synced_names = state.names.clone();
        let alive: BTreeSet<u64> = state.names.values().copied().collect();
        let next_inode = &mut state.next_inode;
        let mut survivors = BTreeMap::new();
        let mut renumbered = BTreeMap::new();
        for inode in alive {
            let Some(mut file) = state.inodes.get(&inode).cloned() else {
                continue;
            };
            file.crash(&mut random);
            *next_inode += 1;
            survivors.insert(*next_inode, file);
            renumbered.insert(inode, *next_inode);
        }
        for inode in state.names.values_mut().chain(state.synced_names.values_mut()) {
            *inode = renumbered[inode];
        }
        state.inodes = survivors;
        state.faults.clear();
        state.random = random;
    }

    /// Lets the next call that `fault` can strike fail. Faults strike in the order they were given.
    pub fn inject(&self, fault: DiskFault) {
        self.state.lock().faults.push_back(fault);
    }

    /// Injected faults that have not struck yet.
    pub fn faults_left(&self) -> usize {
        self.state.lock().faults.len()
    }

    /// Bytes that all files together may have; writes beyond fail for lack of space.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// Flips one bit of what a file durably holds.
    ///
    /// # Panics
    ///
    /// If there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        self.change(path, |bytes| bytes[offset] ^= 1 << (bit % 8));
    }

    /// Loses a file's end.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn cut(&self, path: &Path, len: usize) {
        self.change(path, |bytes| bytes.truncate(len));
    }

    /// A file's bytes as a reader sees them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = state.names.get(path)?;
        Some(state.inodes[inode].current.clone())
    }

    fn change(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = state.names[path];
        let file = state.inodes.get_mut(&inode).expect("named files exist");
        change(&mut file.current);
        change(&mut file.synced);
    }

    fn handle(&self, inode: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { state: self.state.clone(), inode })
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.to_owned(), inode);
        drop(state);
        Ok(self.handle(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = *self.state.lock().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(inode))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.state.lock().directories.insert(path.to_owned());
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.strikes(&[DiskFault::SyncFails]).is_some() {
            return Err(input_output_error());
        }
        state.synced_names.retain(|name, _| name.parent() != Some(path));
        let names = state
            .names
            .iter()
            .filter(|(name, _)| name.parent() == Some(path))
            .map(|(name, inode)| (name.clone(), *inode));
        state.synced_names.extend(names);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.state.lock().names.remove(path);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        if !state.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state
            .names
            .keys()
            .filter(|name| name.parent() == Some(path))
            .filter_map(|name| Some(name.file_name()?.to_str()?.to_owned()))
            .collect())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    state: Arc<Mutex<State>>,
    inode: u64,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        use DiskFault::{NoSpace, ShortWrite, WriteFails};
        let mut state = self.state.lock();
        let half = bytes.len() / 2;
        match state.strikes(&[ShortWrite, NoSpace, WriteFails]) {
            Some(WriteFails) => return Err(input_output_error()),
            Some(NoSpace) => {
                state.file(self.inode)?.write(offset, &bytes[..half]);
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(_) if half > 0 => {
                state.file(self.inode)?.write(offset, &bytes[..half]);
                return Ok(half);
            }
            _ => {}
        }
        let used: u64 = state.inodes.values().map(|f| f.current.len() as u64).sum();
        let file = state.file(self.inode)?;
        let growth = (offset + bytes.len() as u64).saturating_sub(file.current.len() as u64);
        if growth > 0 && used + growth > state.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.file(self.inode)?.write(offset, bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.strikes(&[DiskFault::ReadFails]).is_some() {
            return Err(input_output_error());
        }
        let file = state.file(self.inode)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let available = file.current.get(from..).unwrap_or(&[]);
        let read = available.len().min(into.len());
        into[..read].copy_from_slice(&available[..read]);
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.strikes(&[DiskFault::SyncFails]).is_some() {
            // The pages are marked clean: they stay readable and are never written back.
            state.file(self.inode)?.pending.clear();
            return Err(input_output_error());
        }
        let file = state.file(self.inode)?;
        for pending in std::mem::take(&mut file.pending) {
            pending.apply(&mut file.synced);
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.file(self.inode)?;
        let truncate = Pending::Truncate { len };
        truncate.apply(&mut file.current);
        file.pending.push(truncate);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().file(self.inode)?.current.len() as u64)
    }
}

impl State {
    /// Takes the first waiting fault if it is one of `kinds`.
    fn strikes(&mut self, kinds: &[DiskFault]) -> Option<DiskFault> {
        let first = *self.faults.front()?;
        if kinds.contains(&first) { self.faults.pop_front() } else { None }
    }

    fn file(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| io::Error::other("the file was lost in a crash"))
    }
}

impl Inode {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let write = Pending::Write { offset, bytes: bytes.to_vec() };
        write.apply(&mut self.current);
        self.pending.push(write);
    }

    fn crash(&mut self, random: &mut u64) {
        for pending in std::mem::take(&mut self.pending) {
            match (next(random) % 4, pending) {
                (0, _) => {}
                (1, Pending::Write { offset, bytes }) => {
                    let kept = (next(random) % (bytes.len() as u64 + 1)) as usize;
                    let bytes = bytes[..kept].to_vec();
                    Pending::Write { offset, bytes }.apply(&mut self.synced);
                }
                (_, pending) => pending.apply(&mut self.synced),
            }
        }
        self.current = self.synced.clone();
    }
}

impl Pending {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Truncate { len } => to.resize(*len as usize, 0),
            Self::Write { bytes, .. } if bytes.is_empty() => {}
            Self::Write { offset, bytes } => {
                let from = *offset as usize;
                let end = from + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[from..end].copy_from_slice(bytes);
            }
        }
    }
}

fn input_output_error() -> io::Error {
    io::Error::other("injected input/output error")
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
