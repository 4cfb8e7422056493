//! Bytes read as a file is: a read at the end gives fewer bytes, or none.

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are still to be read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes, or what is left of them.
    pub(super) fn read(&mut self, count: usize) -> &'a [u8] {
        let (read, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        read
    }

    /// The next `count` bytes, if there are as many.
    pub(super) fn exactly(&mut self, count: usize) -> Option<&'a [u8]> {
        let (read, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(read)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }
}
