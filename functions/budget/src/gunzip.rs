//! Gzip, with a bound on what comes out.

use std::io::Read;

use flate2::read::GzDecoder;

/// Of a batch of log records.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// What was compressed.
pub(crate) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    let read = GzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut out);
    match read {
        Err(_) => Err("it is not gzip, or cut off"),
        Ok(read) if u64::try_from(read).is_ok_and(|read| read > MAX_BYTES) => Err("it is too large"),
        Ok(_) => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_compressed_comes_out_within_bounds() {
        assert_eq!(gunzip(&gzip(b"text")).unwrap(), b"text");
        assert!(gunzip(b"text").is_err());
        let packed = gzip(b"text");
        assert!(gunzip(&packed[..packed.len() - 3]).is_err());
        assert!(gunzip(&gzip(&vec![0; 33 * 1024 * 1024])).is_err(), "a bomb");
    }
}
