//! Transformer blocks and what follows them, from embedded rows to features, in memory that stays.

use super::{
    attention::{Sequence, attend},
    layer_norm::LayerNorm,
    matrix::Matrix,
    product::{Finish, Panels, multiply},
    simd::Chunk,
};
use crate::layers::{Activation, Visible};

/// `activation(x · W + b)`
pub(crate) struct Linear {
    pub(super) weight: Panels,
    pub(super) bias: Option<Vec<Chunk>>,
    pub(super) activation: Activation,
}

impl Linear {
    /// rows × in → rows × out
    pub(crate) fn forward(&self, x: &Matrix, out: &mut Matrix) {
        let finish = Finish { bias: self.bias.as_deref(), activation: self.activation };
        multiply(x.view(), &self.weight, finish, out);
    }
}

/// A transformer block with normalisation before each half:
/// x + attention(norm(x)), then x + outer(inner(norm(x))).
pub(crate) struct Block {
    pub(super) before_attention: LayerNorm,
    pub(super) query_key_value: Linear,
    pub(super) out: Linear,
    pub(super) heads: usize,
    pub(super) visible: Visible,
    pub(super) before_inner: LayerNorm,
    pub(super) inner: Linear,
    pub(super) outer: Linear,
}

/// The matrices of a pass, as large as the largest so far.
#[derive(Default)]
pub(crate) struct Workspace {
    /// What blocks add to.
    pub(crate) x: Matrix,
    pub(crate) normal: Matrix,
    /// A block's wide rows: query, key and value, and later those between the layers of its second half.
    pub(crate) wide: Matrix,
    /// What is added.
    delta: Matrix,
}

impl Block {
    /// `room.x` becomes the block's result at the wanted rows; the others are dropped.
    fn forward(&self, room: &mut Workspace, sequences: &[Sequence]) {
        let Workspace { x, normal, wide, delta } = room;
        self.before_attention.forward(x, normal);
        self.query_key_value.forward(normal, wide);
        attend(wide, sequences, self.heads, self.visible, normal);
        self.out.forward(normal, delta);
        keep(x, sequences);
        add(x, delta);
        self.before_inner.forward(x, normal);
        self.inner.forward(normal, wide);
        self.outer.forward(wide, delta);
        add(x, delta);
    }
}

/// Moves the wanted rows together and drops the others.
fn keep(x: &mut Matrix, sequences: &[Sequence]) {
    let mut kept = 0;
    for from in sequences.iter().flat_map(|sequence| sequence.wanted.clone()) {
        if from != kept {
            x.copy_row(from, kept);
        }
        kept += 1;
    }
    x.reshape(kept, x.columns());
}

fn add(x: &mut Matrix, delta: &Matrix) {
    for row in 0..x.rows() {
        x.row_mut(row).iter_mut().zip(delta.row(row)).for_each(|(x, delta)| *x += delta);
    }
}

/// Blocks, and the features of one row of each sequence after them.
pub(crate) struct Tower {
    pub(crate) blocks: Vec<Block>,
    pub(crate) after: LayerNorm,
    pub(crate) projection: Linear,
}

/// A sequence's length, and the position that its feature is taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pooled {
    pub(crate) length: usize,
    pub(crate) position: usize,
}

impl Tower {
    /// `room.x` holds the embedded rows of the sequences, one after the other; `features` takes one row each.
    pub(crate) fn features(&self, room: &mut Workspace, pooled: impl Iterator<Item = Pooled>, features: &mut [f32]) {
        let mut start = 0;
        let mut all = Vec::new();
        let mut one = Vec::new();
        for Pooled { length, position } in pooled {
            let rows = start..start + length;
            one.push(Sequence { rows: rows.clone(), wanted: start + position..start + position + 1 });
            all.push(Sequence { rows: rows.clone(), wanted: rows });
            start += length;
        }
        assert_eq!(start, room.x.rows());
        match self.blocks.split_last() {
            Some((last, others)) => {
                others.iter().for_each(|block| block.forward(room, &all));
                // Nothing looks at the last block's other rows.
                last.forward(room, &one);
            }
            None => keep(&mut room.x, &one),
        }
        self.after.forward(&room.x, &mut room.normal);
        self.projection.forward(&room.normal, &mut room.wide);
        let rows = features.chunks_exact_mut(room.wide.columns()).enumerate();
        rows.for_each(|(row, feature)| feature.copy_from_slice(room.wide.row(row)));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::layers;
    use candle_core::{Device, Tensor};

    const WIDTH: usize = 24;
    const HEADS: usize = 3;

    fn random(shape: &[usize]) -> Tensor {
        Tensor::randn(0.0f32, 0.5, shape, &Device::Cpu).unwrap()
    }

    fn block(visible: Visible, activation: Activation) -> layers::Block {
        let linear =
            |inputs: usize, outputs: usize| layers::Linear::of(random(&[outputs, inputs]), Some(random(&[outputs])));
        let norm = || layers::LayerNorm { weight: random(&[WIDTH]), bias: random(&[WIDTH]), epsilon: 1e-5 };
        let query_key_value = linear(WIDTH, 3 * WIDTH);
        layers::Block {
            before_attention: norm(),
            attention: layers::Attention { query_key_value, out: linear(WIDTH, WIDTH), heads: HEADS, visible },
            before_inner: norm(),
            inner: linear(WIDTH, 40),
            activation,
            outer: linear(40, WIDTH),
        }
    }

    fn whole(rows: std::ops::Range<usize>) -> Sequence {
        Sequence { wanted: rows.clone(), rows }
    }

    /// The rows after `block`, for rows of sequences.
    fn forward(block: &Block, x: &[f32], sequences: &[Sequence]) -> Vec<f32> {
        let mut room = Workspace::default();
        room.x.reshape(x.len() / WIDTH, WIDTH);
        x.chunks_exact(WIDTH).enumerate().for_each(|(row, part)| room.x.row_mut(row).copy_from_slice(part));
        block.forward(&mut room, sequences);
        (0..room.x.rows()).flat_map(|row| room.x.row(row).to_vec()).collect()
    }

    fn rows(count: usize) -> Vec<f32> {
        random(&[count * WIDTH]).to_vec1().unwrap()
    }

    #[test]
    fn a_packed_block_gives_what_its_tensors_give() {
        for visible in [Visible::All, Visible::Past] {
            for activation in [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh] {
                let tensors = block(visible, activation);
                for length in [1, 5, 21] {
                    let x = rows(3 * length);
                    let sequences: Vec<_> = (0..3).map(|i| whole(i * length..(i + 1) * length)).collect();
                    let got = forward(&Block::pack(&tensors).unwrap(), &x, &sequences);
                    let x = Tensor::from_vec(x, (3 * length, WIDTH), &Device::Cpu).unwrap();
                    let expected: Vec<f32> =
                        tensors.forward(&x, length).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                    let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(worst <= 2e-5, "{visible:?}, {activation:?}, {length} rows: off by {worst}");
                }
            }
        }
    }

    #[test]
    fn rows_have_the_same_bits_where_only_they_are_wanted_and_whatever_sequences_stand_beside() {
        let block = Block::pack(&block(Visible::All, Activation::Gelu)).unwrap();
        let x = rows(12);
        let all = forward(&block, &x, &[whole(0..5), whole(5..12)]);
        let wanted = [Sequence { rows: 0..5, wanted: 0..1 }, Sequence { rows: 5..12, wanted: 8..10 }];
        let expected: Vec<f32> =
            [0..1, 8..10].into_iter().flat_map(|rows| &all[rows.start * WIDTH..rows.end * WIDTH]).copied().collect();
        assert_eq!(forward(&block, &x, &wanted), expected);
        assert_eq!(forward(&block, &x[5 * WIDTH..], &[whole(0..7)]), all[5 * WIDTH..]);
    }

    #[test]
    fn a_position_that_sees_the_past_does_not_notice_what_follows() {
        let block = Block::pack(&block(Visible::Past, Activation::QuickGelu)).unwrap();
        let before = rows(5);
        let changed = [&before[..3 * WIDTH], &rows(2)].concat();
        let [a, b] = [&before, &changed].map(|x| forward(&block, x, &[whole(0..5)]));
        assert_eq!(a[..3 * WIDTH], b[..3 * WIDTH]);
        assert_ne!(a[3 * WIDTH..4 * WIDTH], b[3 * WIDTH..4 * WIDTH]);
        assert_eq!(forward(&block, &before[..3 * WIDTH], &[whole(0..3)]), a[..3 * WIDTH]);
    }

    #[test]
    fn a_lost_sequence_leaves_the_others_as_they_are() {
        let block = Block::pack(&block(Visible::All, Activation::QuickGelu)).unwrap();
        let mut x = rows(8);
        let clean = forward(&block, &x, &[whole(0..4), whole(4..8)]);
        x[5 * WIDTH + 1] = f32::NAN;
        let lost = forward(&block, &x, &[whole(0..4), whole(4..8)]);
        assert_eq!(lost[..4 * WIDTH], clean[..4 * WIDTH]);
        assert!(lost[4 * WIDTH..].iter().all(|x| x.is_nan()));
    }
}
