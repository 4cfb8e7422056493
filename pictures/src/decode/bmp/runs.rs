//! Run lengths of colour indices, as Pillow unpacks them: runs end at the row's end, gaps are index 0.

use super::{super::reader::Reader, broken};
use imagefleet_common::ledger::Rejection;

/// The indices, row by row as stored. `is_odd`: the data begin at an odd place of the file, of whose even places some
/// parts take their alignment. `is_four`: indices of four bits, not eight.
pub(super) fn unpack(
    data: &[u8],
    is_odd: bool,
    width: usize,
    height: usize,
    is_four: bool,
) -> Result<Vec<u8>, Rejection> {
    let mut file = Reader::new(data);
    let count = width * height;
    let mut indices = Vec::with_capacity(count);
    // Not the same as the length within the row: a literal part may reach into the next.
    let mut column = 0;
    while indices.len() < count {
        let (Some(first), Some(second)) = (file.byte(), file.byte()) else { break };
        match (first, second) {
            (0, 0) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                column = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let (Some(right), Some(up)) = (file.byte(), file.byte()) else { break };
                let skipped = usize::from(right) + usize::from(up) * width;
                indices.resize(count.min(indices.len() + skipped), 0);
                column = indices.len() % width;
            }
            (0, literal) => {
                let length = usize::from(literal).min(count - indices.len());
                let bytes = if is_four { length.div_ceil(2) } else { length };
                let read = file.read(bytes);
                if is_four {
                    let halves = read.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                    indices.extend(halves.take(length));
                } else {
                    indices.extend_from_slice(read);
                }
                if read.len() < bytes || indices.len() == count {
                    break;
                }
                column += usize::from(literal);
                if ((data.len() - file.left()) % 2 == 1) != is_odd {
                    file.byte();
                }
            }
            (run, index) => {
                let run = usize::from(run).min(width.saturating_sub(column));
                let pair = if is_four { [index >> 4, index & 15] } else { [index; 2] };
                indices.extend(pair.into_iter().cycle().take(run));
                column += run;
            }
        }
    }
    if indices.len() < count {
        return Err(broken("not enough run lengths"));
    }
    indices.truncate(count);
    Ok(indices)
}
