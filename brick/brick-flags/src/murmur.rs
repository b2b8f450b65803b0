//! MurmurHash3, x86, 32 bit (Austin Appleby, public domain), with seed 0: what flagd spreads targeting keys with.

/// The hash of these bytes.
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scrambled = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = words.iter().fold(0_u32, |hash, word| {
        let mixed = (hash ^ scrambled(u32::from_le_bytes(*word))).rotate_left(13);
        mixed.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    hash ^= scrambled(u32::from_le_bytes(tail));
    // The algorithm's own length is 32 bits wide.
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_hash_that_others_compute() {
        for (text, expect) in [
            ("", 0),
            ("hello", 0x248b_fa47),
            ("hello, world", 0x149b_bb7f),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(super::hash(text.as_bytes()), expect, "{text}");
        }
    }
}
