"""Runs other software on the tasks of `bitboltz bench`, in turn with it, and prints the ratios.

Needs numpy; every peer is skipped where it is not installed. See README.md.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

WORK = ("update", "sample", "gibbs", "rbm", "statistics")
UNITS = {
    "update": "one update",
    "sample": "modes and samples",
    "gibbs": "one Gibbs sweep of the batch",
    "rbm": "one epoch of an RBM",
    "statistics": "⟨x yᵀ⟩ of the batch",
}
# What has to be importable for a peer, and what pip calls it.
PACKAGES = {"torch": "torch", "sklearn": "scikit-learn", "jax": "jax", "thrml": "thrml"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--bitboltz", metavar="PATH", help="the program (default: this repository's release build, else that of PATH)")
    add("--model", action="append", default=[], metavar="FILE", help="a checkpoint in safetensors; may be repeated")
    add("--layers", metavar="W,W,…", help="an orthogonal start of these widths (default 784,784,784 without --model)")
    add("--images", metavar="DATA", help="idx or .npy images, as `bitboltz train` takes them (default: random bits)")
    add("--batch", default="100,1000", metavar="N,…", help="chains at once (default 100,1000)")
    add("--threads", type=int, default=2, help="of every contestant (default 2)")
    add("--rounds", type=int, default=5, help="rounds in which all contestants take turns (default 5)")
    add("--only", default=",".join(WORK), metavar="WORK,…", help=f"of {','.join(WORK)}")
    add("--json", metavar="FILE", help="write all figures here")
    add("--markdown", metavar="FILE", help="write the table here too")
    add("--check", action="store_true", help="check the peers against definitions, measure nothing")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := set(args.only) - set(WORK):
        parser.error(f"--only: expected some of {','.join(WORK)}, found {','.join(sorted(unknown))}")
    try:
        args.batch = [int(number) for number in args.batch.split(",")]
        layers = "784,784,784" if not args.layers and not args.model else args.layers
        args.layers = [int(number) for number in layers.split(",")] if layers else None
    except ValueError as error:
        parser.error(f"--batch, --layers: expected whole numbers between commas: {error}")
    if min(args.batch + (args.layers or [1]) + [args.threads, args.rounds]) < 1 or len(args.layers or [1, 1]) < 2:
        parser.error("--batch, --layers, --threads, --rounds: expected numbers of at least 1, and two layers or more")
    return args


def limit_threads(count):
    """As many threads for every library, before any is loaded; and, where the system can, as many processors."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) < count:
            raise SystemExit(f"--threads {count}: this process may use {len(processors)} processors")
        os.sched_setaffinity(0, processors[:count])


class Peers:
    """The peers' modules, each loaded when it is first asked for; a missing one is named once."""

    def __init__(self):
        self.missing = set()

    def module(self, name, *packages):
        for package in packages:
            if importlib.util.find_spec(package) is None:
                pip = PACKAGES[package]
                self.skip(f"{pip} is not installed (pip install {pip})", pip)
                return None
        return importlib.import_module(name)

    def skip(self, why, name):
        if name not in self.missing:
            print(f"skipped: {why}", file=sys.stderr, flush=True)
        self.missing.add(name)


def timed(work):
    """A function that gives the seconds of one run of `work`."""

    def seconds():
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return seconds


def torch_contestants(peers, threads, prepare):
    """PyTorch as it comes, and after `torch.set_float32_matmul_precision("medium")`. `prepare(module)` gives the work,
    for each with a model of its own."""
    module = peers.module("torch_dbm", "torch")
    if module is None:
        return {}
    module.threads(threads)

    def with_precision(level):
        seconds = timed(prepare(module))

        def run():
            module.precision(level)
            return seconds()

        return run

    return {"PyTorch": with_precision("highest"), "PyTorch, medium precision": with_precision("medium")}


def our_contestants(bench, work, kinds, **flags):
    """This program, with each weight type."""
    if bench is None:
        return {}
    return {kind: lambda kind=kind: bench.seconds(work, chain_weights=kind, **flags) for kind in kinds}


def measure(peers, ours, rounds):
    """Medians of all contestants' seconds. They take turns, so that what else the machine does falls on all of them.
    The first turn of a peer warms up; `bench` does that by itself. One that fails is named and left out."""
    contestants = {("peer", name): run for name, run in peers.items()}
    contestants.update({("ours", name): run for name, run in ours.items()})
    times = {}
    for turn in range(rounds + 1):
        for key, run in list(contestants.items()):
            if turn == 0 and key[0] == "ours":
                continue
            try:
                seconds = run()
            except (RuntimeError, KeyError, subprocess.CalledProcessError) as error:
                print(f"skipped: {key[1]}: {error}", file=sys.stderr, flush=True)
                del contestants[key]
                continue
            if turn > 0:
                times.setdefault(key, []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items() if key in contestants}


class Comparison:
    """All measurements of one run."""

    def __init__(self, args, bench, folder):
        import model as models

        self.args, self.bench, self.folder = args, bench, Path(folder)
        self.models, self.peers, self.rows = models, Peers(), []
        # Read before anything is measured, so that a bad file ends the run at once.
        self.images = models.images(args.images) if args.images else None
        self.loaded = [(models.load(path), path) for path in args.model]

    def add(self, work, weights, batch, peers, ours):
        """Measures; one row for each peer."""
        if not peers:
            return
        medians = measure(peers, ours, self.args.rounds)
        own = {name: seconds for (side, name), seconds in medians.items() if side == "ours"}
        for (side, name), seconds in medians.items():
            if side == "peer":
                ratios = {kind: seconds / value for kind, value in own.items()}
                row = {"work": work, "weights": weights, "batch": batch, "peer": name, "peer_seconds": seconds}
                self.rows.append({**row, "ours_seconds": own, "ratios": ratios})
                print(line(self.rows[-1]), flush=True)

    def visible(self, batch, width):
        """So many images as rows."""
        if self.images.shape[1] != width:
            raise SystemExit(f"{self.args.images}: expected images of {width} bits, found {self.images.shape[1]}")
        return self.images[[i % len(self.images) for i in range(batch)]]

    def of_model(self, model, path):
        """Updates, samples and Gibbs sweeps of one model, which lies at `path`."""
        args, widths = self.args, model.widths
        flags = {"model": path}
        for batch in args.batch:
            if "update" in args.only and self.images is None:
                self.peers.skip("update: no images (--images DATA)", "update")
            elif "update" in args.only:
                rows = self.visible(batch, widths[0])
                peers = torch_contestants(self.peers, args.threads, lambda torch: torch.update_work(model, rows))
                ours = self.ours("update", batch=batch, images=args.images, **flags)
                self.add("update", model.name, batch, peers, ours)
            if "sample" in args.only:
                peers = torch_contestants(self.peers, args.threads, lambda torch: torch.sample_work(model, batch))
                self.add("sample", model.name, batch, peers, self.ours("sample", batch=batch, **flags))
            if "gibbs" in args.only:
                self.add("gibbs", model.name, batch, self.gibbs(model, batch), self.ours("gibbs", batch=batch, **flags))

    def ours(self, work, kinds=("f32", "i16", "i8"), **flags):
        return our_contestants(self.bench, work, kinds, **flags)

    def gibbs(self, model, batch, sweeps=5):
        """Seconds of one sweep of `batch` chains. Those that are slow take fewer chains, and are scaled up."""

        def scaled(run, factor):
            return lambda: run() * factor

        threads = self.args.threads
        peers = torch_contestants(self.peers, threads, lambda torch: torch.gibbs_work(model, batch, sweeps))
        peers = {name: scaled(run, 1 / sweeps) for name, run in peers.items()}
        if module := self.peers.module("jax_gibbs", "jax"):
            peers["JAX"] = scaled(timed(module.gibbs_work(model, batch, sweeps)), 1 / sweeps)
        if module := self.peers.module("thrml_gibbs", "thrml", "jax"):
            chains = min(batch, 100)
            peers["thrml"] = scaled(timed(module.gibbs_work(model, chains, 1)), batch / chains)
        module = self.peers.module("ferrotherm_gibbs")
        program, why = module.build()
        if program:
            peers["ferrotherm"] = scaled(module.seconds_work(program, model, threads, 5, self.folder), batch)
        else:
            self.peers.skip(f"ferrotherm: {why}", "ferrotherm")
        return peers

    def rbm(self, batch=100):
        """One epoch over the images, with as many hidden as visible units."""
        if self.images is None:
            self.peers.skip("rbm: no images (--images DATA)", "rbm")
            return
        module = self.peers.module("sklearn_rbm", "sklearn")
        width = self.images.shape[1]
        peers = {"scikit-learn": timed(module.epoch_work(self.images, width, batch))} if module else {}
        flags = {"layers": f"{width},{width}", "batch": batch, "images": self.args.images}
        self.add("rbm", f"RBM {width}-{width}, {len(self.images)} rows", batch, peers, self.ours("rbm-epoch", **flags))

    def statistics(self, states=1000, width=784):
        """⟨x yᵀ⟩ of as many random bits as chains."""
        import numpy as np

        bits = np.random.default_rng(2).integers(0, 2, (2, states, width)).astype(np.float32)
        peers = torch_contestants(self.peers, 1, lambda torch: torch.statistics_work(*bits))
        bench = self.bench
        ours = {"bits": lambda: bench.statistics(states, width)} if bench else {}
        self.add("statistics", f"none, {width} × {width}, one thread each", states, peers, ours)

    def run(self):
        args = self.args
        if set(args.only) & {"update", "sample", "gibbs"}:
            if args.layers:
                # Written for the other side, so that both have the same numbers.
                model, path = self.models.orthogonal(args.layers), self.folder / "orthogonal.safetensors"
                self.models.save(model, path)
                self.of_model(model, path)
            for model, path in self.loaded:
                self.of_model(model, path)
        if "rbm" in args.only:
            self.rbm()
        if "statistics" in args.only:
            self.statistics()


HEAD = "| work | weights | batch | peer | its seconds | ours, s | its seconds / ours |\n|---|---|---|---|---|---|---|"


def line(row):
    """A row of the table."""
    number = lambda x: f"{x:.3g}"
    ours = ", ".join(f"{kind} {number(seconds)}" for kind, seconds in row["ours_seconds"].items()) or "–"
    ratios = ", ".join(f"{kind} {number(ratio)}" for kind, ratio in row["ratios"].items()) or "–"
    cells = [UNITS[row["work"]], row["weights"], row["batch"], row["peer"], number(row["peer_seconds"]), ours, ratios]
    return "| " + " | ".join(map(str, cells)) + " |"


def machine(threads):
    """What the figures belong to."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    versions = {}
    for package in ("numpy", *PACKAGES.values()):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    python = platform.python_version()
    return {"processor": processor, "threads": threads, "load_before": load, "python": python, "packages": versions}


def main():
    args = arguments()
    limit_threads(args.threads)
    if importlib.util.find_spec("numpy") is None:
        raise SystemExit("numpy is not installed (pip install numpy)")
    import ours

    program = ours.find(args.bitboltz)
    if args.check:
        import check

        return check.run(program)
    about = machine(args.threads)
    if about["load_before"] is not None and about["load_before"] > 0.5:
        print("note: other work runs here; libraries that spin at barriers lose more by it than we do", file=sys.stderr)
    if program is None:
        print("skipped: our own side: bitboltz is not built (cargo build --release)", file=sys.stderr)
    load = "" if about["load_before"] is None else f", load {about['load_before']:.1f} before"
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    title = f"{about['processor']}, threads: {args.threads}{load}; rounds: {args.rounds}, medians; {versions}."
    print(title, HEAD, sep="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(args, ours.Bench(program, args.threads) if program else None, folder)
        comparison.run()
    if args.markdown:
        text = "\n".join([title, "", HEAD, *map(line, comparison.rows)]) + "\n"
        Path(args.markdown).write_text(text, encoding="utf-8")
    if args.json:
        text = json.dumps({"machine": about, "rounds": args.rounds, "rows": comparison.rows}, indent=1) + "\n"
        Path(args.json).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
