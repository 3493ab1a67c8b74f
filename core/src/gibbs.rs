//! Block Gibbs sampling.

use rand_core::Rng;

use crate::{
    conditional::{Block, sample_block},
    connection::Connection,
    model::Dbm,
    state::{Clamp, State},
    transition::Transition,
};

/// One sweep: the block `first` given the other, then the other given the first.
///
/// Coupled, both chains compare the same uniform with their own conditional. For a single unit that is the maximal
/// coupling: the two disagree with probability |σ(a) − σ(a′)|, the total variation distance of their conditionals.
/// (Qiu, Zhang, Wang, ICLR 2020, couple the Gibbs sampler of an RBM.)
#[derive(Clone, Copy, Debug)]
pub struct Gibbs {
    /// The block that is drawn first.
    pub first: Block,
}

impl Default for Gibbs {
    /// Odd layers first: from known pixels, the hidden layer next to them.
    fn default() -> Self {
        Self { first: Block::Odd }
    }
}

impl<C: Connection> Transition<C> for Gibbs {
    // Not inlined, as searches and `refresh` are not: a device has one copy of each, and each a frame that ends with it.
    #[inline(never)]
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        for block in [self.first, self.first.other()] {
            sample_block(model, x, block, clamp, rng);
        }
    }
}
