#!/usr/bin/env python3
"""Trains, exports and evaluates every arm of this folder's table, and writes results.json and the rows of the table.

    python3 docs/evidence/quantise/run.py target/release/bitboltz [FOLDER]

Models that FOLDER holds already are not trained again. A checkpoint can be put in as `mnist-f32.safetensors`.
"""
import json
import pathlib
import subprocess
import sys

BITBOLTZ = pathlib.Path(sys.argv[1]).resolve()
FOLDER = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "quantise").resolve()
HERE = pathlib.Path(__file__).resolve().parent

# Data set, hidden layers, updates.
SETS = {
    "digits": ("digits", "256,64", 8000),
    "mnist": ("mnist", "256,64", 3000),
}


def run(*arguments):
    answer = subprocess.run([BITBOLTZ, *arguments, "--json"], check=True, stdout=subprocess.PIPE, cwd=FOLDER)
    return json.loads(answer.stdout)


def measured(file, data):
    answer = run("eval", file, data, "--only", "frechet,inpainting", "--mask", "half-left", "-n", "1000",
                 "--samples", "1000")
    half = answer["inpainting"]["masks"][0]
    return {
        "restored": half["modes"]["all"],
        "restored_means": half["means"]["all"],
        "frechet_modes": answer["frechet"]["modes"],
        "frechet_samples": answer["frechet"]["samples"],
        "frechet_floor": answer["frechet"]["floor"],
        "flash_bytes": (FOLDER / file).stat().st_size if file.endswith(".bbz") else None,
    }


FOLDER.mkdir(parents=True, exist_ok=True)
results = []
for name, (data, hidden, steps) in SETS.items():
    for chains in ["f32", "i8", "i4"]:
        checkpoint = f"{name}-{chains}.safetensors"
        if not (FOLDER / checkpoint).exists():
            run("train", data, "--preset", data, "--hidden", hidden, "--steps", str(steps), "--quantise-aware", chains,
                "-o", checkpoint)
        # What was trained on integers is shipped in them; what was trained on floats is rounded, in three ways.
        if chains == "f32":
            arms = [("f32", "none", [])]
            for weights in ["i16", "i8", "i4"]:
                arms += [(weights, "plain", []), (weights, "calibrated", ["--calibrate", data])]
        else:
            arms = [(chains, "plain", [])]
        for weights, rounding, options in arms:
            row = {"model": name, "hidden": hidden, "chains": chains, "weights": weights, "rounding": rounding}
            if weights == "f32":
                row |= measured(checkpoint, data)
            else:
                image = f"{name}-{chains}-{weights}-{rounding}.bbz"
                export = run("export", checkpoint, "--weights", weights, "--data", data, "-o", image, *options)
                row |= measured(image, data)
                row |= {key: export["agreement"][key] for key in ["conditionals", "mode_units", "modes"]}
            results.append(row)
            percent = lambda key: f"{100 * row[key]:.2f}" if key in row else "–"
            print(f"| {name} | {chains} | {weights} | {rounding} | {percent('mode_units')} | {percent('conditionals')} | "
                  f"{percent('restored')} | {row['frechet_modes']:.1f} | {row['frechet_samples']:.1f} |", flush=True)

(HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
