#!/usr/bin/env python3
"""Other generators beside a Boltzmann machine: a small WGAN-GP and a VAE in PyTorch, each for the same processor time on one
thread, trained on the same binarised images and judged by `bitboltz judge`.

    python host/compare/generators.py --images train-images-idx3-ubyte --data mnist --minutes 1,4 --out out/generators

Writes `NAME-MINUTES.npy` (as many pictures as `--count`) and prints a table. Time is that of the processor, so other work on
the machine costs nothing; what is generated and judged at a mark does not count.
"""

import argparse
import gzip
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

LATENT = 64


def images(path, threshold):
    """Rows of an IDX file as float tensors of 0 and 1."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        data = file.read()
    magic, count, height, width = np.frombuffer(data[:16], ">i4")
    if magic != 0x803 or (height, width) != (28, 28) or len(data) != 16 + count * height * width:
        raise SystemExit(f"{path}: expected an IDX file of 28 × 28 images")
    pixels = np.frombuffer(data[16:], np.uint8).reshape(count, 1, 28, 28)
    return torch.from_numpy((pixels > threshold).astype(np.float32))


class Vae:
    """784-400-20 and back, Bernoulli pixels, Adam at 10⁻³, batch 100. Its pictures are thresholded means."""

    def __init__(self):
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
        self.optimiser = torch.optim.Adam([*self.encoder.parameters(), *self.decoder.parameters()], lr=1e-3)

    def step(self, batches):
        x = next(batches)[:100]
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        reconstruction = functional.binary_cross_entropy_with_logits(self.decoder(z), x.flatten(1), reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp())
        self.optimiser.zero_grad()
        ((reconstruction + kl) / len(x)).backward()
        self.optimiser.step()

    def pictures(self, count):
        return self.decoder(torch.randn(count, 20)).reshape(-1, 1, 28, 28) > 0


class Wgan:
    """A small convolutional WGAN with gradient penalty (weight 10), five steps of the critic for one of the generator, Adam at
    10⁻⁴ with β (0.5, 0.9), batch 64. Its pictures are thresholded."""

    def __init__(self):
        self.generator = nn.Sequential(
            nn.Linear(LATENT, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Sigmoid(),
        )
        self.critic = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 1),
        )
        adam = {"lr": 1e-4, "betas": (0.5, 0.9)}
        self.of_generator = torch.optim.Adam(self.generator.parameters(), **adam)
        self.of_critic = torch.optim.Adam(self.critic.parameters(), **adam)

    def step(self, batches):
        for _ in range(5):
            real = next(batches)[:64]
            with torch.no_grad():
                made = self.generator(torch.randn(len(real), LATENT))
            between = torch.lerp(real, made, torch.rand(len(real), 1, 1, 1)).requires_grad_()
            slope, = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
            penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            loss = self.critic(made).mean() - self.critic(real).mean() + 10 * penalty
            self.of_critic.zero_grad()
            loss.backward()
            self.of_critic.step()
        loss = -self.critic(self.generator(torch.randn(64, LATENT))).mean()
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()

    def pictures(self, count):
        return self.generator(torch.randn(count, LATENT)) > 0.5


def batches(data):
    """Batches of 100 in random order, for ever."""
    while True:
        for rows in torch.randperm(len(data)).split(100):
            yield data[rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="training images, IDX, may be .gz")
    parser.add_argument("--data", required=True, help="the data set that they are judged by, as bitboltz calls it")
    parser.add_argument("--minutes", default="1,4", help="marks, in minutes of processor time")
    parser.add_argument("--count", type=int, default=10_000, help="pictures")
    parser.add_argument("--threshold", type=int, default=127, help="a pixel is on if its grey value is above this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bitboltz", default="target/release/bitboltz", help="the program that judges")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    marks = sorted(float(minutes) for minutes in args.minutes.split(","))
    if marks[0] <= 0 or args.count < 1:
        parser.error("expected --minutes and --count above 0")
    subprocess.run([args.bitboltz, "--version"], check=True, stdout=subprocess.DEVNULL)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = images(args.images, args.threshold)
    print("| generator | minutes | steps | Fréchet distance | precision | recall | coverage | distinct |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, kind in [("vae", Vae), ("wgan-gp", Wgan)]:
        torch.manual_seed(args.seed)
        model, stream, steps, spent = kind(), batches(data), 0, 0.0
        for mark in marks:
            start = time.process_time()
            while spent + time.process_time() - start < 60 * mark:
                model.step(stream)
                steps += 1
            spent += time.process_time() - start
            with torch.no_grad():
                pictures = torch.cat([model.pictures(500) for _ in range(0, args.count, 500)])[: args.count]
            file = args.out / f"{name}-{mark:g}.npy"
            np.save(file, 255 * pictures[:, 0].numpy().astype(np.uint8))
            judge = [args.bitboltz, "judge", str(file), args.data, "--threshold", str(args.threshold), "--json"]
            found = json.loads(subprocess.run(judge, check=True, stdout=subprocess.PIPE).stdout)["pictures"]
            shares = " | ".join(f"{found[share]:.3f}" for share in ["precision", "recall", "coverage"])
            print(f"| {name} | {mark:g} | {steps} | {found['frechet']:.1f} | {shares} | {found['distinct']} |", flush=True)


if __name__ == "__main__":
    main()
