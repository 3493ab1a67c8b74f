//! Modes and samples of a model: many chains from random starts.

use bitboltz_core::{
    conditional::Block,
    model::DenseDbm,
    rng::stream,
    search::{LocalModeSearch, SearchCapHit, SearchReport},
};

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
    local_modes_on(&ChainWeights::new(model), None, count, sweeps, seed)
}

/// [`local_modes`] on weights that are in tiles already, and with some visible units held: `given` is the packed visible
/// bits and a mask of those that are.
///
/// # Errors
/// [`SearchCapHit`], if the search of any chain finds no mode.
///
/// # Panics
/// If the bits or the mask have too few words.
pub fn local_modes_on<W: TileWeight>(
    weights: &ChainWeights<W>,
    given: Option<(&[u32], &[u32])>,
    count: usize,
    sweeps: u32,
    seed: u64,
) -> Result<Samples, SearchCapHit> {
    let shape = *weights.shape();
    let mut mask = vec![0; shape.words()];
    if let Some((_, held)) = given {
        let words = shape.word_range(0);
        mask[words.clone()].copy_from_slice(&held[..words.len()]);
    }
    let blocks = in_blocks(
        count,
        || Chains::new(&shape),
        |chains, range| {
            let streams = range.map(|chain| stream(seed, chain as u64));
            match given {
                None => chains.reset(weights, streams, None, Clamping::Free),
                Some((visible, _)) => chains.reset(weights, streams, Some(&|_| visible), Clamping::Same(&mask)),
            }
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
        weights::Field as _,
    };

    use super::*;
    use crate::{batch::testing::parameters, chain::ChainBuffer, quantise::Quantised};

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn check<W: TileWeight>(number: fn(usize) -> W) {
        let weights: Vec<W> = (0..40 * 20).map(number).collect();
        let zeros = vec![W::Field::default(); 40];
        let scale = if W::MAX_MAGNITUDE == 0 { Scale::ONE } else { Scale::from_bits(0.01_f32.to_bits()).unwrap() };
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
