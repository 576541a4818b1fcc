//! The rules of a long chain, which the kernel writes on a thread of its own while others are understood.

use super::nft::Nft;
use rustix::io::Errno;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use unrefuse_firewall::model::Family;

/// Bytes of messages that are handed over at once, and how many such batches may wait: few, as memory that was not touched
/// before costs as much as what is written to it.
const BATCH: usize = 32 * 1024;
const QUEUE: usize = 4;

/// A dump of one chain that has begun, in the network namespace of the thread that began it.
///
/// The thread ends with the dump, or when this is dropped.
pub(super) struct Beside {
    batches: Receiver<Vec<u8>>,
    /// The way back for batches that were read.
    empty: Sender<Vec<u8>>,
    thread: JoinHandle<Result<bool, Errno>>,
}

impl Beside {
    /// Begins it, over a socket of its own.
    pub(super) fn begin(family: Family, table: &str, chain: &str) -> Result<Self, Errno> {
        let mut nft = Nft::open()?;
        let (table, chain) = (table.to_owned(), chain.to_owned());
        let (send, batches) = sync_channel::<Vec<u8>>(QUEUE);
        let (empty, returned) = channel::<Vec<u8>>();
        let write = move || {
            let mut batch = Vec::with_capacity(BATCH);
            let mut wanted = true;
            let steady = nft.rules(family, &table, &chain, |body| {
                if !wanted {
                    return;
                }
                batch.extend(u32::try_from(body.len()).unwrap_or(0).to_ne_bytes());
                batch.extend_from_slice(body);
                if batch.len() > BATCH - BATCH / 8 {
                    let next = returned.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
                    wanted = send.send(std::mem::replace(&mut batch, next)).is_ok();
                }
            });
            // Nobody waits for it any more where this fails.
            let _ = send.send(batch);
            steady
        };
        let thread = std::thread::Builder::new().name("nft".to_owned()).spawn(write).map_err(|_| Errno::AGAIN)?;
        Ok(Self { batches, empty, thread })
    }

    /// Every message's body; `Ok(false)`: the ruleset changed meanwhile.
    ///
    /// `each` stays on the calling thread, which most often is the first one: what it keeps comes from the heap that grows
    /// by brk(2). On any other thread glibc's malloc asks for each further page by mprotect(2): 3,500 times for 10,000
    /// rules.
    pub(super) fn each(self, mut each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        for mut batch in self.batches {
            let mut rest = batch.as_slice();
            while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                let length = u32::from_ne_bytes(*length) as usize;
                each(tail.get(..length).unwrap_or_default());
                rest = tail.get(length..).unwrap_or_default();
            }
            batch.clear();
            // The thread may have ended.
            let _ = self.empty.send(batch);
        }
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
