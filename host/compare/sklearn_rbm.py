"""scikit-learn's restricted Boltzmann machine: persistent contrastive divergence, here one epoch of it."""

from sklearn.neural_network import BernoulliRBM


def epoch_work(rows, hidden, batch):
    """A function that trains one epoch on all rows, from new weights each time."""
    settings = {"n_components": hidden, "batch_size": batch, "n_iter": 1, "learning_rate": 0.05, "random_state": 0}
    return lambda: BernoulliRBM(**settings).fit(rows)
