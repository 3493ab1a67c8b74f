"""This program's side: `bitboltz bench`, one process for each measurement. It checks its own answers."""

import json
import os
import shutil
import subprocess
from pathlib import Path


def find(path):
    """The program: as given, else as `cargo build --release` leaves it, else as installed."""
    built = Path(__file__).parents[2] / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "bitboltz"
    found = shutil.which(path) if path else shutil.which(built) or shutil.which("bitboltz")
    if path and not found:
        raise SystemExit(f"{path}: expected the program bitboltz, found none that can be run")
    return found


class Bench:
    """Runs one of the benches and picks the seconds out of its answer."""

    def __init__(self, program, threads):
        self.program, self.threads = program, threads

    def run(self, work, **flags):
        command = [self.program, "bench", work, "--json", "--threads", str(self.threads)]
        for name, value in flags.items():
            if value is not None:
                command += ["--" + name.replace("_", "-"), str(value)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"bitboltz bench {work}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return json.loads(done.stdout)

    def seconds(self, work, **flags):
        return self.run(work, **flags)["seconds"]

    def statistics(self, states, width):
        """Seconds of ⟨x yᵀ⟩ of so many states of bits, width × width, on one thread: from what the kernel takes for a pair
        of units over 1,024 states."""
        kernels = self.run("kernels")["kernels"]
        best = min(k["nanoseconds"] for k in kernels if k["kernel"] == "count_pairs")
        return best * 1e-9 * width * width * states / 1024
