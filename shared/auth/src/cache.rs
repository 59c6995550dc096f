//! Tokens whose signature was checked before.
//!
//! Bounded by number and by bytes. When a bound is reached everything dead goes (expired, or signed by a retired key);
//! if that frees little, an eighth of the rest goes too, whichever it is, so that a full cache is not swept for each new
//! token.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::identity::Identity;
use crate::jwk::Key;

pub(crate) struct Cache {
    max_entries: usize,
    max_bytes: usize,
    tokens: RwLock<Tokens>,
}

#[derive(Default)]
struct Tokens {
    entries: HashMap<Box<str>, Entry, ByEnd>,
    bytes: usize,
}

/// Hashes the end of a token, which is its signature's: as good as random, and nobody has a say in it, since only tokens with a right signature are kept. The rest
/// is some hundred bytes that every request would hash; it is compared as all of it is.
#[derive(Default)]
struct ByEnd(RandomState);

struct EndHasher(DefaultHasher);

/// So many bits are enough for as many tokens as there may be.
const END_BYTES: usize = 24;

impl BuildHasher for ByEnd {
    type Hasher = EndHasher;

    fn build_hasher(&self) -> EndHasher {
        EndHasher(self.0.build_hasher())
    }
}

impl Hasher for EndHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes.get(bytes.len().saturating_sub(END_BYTES)..).unwrap_or_default());
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// What is known about a token.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) identity: Arc<Identity>,
    /// The key that it was checked with.
    pub(crate) key: Arc<Key>,
    /// The index of its issuer.
    pub(crate) issuer: usize,
}

impl Entry {
    fn is_alive(&self, now: SystemTime) -> bool {
        self.identity.expires_at > now && !self.key.is_retired()
    }
}

impl Cache {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { max_entries, max_bytes, tokens: RwLock::default() }
    }

    pub(crate) fn get(&self, token: &str) -> Option<Entry> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.entries.get(token).cloned()
    }

    pub(crate) fn remove(&self, token: &str) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        if tokens.entries.remove(token).is_some() {
            tokens.bytes -= token.len();
        }
    }

    pub(crate) fn insert(&self, token: &str, entry: Entry, now: SystemTime) {
        if self.max_entries == 0 || token.len() > self.max_bytes / 8 {
            return;
        }
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        if tokens.entries.len() >= self.max_entries || tokens.bytes + token.len() > self.max_bytes {
            self.sweep(&mut tokens, now);
        }
        if tokens.entries.insert(token.into(), entry).is_none() {
            tokens.bytes += token.len();
        }
    }

    /// Leaves an eighth of either bound free.
    fn sweep(&self, tokens: &mut Tokens, now: SystemTime) {
        tokens.entries.retain(|_, entry| entry.is_alive(now));
        let mut left = self.max_entries - self.max_entries.div_ceil(8);
        let mut bytes_left = self.max_bytes - self.max_bytes.div_ceil(8);
        let mut bytes = 0;
        tokens.entries.retain(|token, _| {
            let fits = left > 0 && token.len() <= bytes_left;
            if fits {
                left -= 1;
                bytes_left -= token.len();
                bytes += token.len();
            }
            fits
        });
        tokens.bytes = bytes;
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_the_same_end_are_told_apart() {
        let end = "e".repeat(END_BYTES);
        let mut tokens: HashMap<Box<str>, usize, ByEnd> = HashMap::default();
        for (number, start) in ["", "a", "b", "a.b"].into_iter().enumerate() {
            tokens.insert(format!("{start}{end}").into(), number);
        }
        assert_eq!(tokens.get(&*format!("b{end}")), Some(&2));
        assert_eq!((tokens.get(&*end), tokens.get(&*format!("c{end}"))), (Some(&0), None));
    }
}
