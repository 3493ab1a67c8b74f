"""Checks that every peer works on the same model: files, energies, modes, and the distribution that it samples."""

import importlib
import importlib.util
import json
import struct
import subprocess
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

import model as models


def expect(right, what):
    if not right:
        raise SystemExit(f"check failed: {what}")
    print(f"ok: {what}")


def small(seed, widths, scale):
    """A model of small random numbers."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: (rng.standard_normal(shape) * scale).astype(np.float32)
    return models.Model("small", [draw(*pair) for pair in zip(widths, widths[1:])], [draw(width) for width in widths])


def files(folder):
    """What is written is what is read."""
    model = small(0, [7, 5, 3], 1.0)
    models.save(model, folder / "small.safetensors")
    read = models.load(folder / "small.safetensors")
    pairs = zip(model.weights + model.biases, read.weights + read.biases)
    expect(all(np.array_equal(a, b) for a, b in pairs), "a checkpoint survives writing and reading")
    pixels = np.array([[[0, 127, 128], [255, 1, 200]]], np.uint8)
    (folder / "images").write_bytes(struct.pack(">4I", 0x803, 1, 2, 3) + pixels.tobytes())
    expect(models.images(folder / "images").tolist() == [[0, 0, 1, 1, 0, 1]], "idx images are read")


def energies(folder, program):
    """Energies against their definition over spins, and against `bitboltz energy`."""
    model = small(1, [70, 33, 40, 6], 0.5)
    states = np.random.default_rng(2).integers(0, 2, (50, sum(model.widths)), np.uint8)
    found = model.energy(states)
    couplings, fields = model.ising()
    spins = model.split(2.0 * states - 1)
    ising = -sum(layer @ field for layer, field in zip(spins, fields))
    ising -= sum((a @ matrix * b).sum(1) for a, b, matrix in zip(spins, spins[1:], couplings))
    expect(np.ptp(found - ising) < 1e-4, "over spins all energies differ by one constant")
    if program:
        models.save(model, folder / "model.safetensors")
        np.save(folder / "states.npy", states)
        command = [program, "energy", folder / "model.safetensors", folder / "states.npy", "--json"]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        expect(np.abs(found - told).max() < 1e-4 * np.abs(found).max(), "energies equal those of `bitboltz energy`")
    else:
        print("skipped: energies against `bitboltz energy`: no program bitboltz (--bitboltz PATH)")


def exact_means(model):
    """Mean of each unit, by enumeration."""
    states = np.array(list(product([0, 1], repeat=sum(model.widths))))
    p = np.exp(-model.energy(states))
    return p @ states / p.sum()


def samplers(chains=20_000, sweeps=200):
    """Block Gibbs of every peer that is installed, against enumeration. 5 standard deviations of a mean of bits."""
    model = small(3, [4, 3, 2, 3], 0.8)
    exact = exact_means(model)
    for name, package in (("torch_dbm", "torch"), ("jax_gibbs", "jax"), ("thrml_gibbs", "thrml")):
        if not importlib.util.find_spec(package):
            print(f"skipped: {package} is not installed")
            continue
        layers = importlib.import_module(name).gibbs_work(model, chains, sweeps)()
        means = np.concatenate([np.asarray(layer, np.float64).mean(0) for layer in layers])
        error = np.abs(means - exact) / np.sqrt(exact * (1 - exact) / chains)
        expect(error.max() < 5, f"{package} samples the model's distribution ({error.max():.1f} standard deviations)")


def torch_step():
    """The PyTorch step: energies, modes, and the centered gradient, each against its definition."""
    if not importlib.util.find_spec("torch"):
        return
    import torch
    import torch_dbm

    model = small(4, [40, 30, 20, 10], 0.5)
    dbm = torch_dbm.Dbm(model)
    flat = lambda x: torch.cat(x, 1).numpy()
    x = dbm.random(200)
    start = model.energy(flat(x))
    expect(np.abs(dbm.energy(x, dbm.odd_fields(x)).numpy() - start).max() < 1e-3, "torch: energies")
    for visible in (None, x[0].clone()):
        y = [layer.clone() for layer in x]
        from_visible = None if visible is None else torch.addmm(dbm.biases[1], visible, dbm.weights[0])
        dbm.search(y, from_visible)
        free = range(0 if visible is None else 1, 4)
        fixed = all(torch.equal((dbm.fields(y, layer) >= 0).float(), y[layer]) for layer in free)
        kept = visible is None or torch.equal(y[0], visible)
        lower = (model.energy(flat(y)) <= start + 1e-3).all()
        expect(fixed and kept and lower, f"torch: {'free' if visible is None else 'clamped'} searches end at modes")

    # One step from known states: E[(x − μ)(y − μ)ᵀ] of both phases, by its definition.
    states = [x, dbm.random(200)]
    kept = [[layer.double().numpy() for layer in phase] for phase in states]
    offsets = [torch.rand(width) for width in model.widths]
    mu = [offset.double().numpy() for offset in offsets]
    torch_dbm.ascend(dbm, *states, 1.0, offsets)
    centred = [[layer - m for layer, m in zip(phase, mu)] for phase in kept]
    steps = [sum(sign * phase[l].T @ phase[l + 1] / 200 for sign, phase in zip((1, -1), centred)) for l in range(3)]
    right = [np.abs(dbm.weights[l].numpy() - model.weights[l] - steps[l]).max() < 1e-5 for l in range(3)]
    for l in range(4):
        step = kept[0][l].mean(0) - kept[1][l].mean(0)
        step -= steps[l] @ mu[l + 1] if l < 3 else 0
        step -= mu[l - 1] @ steps[l - 1] if l else 0
        right.append(np.abs(dbm.biases[l].numpy() - model.biases[l] - step).max() < 1e-4)
    expect(all(right), "torch: the centered gradient")


def run(program):
    with tempfile.TemporaryDirectory() as folder:
        files(Path(folder))
        energies(Path(folder), program)
    torch_step()
    samplers()
