"""Block Gibbs with the Rust crate ferrotherm: writes the graph, builds the program in ferrotherm/, runs it."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "ferrotherm"


def build():
    """The program's path, or why there is none. The crate asks for a newer Rust than it turned out to need."""
    if not shutil.which("cargo"):
        return None, "cargo is not installed (https://rustup.rs)"
    command = ["cargo", "build", "--release", "--locked", "--ignore-rust-version", "--message-format=json"]
    built = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    programs = [message["executable"] for message in messages if message.get("executable")]
    return (programs[0], None) if programs else (None, "cargo could not build it (its messages are above)")


def seconds_work(program, model, threads, sweeps, folder):
    """A function that gives the seconds of one chain-sweep; each thread runs one chain. `folder` gets the graph."""
    couplings, fields = model.ising()
    graph = folder / "ising.graph"
    with graph.open("wb") as file:
        file.write(np.array([len(model.widths), *model.widths], "<u4").tobytes())
        for array in couplings + fields:
            file.write(np.ascontiguousarray(array, "<f4").tobytes())

    def run():
        command = [program, graph, str(threads), str(sweeps)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return float(out) / (threads * sweeps)

    return run
