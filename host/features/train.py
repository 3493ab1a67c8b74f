#!/usr/bin/env python3
"""Trains the feature networks that the program carries, and writes them as ONNX.

    python train.py mnist   PATH/TO/mnist         mnist.onnx
    python train.py fashion PATH/TO/fashion-mnist fashion.onnx

The folder holds the four idx files of the data set, plain or with .gz. Needs torch, numpy and onnx.

A network is a small convolutional classifier of 28 x 28 black and white images. Its input is `pixels`, N x 1 x 28 x 28
floats from 0 to 1; its outputs are `features`, N x 64, the activations after the last hidden layer's ReLU, neither
normalised nor centered, and `logits`, N x 10. Batch normalisation is folded into the convolutions, so the file is plain
convolutions, poolings and matrix products: 61,000 parameters, 245 kB.

The images are binarised first (a pixel is 1 if its grey value is above 127): that is what a Boltzmann machine makes of
them, and what the network will see.
"""

import argparse
import gzip
import json
import pathlib

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

THRESHOLD = 127
FEATURES = 64
EPOCHS = 12
BATCH = 128
PEAK_RATE = 3e-3
SHIFT = 1  # pixels, each way, at random
SEED = 0


def idx(folder, name):
    """The array of an idx file."""
    plain = pathlib.Path(folder) / name
    raw = plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_name(name + ".gz").read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(folder, part):
    """Binary images, N x 1 x 28 x 28, and their labels."""
    images = torch.from_numpy((idx(folder, f"{part}-images-idx3-ubyte") > THRESHOLD)[:, None].astype(np.float32))
    return images, torch.from_numpy(idx(folder, f"{part}-labels-idx1-ubyte").astype(np.int64))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [1, 16, 32, 64]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, bias=False) for a, b in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.hidden = nn.Linear(64 * 3 * 3, FEATURES)
        self.out = nn.Linear(FEATURES, 10)

    def forward(self, x):
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = F.relu(norm(conv(x)))
            if layer < 2:
                x = F.max_pool2d(x, 2)
        x = F.dropout(x.flatten(1), 0.25, self.training)
        features = F.relu(self.hidden(x))
        return features, self.out(F.dropout(features, 0.25, self.training))


def shifted(images, generator):
    """Each image moved by up to SHIFT pixels, with empty pixels moved in."""
    padded = F.pad(images, [SHIFT] * 4)
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, len(images), 1), generator=generator)
    span = torch.arange(28)
    rows, columns = (down + span)[:, :, None], (right + span)[:, None, :]
    return padded[torch.arange(len(images))[:, None, None], 0, rows, columns][:, None]


def accuracy(net, images, labels):
    net.eval()
    with torch.no_grad():
        found = [net(batch)[1].argmax(1) for batch in images.split(1000)]
    return (torch.cat(found) == labels).float().mean().item()


def train(images, labels):
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        net.train()
        total = 0.0
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            if len(batch) < BATCH:
                break
            loss = F.cross_entropy(net(shifted(images[batch], generator))[1], labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(images):.4f}", flush=True)
    return net


def write(net, name, path, card):
    """The network as ONNX, with batch normalisation folded into the convolutions."""
    net.eval()
    weights, nodes = [], []

    def tensor(name, value):
        weights.append(numpy_helper.from_array(value.detach().numpy().astype(np.float32), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    x = "pixels"
    for layer, (conv, norm) in enumerate(zip(net.convs, net.norms)):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = tensor(f"conv{layer}.weight", conv.weight * scale[:, None, None, None])
        bias = tensor(f"conv{layer}.bias", norm.bias - norm.running_mean * scale)
        x = node("Conv", [x, weight, bias], f"conv{layer}", kernel_shape=[3, 3])
        x = node("Relu", [x], f"relu{layer}")
        if layer < 2:
            x = node("MaxPool", [x], f"pool{layer}", kernel_shape=[2, 2], strides=[2, 2])
    x = node("Flatten", [x], "flat")
    for linear, layer in [(net.hidden, "hidden"), (net.out, "logits")]:
        weight, bias = tensor(f"{layer}.weight", linear.weight), tensor(f"{layer}.bias", linear.bias)
        product = node("Gemm", [x, weight, bias], "logits" if layer == "logits" else "sums", transB=1)
        x = node("Relu", [product], "features") if layer == "hidden" else product

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    outputs = [value("features", [FEATURES]), value("logits", [10])]
    graph = helper.make_graph(nodes, name, [value("pixels", [1, 28, 28])], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, doc_string=card)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["mnist", "fashion"])
    parser.add_argument("folder")
    parser.add_argument("onnx")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the order of summation, and so the result, depends on it
    net = train(*load(args.folder, "train"))
    test = accuracy(net, *load(args.folder, "t10k"))
    card = {"data": args.name, "threshold": THRESHOLD, "epochs": EPOCHS, "seed": SEED, "test_accuracy": round(test, 4)}
    print(json.dumps(card))
    write(net, args.name, args.onnx, json.dumps(card))


if __name__ == "__main__":
    main()
