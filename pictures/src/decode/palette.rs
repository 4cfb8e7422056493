//! Colours by their indices, as PNG, GIF and BMP store them.

/// The colours of the 256 indices that a byte can hold.
pub(super) struct Palette(Box<[[u8; 3]; 256]>);

impl Palette {
    /// The given colours, and black for the indices beyond, as Pillow has it. `None` for more colours than there are
    /// indices.
    pub(super) fn new(colours: &[[u8; 3]]) -> Option<Self> {
        let mut palette = Box::new([[0; 3]; 256]);
        palette.get_mut(..colours.len())?.copy_from_slice(colours);
        Some(Self(palette))
    }

    /// From black to white in as many steps as indices of so many bits have, 1, 2, 4 or 8.
    pub(super) fn greys(bits: usize) -> Self {
        let white = (1 << bits) - 1;
        Self(Box::new(std::array::from_fn(|index| [(index * 255 / white) as u8; 3])))
    }

    pub(super) fn colour(&self, index: u8) -> [u8; 3] {
        self.0[usize::from(index)]
    }

    /// Fills `line`, pixels of three bytes, by indices of 1, 2, 4 or 8 bits, a byte's first in its highest ones.
    pub(super) fn unpack(&self, row: &[u8], bits: usize, line: &mut [u8]) {
        let (line, _) = line.as_chunks_mut();
        if bits == 8 {
            line.iter_mut().zip(row).for_each(|(pixel, &index)| *pixel = self.colour(index));
            return;
        }
        let mask = (1 << bits) - 1;
        for (pixels, byte) in line.chunks_mut(8 / bits).zip(row) {
            for (at, pixel) in pixels.iter_mut().enumerate() {
                *pixel = self.colour(byte >> (8 - bits * (at + 1)) & mask);
            }
        }
    }
}
