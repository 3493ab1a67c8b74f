//! The state of many chains, and the half-sweep that everything else is made of.
//!
//! Fields follow bits lazily: before a block is decided, its fields are brought up to what the other block's bits have
//! become since they were last looked at. So fields that nobody reads are never computed: after random bits only the odd
//! ones, and the even ones first from the odd layers' modes.
//!
//! For each chain the cheaper of two ways is taken: add and subtract the rows of the units that flipped, or start again
//! from the biases and add the rows of all units that are on, one by one or from tables of sums. What clamped units
//! contribute is summed once.

mod clamped;
mod pairs;

use bitboltz_core::{
    bits::{WORD_BITS, word_mask},
    conditional::Block,
    rng::XorShiftRng,
    shape::Shape,
    weights::Field as _,
};

use super::{
    aligned::Aligned,
    kernels::{self, Isa},
    lists::{self, Lists},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileWeight, new_table},
    weights::ChainWeights,
};

/// Which units of the chains keep their value. Masks are packed as a state is.
#[derive(Clone, Copy, Debug)]
pub enum Clamping<'m> {
    /// None.
    Free,
    /// The same in every chain.
    Same(&'m [u32]),
    /// Chain i has mask i of these, one after the other.
    Each(&'m [u32]),
}

/// How a block is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decide {
    /// The conditional mode 1[a ≥ 0].
    Mode,
    /// A sample of the conditional; draws a word for each unit of the block, clamped ones included.
    Sample,
}

/// What chains did since their last [`reset`](Chains::reset), all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Units that half-sweeps flipped.
    pub flips: u64,
    /// Rows of weights that were added or subtracted, one for each layer that they went to.
    pub rows: u64,
    /// Bytes of these rows, padding included: as if each were read, also where tables of sums were looked up.
    pub bytes: u64,
}

impl Work {
    /// Counts rows of `stride` weights.
    fn add_rows<W>(&mut self, rows: u64, stride: usize) {
        self.rows += rows;
        self.bytes += rows * (stride * size_of::<W>()) as u64;
    }
}

/// The fields of one layer, a padded row for each chain.
#[derive(Clone, Debug)]
struct LayerFields<F> {
    stride: usize,
    fields: Aligned<F>,
    /// Biases and the contributions of the neighbours' clamped units, where there are any.
    base: Aligned<F>,
}

/// Bits, fields and random streams of many chains. Buffers are kept from one [`reset`](Self::reset) to the next.
#[derive(Debug)]
pub struct Chains<W: TileWeight> {
    shape: Shape,
    isa: Isa,
    count: usize,
    /// A state's words for each chain.
    words: Vec<u32>,
    /// The words that the fields of the other block belong to.
    seen: Vec<u32>,
    masks: Vec<u32>,
    /// Whether masks has one state's words, or one for each chain.
    each: bool,
    /// Layers that are clamped whole, in every chain.
    frozen: Vec<bool>,
    /// Layers that get something from clamped units.
    based: Vec<bool>,
    layers: Vec<LayerFields<W::Field>>,
    /// For each chain, whether the fields of the even and of the odd block belong to `seen`.
    valid: Vec<[bool; 2]>,
    streams: Vec<Stream>,
    flips: Vec<u32>,
    work: Work,
    lists: Lists,
    table: Table<W>,
    add: Vec<u32>,
    subtract: Vec<u32>,
    rebuild: Vec<bool>,
    draws: Aligned<u32>,
}

impl<W: TileWeight> Chains<W> {
    /// No chains yet.
    pub fn new(shape: &Shape) -> Self {
        Self::with_isa(shape, Isa::best())
    }

    /// No chains yet, on a certain instruction set. It changes no result.
    pub fn with_isa(shape: &Shape, isa: Isa) -> Self {
        let layer = |width: usize| LayerFields {
            stride: width.div_ceil(TILE) * TILE,
            fields: Aligned::zeros(0),
            base: Aligned::zeros(0),
        };
        Self {
            shape: *shape,
            isa,
            count: 0,
            words: Vec::new(),
            seen: Vec::new(),
            masks: Vec::new(),
            each: false,
            frozen: vec![false; shape.layers()],
            based: vec![false; shape.layers()],
            layers: shape.widths().map(layer).collect(),
            valid: Vec::new(),
            streams: Vec::new(),
            flips: Vec::new(),
            work: Work::default(),
            lists: Lists::new(isa),
            table: new_table::<W>(),
            add: Vec::new(),
            subtract: Vec::new(),
            rebuild: Vec::new(),
            draws: Aligned::zeros(0),
        }
    }

    /// Chains with these streams. Their visible layers are `visible(chain)` or off, all other units off.
    ///
    /// # Panics
    /// If the weights have another shape, or masks or visible rows too few words.
    pub fn reset<'v>(
        &mut self,
        weights: &ChainWeights<W>,
        rngs: impl Iterator<Item = XorShiftRng>,
        visible: Option<&dyn Fn(usize) -> &'v [u32]>,
        clamping: Clamping<'_>,
    ) {
        assert_eq!(self.shape, *weights.shape());
        self.streams.clear();
        self.streams.extend(rngs.map(Stream::from));
        self.count = self.streams.len();
        let (count, words) = (self.count, self.shape.words());
        self.words.clear();
        self.words.resize(count * words, 0);
        if let Some(visible) = visible {
            let width = self.shape.layer_words(0);
            for (chain, state) in self.words.chunks_exact_mut(words).enumerate() {
                state[..width].copy_from_slice(&visible(chain)[..width]);
            }
        }
        self.seen.clear();
        self.seen.resize(count * words, 0);
        self.valid.clear();
        self.valid.resize(count, [false; 2]);
        self.flips.clear();
        self.flips.resize(count, 0);
        self.work = Work::default();
        self.rebuild.clear();
        self.rebuild.resize(count, false);
        self.set_masks(clamping);
        for layer in &mut self.layers {
            // The content does not matter: fields are not valid yet.
            layer.fields.resize(layer.stride * count);
        }
        self.clamp(weights);
    }

    fn set_masks(&mut self, clamping: Clamping<'_>) {
        let words = self.shape.words();
        self.masks.clear();
        self.each = false;
        match clamping {
            Clamping::Free => self.masks.resize(words, 0),
            Clamping::Same(mask) => self.masks.extend_from_slice(&mask[..words]),
            Clamping::Each(masks) => {
                self.each = true;
                self.masks.extend_from_slice(&masks[..self.count * words]);
            }
        }
    }

    /// Number of chains.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no chains.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The packed bits of a chain's state.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn words(&self, chain: usize) -> &[u32] {
        let words = self.shape.words();
        &self.words[chain * words..(chain + 1) * words]
    }

    /// The bits of a chain's state, to edit; clamped ones must stay as they are, and padding zero.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn words_mut(&mut self, chain: usize) -> &mut [u32] {
        let words = self.shape.words();
        &mut self.words[chain * words..(chain + 1) * words]
    }

    /// The next number of a chain's stream.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn draw(&mut self, chain: usize) -> u32 {
        self.streams[chain].next_u32()
    }

    /// Units that the last half-sweep flipped in a chain.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn flips(&self, chain: usize) -> u32 {
        self.flips[chain]
    }

    /// What was done since the last [`reset`](Self::reset), which counts too.
    pub fn work(&self) -> Work {
        self.work
    }

    /// The fields of a layer in a chain, as of the last [`look`](Self::look) or half-sweep at its block. Undefined for
    /// a layer that is clamped whole.
    ///
    /// # Panics
    /// If there is no such layer or chain.
    pub fn fields(&self, chain: usize, layer: usize) -> &[W::Field] {
        let LayerFields { stride, fields, .. } = &self.layers[layer];
        &fields[chain * stride..][..self.shape.width(layer)]
    }

    /// Sets every free unit of these chains to a uniform random bit, as the core's `randomise` does.
    pub fn randomise(&mut self, active: &[u32]) {
        let (shape, words) = (self.shape, self.shape.words());
        for &chain in active {
            let chain = chain as usize;
            let mask = &self.masks[if self.each { chain * words } else { 0 }..][..words];
            let (state, rng) = (&mut self.words[chain * words..][..words], &mut self.streams[chain]);
            for layer in 0..shape.layers() {
                for (index, at) in shape.word_range(layer).enumerate() {
                    let free = word_mask(shape.width(layer), index) & !mask[at];
                    state[at] = state[at] & !free | rng.next_u32() & free;
                }
            }
        }
    }

    /// Decides a block of these chains, given the other one; [`flips`](Self::flips) then tells how many units changed.
    pub fn update(&mut self, weights: &ChainWeights<W>, block: Block, decide: Decide, active: &[u32]) {
        self.look(weights, block, active);
        active.iter().for_each(|&chain| self.flips[chain as usize] = 0);
        for chains in active.chunks(LANES) {
            for layer in block.layers(self.shape.layers()) {
                if decide == Decide::Sample {
                    self.draw_layer(chains, layer);
                }
                if !self.frozen[layer] {
                    for (lane, &chain) in chains.iter().enumerate() {
                        self.decide(weights, decide, layer, chain as usize, lane);
                    }
                }
            }
        }
        self.work.flips += active.iter().map(|&chain| u64::from(self.flips[chain as usize])).sum::<u64>();
    }

    /// Draws a word for each unit of a layer, for at most [`LANES`] chains: a row of `draws` for each, unless the layer is
    /// clamped whole and nobody asks for it.
    fn draw_layer(&mut self, chains: &[u32], layer: usize) {
        let stride = self.shape.layer_words(layer) * WORD_BITS;
        self.draws.resize(LANES * stride);
        // Lanes without a chain draw too, from nothing.
        let mut lanes = [Stream::default(); LANES];
        chains.iter().zip(&mut lanes).for_each(|(&chain, lane)| *lane = self.streams[chain as usize]);
        if self.frozen[layer] {
            kernels::skip(self.isa, &mut lanes, self.shape.width(layer));
        } else {
            kernels::draws(self.isa, &mut lanes, self.shape.width(layer), &mut self.draws, stride);
        }
        chains.iter().zip(lanes).for_each(|(&chain, lane)| self.streams[chain as usize] = lane);
    }

    /// Decides one layer of one chain, whose draws are in row `lane`.
    fn decide(&mut self, weights: &ChainWeights<W>, decide: Decide, layer: usize, chain: usize, lane: usize) {
        let (shape, words) = (self.shape, self.shape.words());
        let range = shape.word_range(layer);
        let LayerFields { stride, fields, .. } = &self.layers[layer];
        let fields = &fields[chain * stride..][..*stride];
        self.add.resize(range.len(), 0);
        match decide {
            Decide::Mode => kernels::modes(self.isa, fields, &mut self.add),
            Decide::Sample => {
                let draws = &self.draws[lane * range.len() * WORD_BITS..];
                kernels::samples(self.isa, fields, weights.scale(), draws, &mut self.add);
            }
        }
        let mask = &self.masks[if self.each { chain * words } else { 0 }..][range.clone()];
        let state = &mut self.words[chain * words..][range];
        for (index, (old, (new, mask))) in state.iter_mut().zip(self.add.iter().zip(mask)).enumerate() {
            let free = word_mask(shape.width(layer), index) & !mask;
            let next = *old & !free | new & free;
            self.flips[chain] += (*old ^ next).count_ones();
            *old = next;
        }
    }

    /// Brings the fields of a block of these chains up to the other block's bits; those of layers that are clamped whole
    /// are left out.
    pub fn look(&mut self, weights: &ChainWeights<W>, block: Block, active: &[u32]) {
        let (shape, words) = (self.shape, self.shape.words());
        let sources = || block.other().layers(shape.layers());
        for &chain in active {
            let chain = chain as usize;
            let at = chain * words;
            let (now, seen) = (&self.words[at..at + words], &self.seen[at..at + words]);
            let mask = &self.masks[if self.each { at } else { 0 }..][..words];
            let (mut change, mut again) = (0, 0);
            for range in sources().map(|layer| shape.word_range(layer)) {
                let words = range.len();
                let (flips, on) = kernels::changes(self.isa, &now[range.clone()], &seen[range.clone()], &mask[range]);
                (change, again) = (change + flips, again + lists::cost_of_additions(on, words));
            }
            self.rebuild[chain] = !self.valid[chain][block as usize] || again < change;
            self.valid[chain][block as usize] = true;
        }
        for target in block.layers(shape.layers()).filter(|&layer| !self.frozen[layer]) {
            let LayerFields { stride, fields, base } = &mut self.layers[target];
            for chain in active.iter().map(|&chain| chain as usize).filter(|&chain| self.rebuild[chain]) {
                let from = if self.based[target] { &base[chain * *stride..][..*stride] } else { weights.bias(target) };
                fields[chain * *stride..][..*stride].copy_from_slice(from);
            }
        }
        for source in sources() {
            let range = shape.word_range(source);
            self.lists.clear();
            for &chain in active {
                let chain = chain as usize;
                let mask = &self.masks[if self.each { chain * words } else { 0 }..][range.clone()];
                let now = &self.words[chain * words..][range.clone()];
                let seen = &mut self.seen[chain * words..][range.clone()];
                self.add.clear();
                self.subtract.clear();
                if self.rebuild[chain] {
                    self.add.extend(now.iter().zip(mask).map(|(now, mask)| now & !mask));
                    self.subtract.resize(now.len(), 0);
                } else {
                    self.add.extend(now.iter().zip(&*seen).map(|(now, seen)| now & !seen));
                    self.subtract.extend(now.iter().zip(&*seen).map(|(now, seen)| !now & seen));
                }
                seen.copy_from_slice(now);
                self.lists.push(chain, &self.add, &self.subtract);
            }
            for target in neighbours(&shape, source).filter(|&layer| !self.frozen[layer]) {
                let LayerFields { stride, fields, .. } = &mut self.layers[target];
                let (matrix, shift) = weights.between(source, target);
                self.work.add_rows::<W>(self.lists.listed(), *stride);
                self.lists.apply(matrix, shift, &mut self.table, fields, *stride);
            }
        }
    }

    /// E(x) of a chain: −Σ b·x over the even layers − Σ a·x over the odd ones, since every connection joins an even
    /// layer with an odd one. The odd fields must have been [looked](Self::look) at.
    pub fn energy(
        &self,
        weights: &ChainWeights<W>,
        chain: usize,
    ) -> <W::Field as bitboltz_core::weights::Field>::Energy {
        let mut twice = Default::default();
        for layer in 0..self.shape.layers() {
            let words = &self.words(chain)[self.shape.word_range(layer)];
            let LayerFields { stride, fields, .. } = &self.layers[layer];
            let numbers = if layer % 2 == 0 { weights.bias(layer) } else { &fields[chain * stride..][..*stride] };
            let sum = kernels::masked_sum(self.isa, numbers, words);
            twice = W::Field::add_energy(twice, W::Field::add_energy(sum, sum));
        }
        W::Field::minus_half(twice)
    }

    /// The conditional means σ(a) of a layer of a chain, as the core's `mean_layer` gives them.
    ///
    /// # Panics
    /// If there is no such layer or chain.
    pub fn means(&self, weights: &ChainWeights<W>, chain: usize, layer: usize, means: &mut [f32]) {
        kernels::means(self.isa, self.fields(chain, layer), weights.scale(), means);
    }
}

fn neighbours(shape: &Shape, layer: usize) -> impl Iterator<Item = usize> + Clone + use<> {
    let layers = shape.layers();
    [layer.checked_sub(1), Some(layer + 1)].into_iter().flatten().filter(move |&layer| layer < layers)
}
