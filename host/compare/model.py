"""Models and images without any package but numpy: safetensors, idx, npy, and the energy of a state."""

import gzip
import io
import json
import struct
from pathlib import Path

import numpy as np


class Model:
    """Layers of binary units. weights[l] is [lower, upper], biases[l] one number for each unit of layer l."""

    def __init__(self, name, weights, biases):
        self.name, self.weights, self.biases = name, weights, biases

    @property
    def widths(self):
        return [len(bias) for bias in self.biases]

    def energy(self, states):
        """Energy of each row of states: the bits of all layers one after the other, visible first."""
        x = self.split(np.asarray(states, np.float64))
        energy = -sum(layer @ bias.astype(np.float64) for layer, bias in zip(x, self.biases))
        for lower, upper, weights in zip(x, x[1:], self.weights):
            energy -= (lower @ weights.astype(np.float64) * upper).sum(axis=1)
        return energy

    def ising(self):
        """Couplings and fields over spins s = 2x − 1 at β = 1: J = W / 4, h_i = b_i / 2 + Σ_j W_ij / 4."""
        fields = [bias / 2 for bias in self.biases]
        for l, matrix in enumerate(self.weights):
            fields[l] = fields[l] + matrix.sum(1) / 4
            fields[l + 1] = fields[l + 1] + matrix.sum(0) / 4
        return [matrix / 4 for matrix in self.weights], fields

    def split(self, states):
        """One array for each layer."""
        return np.split(states, np.cumsum(self.widths)[:-1], axis=1)


def orthogonal(widths, seed=0):
    """Random orthogonal weights (Saxe et al. 2014) and zero biases: where training starts."""
    rng = np.random.default_rng(seed)
    weights = []
    for lower, upper in zip(widths, widths[1:]):
        q, r = np.linalg.qr(rng.standard_normal((max(lower, upper), min(lower, upper))))
        q *= np.sign(np.diag(r))
        weights.append(np.ascontiguousarray(q if lower >= upper else q.T, np.float32))
    return Model("orthogonal start", weights, [np.zeros(width, np.float32) for width in widths])


def read(path):
    """The bytes of a file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None


def load(path):
    """A checkpoint in safetensors: `weight.l` is [upper, lower], `bias.l` a vector, both f32; the rest is ignored."""
    raw = read(path)
    try:
        (length,) = struct.unpack_from("<Q", raw)
        header = json.loads(raw[8 : 8 + length])
    except (struct.error, ValueError) as error:
        raise SystemExit(f"{path}: not a safetensors file: {error}") from None
    data = memoryview(raw)[8 + length :]

    def tensor(name):
        if name not in header:
            raise SystemExit(f"{path}: tensor {name}: expected, not found")
        entry = header[name]
        if entry["dtype"] != "F32":
            raise SystemExit(f"{path}: tensor {name}: expected type F32, found {entry['dtype']}")
        start, end = entry["data_offsets"]
        return np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])

    layers = sum(name.startswith("bias.") for name in header)
    if layers < 2:
        raise SystemExit(f"{path}: expected tensors bias.0, bias.1 and so on, found {layers} of them")
    biases = [tensor(f"bias.{l}").copy() for l in range(layers)]
    weights = [np.ascontiguousarray(tensor(f"weight.{l}").T) for l in range(layers - 1)]
    for l, matrix in enumerate(weights):
        if matrix.shape != (len(biases[l]), len(biases[l + 1])):
            raise SystemExit(f"{path}: tensor weight.{l}: shape {matrix.shape[::-1]} does not fit the biases")
    return Model(Path(path).stem, weights, biases)


def save(model, path):
    """Writes a checkpoint that `bitboltz` reads."""
    tensors = {f"weight.{l}": matrix.T for l, matrix in enumerate(model.weights)}
    tensors.update({f"bias.{l}": bias for l, bias in enumerate(model.biases)})
    header, blobs, end = {}, [], 0
    for name, array in tensors.items():
        blob = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def images(path):
    """Rows of 0/1 as float32: pixels above half of white are on. idx (also .gz), or .npy of bits, bytes, 0 to 1."""
    raw = read(path)
    if str(path).endswith(".npy"):
        try:
            array = np.load(io.BytesIO(raw))
        except ValueError as error:
            raise SystemExit(f"{path}: not a .npy file: {error}") from None
        array = array.reshape(len(array), -1)
        return (array > (255 if array.max() > 1 else 1) / 2).astype(np.float32)
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    magic, count, height, width = struct.unpack_from(">4I", raw.ljust(16))
    if magic != 0x803 or len(raw) != 16 + count * height * width:
        raise SystemExit(f"{path}: expected idx images (magic 0x803) or .npy, found magic {magic:#x}, {len(raw)} bytes")
    pixels = np.frombuffer(raw, np.uint8, offset=16, count=count * height * width)
    return (pixels.reshape(count, height * width) > 127).astype(np.float32)
