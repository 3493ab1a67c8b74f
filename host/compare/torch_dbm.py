"""A deep Boltzmann machine in PyTorch, from the formulas: dense, without autograd, as quick as plain PyTorch goes.

Every sweep is a matrix product over the chains that still move. Chains that have arrived leave the batch, what clamped
units contribute is computed once, the product that gives a proposal's energy also gives the conditional means, and
operations work in place where that helps. `torch.rand(...) < p` is quicker than `torch.bernoulli(p)`.
"""

import torch

torch.set_grad_enabled(False)


def threads(count):
    torch.set_num_threads(count)


def precision(level):
    """How float32 products may be computed: "highest" (the default), or "medium", which leaves them to oneDNN."""
    torch.set_float32_matmul_precision(level)


class Dbm:
    """Layers of binary units; weights[l] is [lower, upper]. States are lists of [chains, width] tensors of 0 and 1."""

    def __init__(self, model):
        self.weights = [torch.tensor(matrix) for matrix in model.weights]
        self.biases = [torch.tensor(bias) for bias in model.biases]
        self.layers = len(self.biases)

    def random(self, chains):
        return [torch.randint(0, 2, (chains, len(bias)), dtype=torch.float32) for bias in self.biases]

    def fields(self, x, layer, from_visible=None):
        """b + W x over the neighbouring layers. `from_visible` is b + W v of layer 1, where v is clamped."""
        above = layer + 1 < self.layers
        if layer == 1 and from_visible is not None:
            return torch.addmm(from_visible, x[2], self.weights[1].T) if above else from_visible.clone()
        if layer == 0:
            return torch.addmm(self.biases[0], x[1], self.weights[0].T)
        a = torch.addmm(self.biases[layer], x[layer - 1], self.weights[layer - 1])
        return a.addmm_(x[layer + 1], self.weights[layer].T) if above else a

    def block(self, odd, clamped):
        """The layers that are set at once."""
        return range(1, self.layers, 2) if odd else range(2 if clamped else 0, self.layers, 2)

    def energy(self, x, odd_fields):
        """Energy of each chain, from the fields of the odd layers."""
        energy = -sum((a * x[layer]).sum(1) for layer, a in odd_fields.items())
        for layer in range(0, self.layers, 2):
            energy -= x[layer] @ self.biases[layer]
        return energy

    def odd_fields(self, x, from_visible=None):
        return {layer: self.fields(x, layer, from_visible) for layer in range(1, self.layers, 2)}

    def search(self, x, from_visible=None):
        """Moves all chains to local modes, in place: alternates x_block ← 1[a ≥ 0], odd block first. A block that is
        at its mode after the other one was set ends a chain's search. Returns the mean number of sweeps."""
        clamped = from_visible is not None
        moving, y, sweeps, odd, begun = None, list(x), 0, True, False
        while len(y[0]):
            sweeps += len(y[0]) if odd else 0
            changed = torch.zeros(len(y[0]), dtype=torch.bool)
            for layer in self.block(odd, clamped):
                new = self.fields(y, layer, from_visible).ge_(0)
                changed |= (new != y[layer]).any(1)
                y[layer] = new
            if begun and not changed.all():
                if moving is None:
                    moving = torch.arange(len(changed))
                    x[:] = [layer.clone() for layer in y]
                for layer, state in enumerate(y):
                    x[layer][moving[~changed]] = state[~changed]
                moving, y = moving[changed], [layer[changed] for layer in y]
                from_visible = from_visible[changed] if clamped else None
            odd, begun = not odd, True
        return sweeps / len(x[0])

    def gibbs(self, x, from_visible=None):
        """One Gibbs sweep, odd block first, in place."""
        for odd in (True, False):
            for layer in self.block(odd, from_visible is not None):
                p = self.fields(x, layer, from_visible).sigmoid_()
                x[layer] = (torch.rand(p.shape) < p).float()


def phase(dbm, chains, visible, marginalise):
    """The chains of one phase, `visible` clamped unless it is None: random bits, local mode, one Gibbs sweep, one
    Metropolis-Hastings proposal. Returns what the statistics take, and the mean number of sweeps."""
    x = dbm.random(chains)
    from_visible = None
    if visible is not None:
        x[0] = visible
        from_visible = torch.addmm(dbm.biases[1], visible, dbm.weights[0])
    sweeps = dbm.search(x, from_visible)
    dbm.gibbs(x, from_visible)
    proposal = dbm.random(chains)
    if visible is not None:
        proposal[0] = visible
    odd = dbm.odd_fields(x, from_visible)
    fall = dbm.energy(x, odd) - dbm.energy(proposal, dbm.odd_fields(proposal, from_visible))
    # At sizes that are worth timing nothing is ever accepted. The coupling that would follow is left out.
    if (torch.rand(chains).log() < fall).any():
        raise RuntimeError("a proposal was accepted, and what the coupled chains would then do is left out here")
    if marginalise:
        for layer, a in odd.items():
            x[layer] = a.sigmoid_()
    return x, sweeps


def ascend(dbm, positive, negative, rate, offsets=None, offset_rate=0.05):
    """Moves the parameters by rate × gradient, centered if there are offsets (one vector for each layer), which then
    follow the means of the positive phase."""
    chains = len(positive[0])
    means = [layer.mean(0) for layer in positive]
    steps = [mean - layer.mean(0) for mean, layer in zip(means, negative)]
    bias_steps = [step.clone() for step in steps]
    for l, weights in enumerate(dbm.weights):
        pairs = positive[l].T @ positive[l + 1]
        pairs.addmm_(negative[l].T, negative[l + 1], alpha=-1 / chains, beta=1 / chains)
        if offsets is not None:
            pairs.addr_(offsets[l], steps[l + 1], alpha=-1).addr_(steps[l], offsets[l + 1], alpha=-1)
            bias_steps[l].addmv_(pairs, offsets[l + 1], alpha=-1)
            bias_steps[l + 1].addmv_(pairs.T, offsets[l], alpha=-1)
        weights.add_(pairs, alpha=rate)
    for bias, step in zip(dbm.biases, bias_steps):
        bias.add_(step, alpha=rate)
    if offsets is not None:
        for offset, mean in zip(offsets, means):
            offset.lerp_(mean, offset_rate)


def update(dbm, visible, rate, offsets=None, marginalise=True):
    """One step of gradient ascent. Returns both phases' mean number of sweeps."""
    positive, positive_sweeps = phase(dbm, len(visible), visible, marginalise)
    negative, negative_sweeps = phase(dbm, len(visible), None, marginalise)
    ascend(dbm, positive, negative, rate, offsets)
    return positive_sweeps, negative_sweeps


def update_work(model, visible):
    """A function that makes one centered, marginalised update, what `bitboltz train` does unless told otherwise. The
    rate is so small that the weights stay as they are; the work does not depend on it."""
    dbm, visible = Dbm(model), torch.tensor(visible)
    offsets = [visible.mean(0)] + [torch.full((width,), 0.5) for width in model.widths[1:]]
    return lambda: update(dbm, visible, 1e-9, offsets)


def sample_work(model, chains):
    """A function that draws modes and the samples one Gibbs sweep on, from random starts."""
    dbm = Dbm(model)

    def run():
        x = dbm.random(chains)
        dbm.search(x)
        modes = x[0].clone()
        dbm.gibbs(x)
        return modes, x[0]

    return run


def gibbs_work(model, chains, sweeps):
    """A function that takes Gibbs sweeps with all chains and returns the layers."""
    dbm = Dbm(model)
    x = dbm.random(chains)

    def run():
        for _ in range(sweeps):
            dbm.gibbs(x)
        return x

    return run


def statistics_work(lower, upper):
    """A function that sums x yᵀ over states, as a product of floats."""
    lower, upper = torch.tensor(lower), torch.tensor(upper)
    return lambda: lower.T @ upper
