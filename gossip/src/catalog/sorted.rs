//! An ordered map whose clones share everything that has not changed since.

use std::borrow::Borrow;
use std::sync::Arc;

/// When a chunk has this many entries it is split: small enough to copy on every change, large enough that ten
/// thousand entries are a few hundred pointers.
const FULL: usize = 64;

/// An ordered map in chunks. A clone costs one reference count, a change after it one chunk and the list of chunks.
#[derive(Clone, Debug)]
pub(super) struct Sorted<K, V> {
    /// No chunk is empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
}

/// Entries in order.
type Chunk<K, V> = Arc<Vec<(K, V)>>;

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<K: Ord + Clone, V: Clone> Sorted<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = chunk.binary_search_by(|(own, _)| own.borrow().cmp(key)).ok()?;
        Some(&chunk[at].1)
    }

    /// The value of `key`, to be changed; what is shared with other clones is copied first.
    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at_chunk = self.chunk_of(key)?;
        let at = self.chunks[at_chunk].binary_search_by(|(own, _)| own.borrow().cmp(key)).ok()?;
        let chunk = Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[at_chunk]);
        Some(&mut chunk[at].1)
    }

    /// Puts `value` under `key` in place of what was there.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let at_chunk = self.chunk_of(&key).unwrap_or(0);
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::default());
        }
        let chunk = Arc::make_mut(&mut chunks[at_chunk]);
        match chunk.binary_search_by(|(own, _)| own.cmp(&key)) {
            Ok(at) => chunk[at].1 = value,
            Err(at) => chunk.insert(at, (key, value)),
        }
        if chunk.len() >= FULL {
            let upper = chunk.split_off(FULL / 2);
            chunks.insert(at_chunk + 1, Arc::new(upper));
        }
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at_chunk = self.chunk_of(key)?;
        let at = self.chunks[at_chunk].binary_search_by(|(own, _)| own.borrow().cmp(key)).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at_chunk]);
        let (_, value) = chunk.remove(at);
        if chunk.is_empty() {
            chunks.remove(at_chunk);
        }
        Some(value)
    }

    /// All entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// The entries from the first one on that is not `before` what is looked for.
    pub(super) fn from(&self, before: impl Fn(&K) -> bool) -> impl Iterator<Item = (&K, &V)> {
        let skipped = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| before(last)));
        let rest = self.chunks[skipped..].iter().flat_map(|chunk| chunk.iter());
        rest.map(|(key, value)| (key, value)).skip_while(move |(key, _)| before(key))
    }

    /// The chunk that holds `key`, or would; `None` when there is no chunk.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let starts_by_then = |chunk: &Chunk<K, V>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        let chunks = self.chunks.partition_point(starts_by_then);
        if self.chunks.is_empty() { None } else { Some(chunks.saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_its_clones_do_not_change(
            steps in proptest::collection::vec((any::<u8>(), any::<Option<u16>>()), 0..600),
            from in any::<u8>(),
        ) {
            let (mut map, mut model) = (Sorted::default(), BTreeMap::new());
            let mut kept = Vec::new();
            for (at, (key, value)) in steps.into_iter().enumerate() {
                match value {
                    Some(value) => { map.insert(key, value); model.insert(key, value); }
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                if let (Some(mine), Some(theirs)) = (map.get_mut(&key), model.get_mut(&key)) {
                    *mine ^= 1;
                    *theirs ^= 1;
                }
                if at % 50 == 0 {
                    kept.push((map.clone(), model.clone()));
                }
            }
            kept.push((map, model));
            for (map, model) in kept {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.from(|key| *key < from).eq(model.range(from..)));
                prop_assert!(map.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() < FULL));
            }
        }
    }
}
