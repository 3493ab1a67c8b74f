"""Block Gibbs in JAX with dense matrix products: the odd layers given the even ones, then the even ones, compiled."""

import jax
import jax.numpy as jnp


def gibbs_work(model, chains, sweeps):
    """A function that takes Gibbs sweeps with all chains and returns the layers."""
    weights = [jnp.array(matrix) for matrix in model.weights]
    biases = [jnp.array(bias) for bias in model.biases]
    layers = len(biases)

    def sweep(x, key):
        x = list(x)
        for layer, key in zip([*range(1, layers, 2), *range(0, layers, 2)], jax.random.split(key, layers)):
            a = biases[layer]
            if layer > 0:
                a = a + x[layer - 1] @ weights[layer - 1]
            if layer + 1 < layers:
                a = a + x[layer + 1] @ weights[layer].T
            x[layer] = (jax.random.uniform(key, a.shape) < jax.nn.sigmoid(a)).astype(jnp.float32)
        return tuple(x), None

    run = jax.jit(lambda x, key: jax.lax.scan(sweep, x, jax.random.split(key, sweeps))[0])
    keys = jax.random.split(jax.random.key(0), layers)
    state = tuple(jax.random.bernoulli(k, 0.5, (chains, len(b))).astype(jnp.float32) for k, b in zip(keys, biases))
    return lambda: jax.block_until_ready(run(state, jax.random.key(1)))
