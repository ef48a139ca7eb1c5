//! Finds the ends of strings, eight bytes at a time.
//!
//! OVSDB's strings are short: names, uuids, addresses. An inlined scan of a few words is faster than
//! calling a general search, such as `memchr2`, for each of them.

/// The position of the first byte from `start` on that ends a run of plain string characters: a quote,
/// a backslash or a control character; the text's length if there is none.
#[inline]
pub(crate) fn plain_end(bytes: &[u8], start: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = start;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // A borrow can wrongly mark bytes above a true hit, but never below one, so the lowest mark is
        // right.
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hits = hits & HIGH;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = tail.iter().position(special).unwrap_or(tail.len());
    bytes.len() - tail.len() + end
}

#[cfg(test)]
mod tests {
    use super::plain_end;

    #[test]
    fn every_special_byte_is_found_at_every_place() {
        for special in [b'"', b'\\', 0, 9, 0x1f] {
            for at in 0..40 {
                let mut bytes = vec![b'x'; 40];
                bytes[at] = special;
                assert_eq!(plain_end(&bytes, 0), at);
            }
        }
        assert_eq!(
            plain_end("é😀\u{7f} !#[]".as_bytes(), 0),
            "é😀\u{7f} !#[]".len()
        );
    }
}
