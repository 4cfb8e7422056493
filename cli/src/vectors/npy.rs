//! NumPy's file format, as far as a matrix of f32 needs it: format version 1.0 of `numpy.lib.format`, little-endian, C order.

use imagefleet_common::{Context, Error, Result};
use std::io::{Read, Write};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy pads what stands before the numbers to a multiple of this, so that they can be mapped.
const ALIGNMENT: usize = 64;
/// Far more than any model's vectors have.
const MOST_COLUMNS: usize = 1 << 16;
/// Magic, version and the header's length.
const PREFIX: usize = MAGIC.len() + 4;

/// Writes what stands before the numbers of a `rows` × `columns` matrix.
pub(super) fn write_header(out: &mut impl Write, rows: u64, columns: usize) -> std::io::Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let bare = PREFIX + header.len() + 1;
    header.push_str(&" ".repeat(bare.next_multiple_of(ALIGNMENT) - bare));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&u16::try_from(header.len()).expect("two numbers fit a short header").to_le_bytes())?;
    out.write_all(header.as_bytes())
}

/// Reads to the first number and gives rows and columns. Permanent error for anything but a matrix of
/// little-endian f32 in C order.
pub(super) fn read_header(input: &mut impl Read) -> Result<(u64, usize)> {
    let doing = || "read its header".to_owned();
    let mut prefix = [0; PREFIX];
    input.read_exact(&mut prefix).permanent(doing)?;
    if &prefix[..MAGIC.len()] != MAGIC {
        return Err(Error::permanent("it is no .npy file"));
    }
    let short = u16::from_le_bytes([prefix[PREFIX - 2], prefix[PREFIX - 1]]);
    let length = match prefix[MAGIC.len()] {
        1 => usize::from(short),
        2 | 3 => {
            let mut high = [0; 2];
            input.read_exact(&mut high).permanent(doing)?;
            usize::from(short) | usize::from(u16::from_le_bytes(high)) << 16
        }
        version => return Err(Error::permanent(format!("its format is version {version}, 1 to 3 are known"))),
    };
    // A matrix needs some hundred bytes; more is a header of something else.
    let mut header = vec![0; length.min(1 << 16)];
    input.read_exact(&mut header).permanent(doing)?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let says = |key: &str| {
        let (_, value) = header.split_once(&format!("'{key}':"))?;
        Some(value.trim_start())
    };
    let wrong =
        || Error::permanent(format!("expected a matrix of f32 ('<f4', C order), its header says {}", header.trim()));
    if !says("descr").is_some_and(|kind| kind.starts_with("'<f4'")) {
        return Err(wrong());
    }
    if !says("fortran_order").is_some_and(|order| order.starts_with("False")) {
        return Err(wrong());
    }
    let shape = says("shape").and_then(|shape| shape.strip_prefix('(')?.split_once(')')).ok_or_else(wrong)?.0;
    let mut sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    match (sides.next().map(str::parse), sides.next().map(str::parse), sides.next()) {
        (Some(Ok(rows)), Some(Ok(columns @ 1..=MOST_COLUMNS)), None) => Ok((rows, columns)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_was_written_is_read_and_leaves_the_numbers_aligned() {
        for (rows, columns) in [(0, 1), (1, 512), (123_456_789, 768)] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, rows, columns).unwrap();
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            assert_eq!(read_header(&mut bytes.as_slice()).unwrap(), (rows, columns));
        }
    }

    #[test]
    fn what_is_no_matrix_of_f32_is_refused_with_what_it_is() {
        let with = |header: &str| {
            let mut bytes = [MAGIC, &[1, 0]].concat();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            read_header(&mut bytes.as_slice()).unwrap_err().to_string()
        };
        assert!(with("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }").contains("<f8"));
        assert!(with("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }").contains("True"));
        assert!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }").contains("4)"));
        assert!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }").contains("(2,)"));
        assert!(with("{}").contains("expected a matrix"));
        assert!(read_header(&mut &b"\x93NUMPY\x09\0\0\0"[..]).unwrap_err().to_string().contains("version 9"));
        assert!(read_header(&mut &b"PK\x03\x04........"[..]).unwrap_err().to_string().contains("no .npy"));
        assert!(read_header(&mut &b"\x93NUM"[..]).is_err());
    }
}
