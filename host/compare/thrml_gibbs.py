"""Block Gibbs with thrml: an Ising model with one edge for each weight, two superblocks, `vmap` over the chains."""

import jax
import jax.numpy as jnp
import numpy as np
from thrml import Block, SamplingSchedule, SpinNode, sample_states
from thrml.models import IsingEBM, IsingSamplingProgram


def program(model):
    """The sampling program and its free blocks, odd layers first."""
    couplings, fields = model.ising()
    nodes = [[SpinNode() for _ in range(width)] for width in model.widths]
    edges = [(i, j) for lower, upper in zip(nodes, nodes[1:]) for i in lower for j in upper]
    weights = jnp.array(np.concatenate([matrix.ravel() for matrix in couplings]))
    ebm = IsingEBM(sum(nodes, []), edges, jnp.array(np.concatenate(fields)), weights, jnp.array(1.0))
    blocks = [Block(layer) for layer in nodes]
    order = [tuple(blocks[1::2]), tuple(blocks[0::2])]
    return IsingSamplingProgram(ebm, order, []), blocks[1::2] + blocks[0::2]


def gibbs_work(model, chains, sweeps):
    """A function that takes Gibbs sweeps with all chains and returns the layers."""
    sampler, blocks = program(model)
    schedule = SamplingSchedule(n_warmup=sweeps, n_samples=1, steps_per_sample=1)
    run = jax.jit(jax.vmap(lambda key, state: sample_states(key, sampler, schedule, state, [], blocks)))
    keys = jax.random.split(jax.random.key(0), chains)
    state = [jax.random.bernoulli(jax.random.key(i), 0.5, (chains, len(block))) for i, block in enumerate(blocks)]
    layers = [*range(1, len(blocks), 2), *range(0, len(blocks), 2)]

    def work():
        seen = jax.block_until_ready(run(keys, state))
        return [seen[layers.index(layer)][:, 0] for layer in range(len(layers))]

    return work
