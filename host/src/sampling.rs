//! Modes and samples of a model: many chains from random starts.

use bitboltz_core::{
    connection::Connection,
    model::Dbm,
    rng::stream,
    search::{SearchCapHit, SearchReport},
    start::{LocalModeStart, Start as _},
    state::Clamp,
    weights::Field,
};
use rayon::prelude::*;

use crate::{bits::BitMatrix, chain::ChainBuffer};

/// Visible bits of many chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// One row for each chain.
    pub visible: BitMatrix,
    /// What each chain's search took.
    pub searches: Vec<SearchReport>,
}

impl Samples {
    /// Number of different rows.
    pub fn distinct(&self) -> usize {
        self.visible.distinct_rows()
    }
}

/// Runs `count` chains, each from uniform random bits to a local mode and then `sweeps` Gibbs sweeps on: 0 gives the
/// modes themselves, 1 the starting distribution of the paper's estimator, more lets the chains wander.
///
/// Chain i draws from [`stream`]`(seed, i)`, so neither `count` nor the number of threads changes it, and with integer
/// weights a board that walks the same stream gets the same bits. Works for every weight type.
///
/// # Errors
/// [`SearchCapHit`] of the first chain whose search finds no mode.
pub fn local_modes<C>(model: &Dbm<'_, C>, count: usize, sweeps: u32, seed: u64) -> Result<Samples, SearchCapHit>
where
    C: Connection + Sync,
    C::Field: Field + Send + Sync,
{
    let shape = *model.shape();
    let start = LocalModeStart { sweeps, ..LocalModeStart::default() };
    let chains = (0..count).into_par_iter().with_min_len(4).map_init(
        || ChainBuffer::new(&shape),
        |buffer, chain| {
            let mut state = buffer.state(&shape);
            let report = start.start(model, &mut state, &Clamp::none(), &mut stream(seed, chain as u64))?;
            Ok((state.layer_words(0).to_vec(), report))
        },
    );
    let (rows, searches): (Vec<_>, _) = chains.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let visible = BitMatrix::from_words(count, shape.width(0), rows.concat()).expect("visible layers are packed rows");
    Ok(Samples { visible, searches })
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        connection::Dense,
        fixed::Scale,
        image::Geometry,
        model::DenseDbm,
        weights::{Field as _, Weight},
    };

    use super::*;
    use crate::{dual::DualMatrices, parameters::Parameters};

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn check<W: Weight + Sync>(number: fn(usize) -> W)
    where
        W::Field: Send + Sync,
    {
        let weights: Vec<W> = (0..40 * 20).map(number).collect();
        let zeros = vec![W::Field::default(); 40];
        let scale = if W::KIND.bytes() == 4 { Scale::ONE } else { Scale::from_bits(0.01_f32.to_bits()).unwrap() };
        let dense = Dense::new(&weights, 40, 20, 0).unwrap();
        let model = DenseDbm::new([dense], &[&zeros, &zeros[..20]], scale).unwrap();
        let one = pool(1).install(|| local_modes(&model, 50, 1, 7)).unwrap();
        let two = pool(2).install(|| local_modes(&model, 50, 1, 7)).unwrap();
        assert_eq!(one, two);
        let few = local_modes(&model, 3, 1, 7).unwrap();
        assert_eq!(few.visible, one.visible.subset(0..3));
        assert!(one.distinct() > 1 && one.searches.iter().all(|search| search.sweeps > 0));
        // At a mode no visible field has the wrong sign.
        let modes = local_modes(&model, 5, 0, 7).unwrap();
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
    fn both_orientations_give_the_same_modes() {
        let number = |i: usize| ((i * 7919 % 1009) as f32 - 500.0) / 512.0;
        let weights = vec![(0..30 * 25).map(number).collect(), (0..25 * 20).map(number).collect()];
        let parameters =
            Parameters::new(weights, vec![vec![0.0; 30], vec![0.0; 25], vec![0.0; 20]], Geometry::default()).unwrap();
        let dual = DualMatrices::new(&parameters);
        // Multiples of 1/512 add up without rounding: both must agree exactly.
        assert_eq!(
            local_modes(&parameters.dbm().unwrap(), 20, 2, 1),
            local_modes(&dual.dbm(&parameters).unwrap(), 20, 2, 1)
        );
    }
}
