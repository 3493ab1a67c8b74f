//! Modes and samples of a model: many chains from random starts.

use std::ops::Range;

use bitboltz_core::{
    conditional::Block,
    model::DenseDbm,
    rng::stream,
    search::{LocalModeSearch, SearchCapHit, SearchReport},
};
use thiserror::Error;

use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, in_blocks},
    bits::BitMatrix,
};

/// Visible bits of many chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// The local modes, one row for each chain.
    pub modes: BitMatrix,
    /// Where the chains are after their Gibbs sweeps.
    pub visible: BitMatrix,
    /// What each chain's search took.
    pub searches: Vec<SearchReport>,
}

/// Runs `count` chains, each from uniform random bits to a local mode and then `sweeps` Gibbs sweeps on: 0 gives the
/// modes themselves, 1 the starting distribution of the paper's estimator, more lets the chains wander.
///
/// Chain i draws from [`stream`]`(seed, i)`, so neither `count` nor the number of threads changes it, and with integer
/// weights a board that walks the same stream gets the same bits. Works for every weight type.
///
/// # Errors
/// [`SearchCapHit`], if the search of any chain finds no mode.
pub fn local_modes<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    count: usize,
    sweeps: u32,
    seed: u64,
) -> Result<Samples, SearchCapHit> {
    local_modes_on(&ChainWeights::new(model), 0..count, sweeps, seed)
}

/// Why there are no pictures of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClassError {
    /// A search found no mode.
    #[error(transparent)]
    Search(#[from] SearchCapHit),
    /// The model hardly ever makes one.
    #[error("class {class}: expected {wanted} images, found {found} among those of {chains} chains")]
    Rare {
        /// The class asked for.
        class: usize,
        /// Images asked for.
        wanted: usize,
        /// Images of that class.
        found: usize,
        /// Chains that were run.
        chains: usize,
    },
}

/// [`local_modes`] of one class: of the chains 0, 1, … the first `count` whose label units `labels`, at the mode and after
/// the sweeps, say `class` and nothing else. So they are the model's own pictures of the class; held label units, one among
/// hundreds of pixels, hardly move a search that begins at random bits.
///
/// # Errors
/// [`ClassError`]; a class is rare if a hundred times the chains that evenly frequent classes need are not enough.
pub fn local_modes_of_class<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    labels: Range<usize>,
    class: usize,
    count: usize,
    sweeps: u32,
    seed: u64,
) -> Result<Samples, ClassError> {
    let weights = ChainWeights::new(model);
    let (round, visible) = (count * labels.len(), model.shape().width(0));
    let says = |rows: &BitMatrix, row| labels.clone().all(|unit| rows.get(row, unit) == (unit == labels.start + class));
    let (mut modes, mut samples, mut searches) = (Vec::new(), Vec::new(), Vec::new());
    let mut chains = 0;
    while searches.len() < count {
        if chains == 100 * round {
            return Err(ClassError::Rare { class, wanted: count, found: searches.len(), chains });
        }
        let drawn = local_modes_on(&weights, chains..chains + round, sweeps, seed)?;
        for row in (0..round).filter(|&row| says(&drawn.modes, row) && says(&drawn.visible, row)) {
            if searches.len() < count {
                modes.extend_from_slice(drawn.modes.row(row));
                samples.extend_from_slice(drawn.visible.row(row));
                searches.push(drawn.searches[row]);
            }
        }
        chains += round;
    }
    let matrix = |words| BitMatrix::from_words(count, visible, words).expect("visible layers are packed rows");
    Ok(Samples { modes: matrix(modes), visible: matrix(samples), searches })
}

/// [`local_modes`] on weights that are in tiles already, of the chains with these numbers.
///
/// # Errors
/// [`SearchCapHit`], if the search of any chain finds no mode.
pub fn local_modes_on<W: TileWeight>(
    weights: &ChainWeights<W>,
    numbers: Range<usize>,
    sweeps: u32,
    seed: u64,
) -> Result<Samples, SearchCapHit> {
    let shape = *weights.shape();
    let count = numbers.len();
    let blocks = in_blocks(
        count,
        || Chains::new(&shape),
        |chains, range| {
            let streams = range.map(|chain| stream(seed, (numbers.start + chain) as u64));
            chains.reset(weights, streams, None, Clamping::Free);
            let active: Vec<u32> = (0..chains.len() as u32).collect();
            chains.randomise(&active);
            let mut reports = Vec::new();
            chains.search(weights, &LocalModeSearch::default(), &active, &mut reports);
            let reports = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
            let visible = |chains: &Chains<W>| -> Vec<u32> {
                (0..chains.len()).flat_map(|chain| &chains.words(chain)[shape.word_range(0)]).copied().collect()
            };
            let modes = visible(chains);
            for _ in 0..sweeps {
                chains.gibbs(weights, Block::Odd, &active);
            }
            Ok(((modes, visible(chains)), reports))
        },
    );
    let (rows, searches): (Vec<_>, Vec<_>) = blocks.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let (modes, visible): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let matrix = |rows: Vec<Vec<u32>>| {
        BitMatrix::from_words(count, shape.width(0), rows.concat()).expect("visible layers are packed rows")
    };
    Ok(Samples { modes: matrix(modes), visible: matrix(visible), searches: searches.concat() })
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        connection::Dense,
        fixed::Scale,
        start::{LocalModeStart, Start as _},
        state::Clamp,
        weights::{Field as _, WeightKind},
    };

    use super::*;
    use crate::{batch::testing::parameters, chain::ChainBuffer, quantise::Quantised};

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn check<W: TileWeight>(number: fn(usize) -> W) {
        let weights: Vec<W> = (0..40 * 20).map(number).collect();
        let zeros = vec![W::Field::default(); 40];
        let scale = if W::KIND == WeightKind::F32 { Scale::ONE } else { Scale::from_bits(0.01_f32.to_bits()).unwrap() };
        let dense = Dense::new(&weights, 40, 20, 0).unwrap();
        let model = DenseDbm::new([dense], &[&zeros, &zeros[..20]], scale).unwrap();
        let one = pool(1).install(|| local_modes(&model, 50, 1, 7)).unwrap();
        let two = pool(2).install(|| local_modes(&model, 50, 1, 7)).unwrap();
        assert_eq!(one, two);
        let few = local_modes(&model, 3, 1, 7).unwrap();
        assert_eq!(few.visible, one.visible.subset(0..3));
        assert!(one.visible.distinct_rows() > 1 && one.searches.iter().all(|search| search.sweeps > 0));
        // At a mode no visible field has the wrong sign.
        let modes = local_modes(&model, 5, 0, 7).unwrap();
        assert_eq!((&modes.modes, &modes.visible), (&one.modes.subset(0..5), &modes.modes));
        let mut buffer = ChainBuffer::new(model.shape());
        for row in (0..modes.visible.rows()).map(|i| modes.visible.row(i)) {
            let mut state = buffer.state(model.shape());
            state.words_mut()[..2].copy_from_slice(row);
            model.refresh(&mut state);
            bitboltz_core::conditional::mode_block(
                &model,
                &mut state,
                bitboltz_core::conditional::Block::Odd,
                &Clamp::none(),
            );
            assert!(state.layer(0).iter().zip(state.layer_fields(0)).all(|(bit, field)| *bit == field.is_on()));
        }
    }

    #[test]
    fn chains_do_not_depend_on_threads_or_count() {
        check::<f32>(|i| ((i * 7919 % 1009) as f32 - 500.0) / 300.0);
        check::<i8>(|i| (i * 7919 % 201) as i8);
        check::<i16>(|i| (i * 7919 % 1009) as i16 - 500);
    }

    #[test]
    fn a_class_has_the_chains_that_say_so() {
        let parameters = parameters(&[45, 25, 20], 3);
        let model = parameters.dbm().unwrap();
        let all = local_modes(&model, 600, 1, 5).unwrap();
        let says = |row: usize, labels: &Range<usize>, class: usize| {
            let both = [&all.modes, &all.visible];
            both.iter().all(|rows| labels.clone().all(|unit| rows.get(row, unit) == (unit == labels.start + class)))
        };
        // Any three units will do as labels, where each alone is on often enough.
        let (labels, class, expected) = (0..43)
            .flat_map(|at| (0..3).map(move |class| (at..at + 3, class)))
            .map(|(labels, class)| {
                let rows: Vec<usize> = (0..600).filter(|&row| says(row, &labels, class)).take(20).collect();
                (labels, class, rows)
            })
            .find(|(_, _, rows)| rows.len() == 20)
            .unwrap();
        let found = local_modes_of_class(&model, labels.clone(), class, 20, 1, 5).unwrap();
        for (row, &chain) in expected.iter().enumerate() {
            assert_eq!((found.modes.row(row), found.visible.row(row)), (all.modes.row(chain), all.visible.row(chain)));
            assert_eq!(found.searches[row], all.searches[chain]);
        }
        // With visible biases that keep the class off nobody says it.
        let mut never = parameters.clone();
        never.tensors_mut().1[0][labels.start + class] = -1000.0;
        let rare = local_modes_of_class(&never.dbm().unwrap(), labels, class, 2, 1, 5).unwrap_err();
        assert_eq!(rare, ClassError::Rare { class, wanted: 2, found: 0, chains: 600 });
    }

    /// One chain after the other through the core. Multiples of 1/1024 add up without rounding.
    #[test]
    fn chains_are_those_of_the_core() {
        let parameters = parameters(&[45, 25, 20], 3);
        let (float, integer) = (parameters.dbm().unwrap(), Quantised::<i8>::new(&parameters).unwrap());
        fn core<W: TileWeight>(model: &DenseDbm<'_, W>) {
            let samples = local_modes(model, 70, 2, 5).unwrap();
            let mut buffer = ChainBuffer::new(model.shape());
            for chain in 0..70 {
                let mut state = buffer.state(model.shape());
                let start = LocalModeStart { sweeps: 2, ..LocalModeStart::default() };
                let report = start.start(model, &mut state, &Clamp::none(), &mut stream(5, chain as u64)).unwrap();
                assert_eq!(samples.searches[chain], report);
                assert_eq!(samples.visible.row(chain), state.layer_words(0));
            }
        }
        core(&float);
        core(&integer.dbm().unwrap());
    }
}
