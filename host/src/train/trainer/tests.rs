//! What chains on integers run on is what an export of the checkpoint writes.

use bitboltz_core::{
    connection::Connection as _,
    rng::{Rng as _, stream},
    weights::{I4, WeightKind},
};

use super::*;
use crate::{
    batch::ChainWeights,
    quantise::{IntegerWeight, Quantised},
};

/// A run of some updates, with the chains made ready for the next one.
fn trained(kind: WeightKind) -> Trainer {
    let mut rng = stream(1, 0);
    let rows = (0..60).map(|i| (0..90).map(|j| rng.next_u32() >> 30 == 0 || (i + j) % 3 == 0).collect::<Vec<bool>>());
    let data = BitMatrix::from_rows(90, rows).unwrap();
    let config = TrainConfig { hidden: vec![70, 30], batch: 20, chain_weights: kind, ..TrainConfig::default() };
    let mut trainer = Trainer::new(config, data, Geometry::default()).unwrap();
    for _ in 0..25 {
        trainer.update().unwrap();
    }
    let Trainer { biases, work, .. } = &mut trainer;
    work.engine.refresh(biases).unwrap();
    trainer
}

fn check<W: IntegerWeight>(trainer: &Trainer, chains: &ChainWeights<W::Held>) {
    let checkpoint = trainer.checkpoint();
    let exported = Quantised::<W>::new(&checkpoint.parameters).unwrap();
    let expected = ChainWeights::new(&exported.dbm().unwrap());
    assert_eq!(chains.scale(), expected.scale());
    for layer in 0..3 {
        assert_eq!(chains.bias(layer), expected.bias(layer));
    }
    let (ours, theirs) = (chains.dbm().unwrap(), expected.dbm().unwrap());
    for l in 0..2 {
        assert!(chains.up(l) == expected.up(l) && chains.down(l) == expected.down(l), "weight.{l}");
        // The shifts.
        assert_eq!(ours.connections()[l].bounds(), theirs.connections()[l].bounds());
    }
    let most = exported.tensors().weights.iter().flatten().map(|&w| bytemuck::bytes_of(&w).to_vec()).max();
    assert!(most.is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0)), "no weights at all");
}

#[test]
fn chains_run_on_the_integers_that_are_exported() {
    let trainer = trained(WeightKind::I4);
    let Engine::I4(rounded) = &trainer.work.engine else { panic!("chains on i4") };
    check::<I4>(&trainer, rounded.chain_weights());
    let trainer = trained(WeightKind::I8);
    let Engine::I8(rounded) = &trainer.work.engine else { panic!("chains on i8") };
    check::<i8>(&trainer, rounded.chain_weights());
    let trainer = trained(WeightKind::I16);
    let Engine::I16(rounded) = &trainer.work.engine else { panic!("chains on i16") };
    check::<i16>(&trainer, rounded.chain_weights());
}
