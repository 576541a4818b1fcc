//! A bolt database, read only: the file that Podman before 5.0 keeps its containers in, when nobody runs that could be asked.
//!
//! Pages of one size, the first two with a copy each of what is newest (go.etcd.io/bbolt: `page.go`, `db.go`, `bucket.go`).
//! A bucket is a tree of pages, or one page inside of its own entry. All numbers are little-endian here: the machine's own
//! order, which an other one would not read either.

/// `magic` and `version` of `db.go`.
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// `branchPageFlag` and `leafPageFlag` of `page.go`, `bucketLeafFlag` of `node.go`.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const IS_BUCKET: u32 = 1;
/// A page's head, and an element of either kind.
const HEAD: usize = 16;
const ELEMENT: usize = 16;
/// A tree of pages is no deeper.
const DEEPEST: usize = 16;
/// So many entries of a bucket are read.
const MOST: usize = 10_000;

/// A database in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Database<'a> {
    file: &'a [u8],
    page_size: usize,
    root: u64,
    /// The number of the last change: another one is a newer state of the file.
    pub(super) change: u64,
}

/// A bucket of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket<'a> {
    database: Database<'a>,
    root: u64,
    /// The page, where it is in the entry itself.
    inline: Option<&'a [u8]>,
}

impl<'a> Database<'a> {
    /// Reads the newer of the two heads that is whole; `None` for what is no such file.
    pub(super) fn read(file: &'a [u8]) -> Option<Self> {
        let first = meta(file, 0);
        // The size of pages stands in the head itself: where the first is broken, it is guessed as the usual one.
        let size = first.map_or(4096, |first| first.page_size);
        [first, meta(file, size)].into_iter().flatten().max_by_key(|database| database.change)
    }

    /// The bucket of that name at the top.
    pub(super) fn bucket(self, name: &str) -> Option<Bucket<'a>> {
        Bucket { database: self, root: self.root, inline: None }.bucket(name)
    }

    fn page(self, number: u64) -> Option<&'a [u8]> {
        self.file.get(usize::try_from(number).ok()?.checked_mul(self.page_size)?..)
    }
}

fn meta(file: &[u8], at: usize) -> Option<Database<'_>> {
    let meta = file.get(at.checked_add(HEAD)?..)?;
    let size = usize::try_from(u32_at(meta, 8)?).ok().filter(|size| (512..=65536).contains(size))?;
    let whole = (u32_at(meta, 0)?, u32_at(meta, 4)?) == (MAGIC, VERSION) && u64_at(meta, 56)? == fnv(meta.get(..56)?);
    whole.then_some(Database { file, page_size: size, root: u64_at(meta, 16)?, change: u64_at(meta, 48)? })
}

/// The checksum of a head: FNV-1a with 64 bits (`meta.sum64`).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<'a> Bucket<'a> {
    /// The bucket of that name in it.
    pub(super) fn bucket(self, name: &str) -> Option<Bucket<'a>> {
        self.buckets().into_iter().find(|(key, _)| *key == name.as_bytes()).map(|(_, bucket)| bucket)
    }

    /// All buckets in it, by their names.
    pub(super) fn buckets(self) -> Vec<(&'a [u8], Bucket<'a>)> {
        let bucket = |(flags, key, value): (u32, &'a [u8], &'a [u8])| {
            let root = u64_at(value, 0).filter(|_| flags & IS_BUCKET != 0)?;
            let inline = if root == 0 { Some(value.get(16..)?) } else { None };
            Some((key, Bucket { database: self.database, root, inline }))
        };
        self.entries().into_iter().filter_map(bucket).collect()
    }

    /// The value of that name in it.
    pub(super) fn value(self, name: &str) -> Option<&'a [u8]> {
        let named = |(flags, key, _): &(u32, &[u8], &[u8])| flags & IS_BUCKET == 0 && *key == name.as_bytes();
        self.entries().into_iter().find(named).map(|(_, _, value)| value)
    }

    /// Flags, key and value of each entry, as far as they are whole.
    fn entries(self) -> Vec<(u32, &'a [u8], &'a [u8])> {
        let mut found = Vec::new();
        if let Some(page) = self.inline.or_else(|| self.database.page(self.root)) {
            self.collect(page, 0, &mut MOST.clone(), &mut found);
        }
        found
    }

    /// `left` bounds the elements that are looked at, those of branches included.
    fn collect(self, page: &'a [u8], depth: usize, left: &mut usize, found: &mut Vec<(u32, &'a [u8], &'a [u8])>) {
        let (Some(flags), Some(count)) = (u16_at(page, 8), u16_at(page, 10)) else { return };
        for index in 0..usize::from(count) {
            let at = HEAD + index * ELEMENT;
            let Some(element) = page.get(at..).filter(|_| *left > 0) else { return };
            *left -= 1;
            if flags & LEAF != 0 {
                found.extend(leaf(element));
            } else if flags & BRANCH != 0
                && depth < DEEPEST
                && let Some(child) = u64_at(element, 8).and_then(|number| self.database.page(number))
            {
                self.collect(child, depth + 1, left, found);
            }
        }
    }
}

/// Flags, place (from the element on) and lengths of key and value.
fn leaf(element: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let number = |at| usize::try_from(u32_at(element, at)?).ok();
    let data = element.get(number(4)?..)?;
    let (key, rest) = data.split_at_checked(number(8)?)?;
    Some((u32_at(element, 0)?, key, rest.get(..number(12)?)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    type Entries<'a> = &'a [(u32, &'a [u8], Vec<u8>)];

    /// A leaf page.
    pub(crate) fn page(entries: Entries<'_>) -> Vec<u8> {
        let mut head = vec![0; 8];
        head.extend(LEAF.to_le_bytes());
        head.extend((entries.len() as u16).to_le_bytes());
        head.extend([0; 4]);
        let mut data: Vec<u8> = Vec::new();
        for (index, &(flags, key, ref value)) in entries.iter().enumerate() {
            let place = (entries.len() - index) * ELEMENT + data.len();
            head.extend(
                [flags, place as u32, key.len() as u32, value.len() as u32].into_iter().flat_map(u32::to_le_bytes),
            );
            data.extend(key.iter().chain(value));
        }
        head.extend(data);
        head
    }

    /// An entry that is a bucket with such a page inside.
    pub(crate) fn bucket<'a>(name: &'a [u8], entries: Entries<'_>) -> (u32, &'a [u8], Vec<u8>) {
        (IS_BUCKET, name, [vec![0; 16], page(entries)].concat())
    }

    fn head(change: u64) -> Vec<u8> {
        let mut meta: Vec<u8> = [MAGIC, VERSION, 4096, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        meta.extend([2, 0, 0, 0, change].into_iter().flat_map(u64::to_le_bytes));
        meta.extend(fnv(&meta).to_le_bytes());
        let mut page = [vec![0; HEAD], meta].concat();
        page.resize(4096, 0);
        page
    }

    /// A file whose root holds these.
    pub(crate) fn database(entries: Entries<'_>) -> Vec<u8> {
        [head(7), head(8), page(entries)].concat()
    }

    #[test]
    fn buckets_in_buckets() {
        let inner = bucket(b"a", &[(0, b"name", b"web".to_vec())]);
        let file = database(&[bucket(b"ctr", &[inner, (0, b"x", vec![1])]), (0, b"plain", vec![])]);
        let database = Database::read(&file).unwrap();
        assert_eq!(database.change, 8);
        let ctr = database.bucket("ctr").unwrap();
        assert_eq!(ctr.buckets().len(), 1);
        assert_eq!(ctr.bucket("a").unwrap().value("name"), Some(&b"web"[..]));
        assert_eq!((ctr.value("x"), ctr.value("a"), ctr.value("y")), (Some(&[1][..]), None, None));
        assert!(database.bucket("plain").is_none() && database.bucket("nosuch").is_none());
    }

    #[test]
    fn a_broken_head_gives_way_to_the_other() {
        let mut file = database(&[bucket(b"ctr", &[])]);
        file[4096 + 40] ^= 1;
        assert_eq!(Database::read(&file).unwrap().change, 7);
        file[40] ^= 1;
        assert!(Database::read(&file).is_none());
        assert!(Database::read(b"SQLite format 3\0").is_none());
    }

    #[test]
    fn what_is_cut_or_leads_nowhere_is_left_out() {
        let whole = database(&[bucket(b"ctr", &[(0, b"k", b"v".to_vec())])]);
        for end in 8192..whole.len() {
            let database = Database::read(&whole[..end]).unwrap();
            assert!(database.bucket("ctr").is_none_or(|ctr| ctr.value("k").is_none()), "{end}");
        }
        // A branch that leads to itself ends.
        let mut file = whole.clone();
        file[8192 + 8] = BRANCH as u8;
        file[8192 + 16 + 8..8192 + 16 + 16].copy_from_slice(&2_u64.to_le_bytes());
        assert!(Database::read(&file).unwrap().bucket("ctr").is_none());
    }
}
