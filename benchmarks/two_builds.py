r"""`motionlab run` of an older checkout against this one: processor time, and motions scored by one judge.

    git worktree add ../older COMMIT
    python benchmarks/two_builds.py ../older --seeds 0 1 2 3 4

The builds take turns, seed by seed, each with an empty cache. A version's own scores cannot be compared with those of
another: each version changed the captions, the split and the judge. So both decoders are asked for the test captions of
both versions, and the judge of this version, trained with the same seed, scores all of them. A split that one version
keeps from its training may be training for the other: that is why there is a row for each version's captions.

Settings behind the checkout are those of this version's run. With these, fewer clips, fewer steps and no scheduled
sampling, it takes about half of the older version's processor time: `benchmarks/results/two_builds_half.json`. Older
runs that are in --folder are used again:

    python benchmarks/two_builds.py ../older corpus.n_train=1000 tokenizer.foot_weight=0.1 \
        tokenizer.decoder_share=0.25 tokenizer_training.steps=360 tokenizer_training.warmup_steps=30 \
        tokenizer_training.val_every=180 llama.strategy=next_token llama.keep_codes=0.9 \
        llama_training.steps=820 llama_training.val_every=205 \
        --seeds 0 1 2 3 4 --folder runs/two_builds_half --out benchmarks/results/two_builds_half.json

Runs are kept in --folder; a finished one is not done again. Results go to `benchmarks/results/two_builds.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from support.measuring import machine

from motionlab.evaluation.action_lists import compare
from motionlab.evaluation.intervals import means_differ
from motionlab.evaluation.judge import Judge
from motionlab.evaluation.physics import physics_of
from motionlab.files import write_text
from motionlab.motion.features import decode_positions

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "two_builds.json"
BUILDS = ("older", "newer")
SEEDS = ("seed", "corpus.seed", "tokenizer_training.seed", "llama_training.seed")  # `seed` alone trains no other model


class Build:
    """One checkout, one seed: its run and its motions, each made in a process of its own."""

    def __init__(self, checkout: Path, folder: Path, seed: int, settings: Sequence[str]) -> None:
        self.checkout, self.folder, self.seed, self.settings = checkout.resolve(), folder.resolve(), seed, settings
        self.run = self.folder / "runs" / "job"

    def train(self) -> dict[str, float]:
        """Do the main job, or read what it cost: seconds of the processor and of the clock."""
        kept = self.folder / "cost.json"
        if not kept.exists():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            seeds = [f"{name}={self.seed}" for name in SEEDS]
            self._python("-m", "motionlab", "run", "--preset", "tiny", "--name", "job", *seeds, *self.settings)
            after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            write_text(kept, json.dumps({"processor": round(used, 1), "clock": round(took, 1)}))
        return dict(json.loads(kept.read_text(encoding="utf-8")))

    def questions(self) -> Path:
        """The captions of its own test splits, with their actions, as a file."""
        out = self.folder / "questions.json"
        if not out.exists():
            self._python(str(HERE / "support" / "build_motions.py"), "questions", str(self.run), str(out))
        return out

    def motions(self, asked: Path, name: str) -> dict[str, list[torch.Tensor]]:
        """Its motions for those questions: split -> features `[T, 272]` of each caption."""
        out = self.folder / f"motions_{name}.pt"
        if not out.exists():
            self._python(str(HERE / "support" / "build_motions.py"), "motions", str(self.run), str(out), str(asked))
        return dict(torch.load(out, weights_only=True))

    def _python(self, *arguments: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        own = {"PYTHONPATH": str(self.checkout), "MOTIONLAB_CACHE": str(self.folder / "cache")}
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            subprocess.run(
                [sys.executable, *arguments], cwd=self.folder, env=kept | own, stdout=log, stderr=log, check=True
            )


def scores(
    judge: Judge, asked: Mapping[str, Any], made: Mapping[str, list[torch.Tensor]]
) -> dict[str, dict[str, float]]:
    """Split -> the means of the action measures over its captions, and the share of low toes that slide."""
    table = {}
    for name, questions in asked.items():
        found = [
            compare(q["actions"], judge.classifier.recognise(m)) for q, m in zip(questions, made[name], strict=True)
        ]
        means = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
        sliding = physics_of([decode_positions(motion) for motion in made[name]])["sliding"].value
        table[name] = {**means, "sliding": sliding, "clips": len(found)}
    return table


def one_seed(builds: Mapping[str, Build]) -> dict[str, Any]:
    """Both builds with one seed. The order changes from seed to seed, so that neither always comes first."""
    order = list(builds) if next(iter(builds.values())).seed % 2 == 0 else list(builds)[::-1]
    cost = {name: builds[name].train() for name in order}
    judge = Judge.load(builds["newer"].run / "judge.safetensors")
    found: dict[str, Any] = {}
    for whose, asking in builds.items():
        asked = json.loads(asking.questions().read_text(encoding="utf-8"))
        found[whose] = {
            name: scores(judge, asked, build.motions(asking.questions(), whose)) for name, build in builds.items()
        }
    return {"cost": {name: cost[name] for name in builds}, "captions of": found}


def summary(seeds: Mapping[str, Any]) -> dict[str, Any]:
    """Means over the seeds, and by the rule for all tables whether the builds differ."""
    rows = list(seeds.values())
    ratios = [row["cost"]["newer"]["processor"] / row["cost"]["older"]["processor"] for row in rows]
    table: dict[str, Any] = {"processor time, newer over older": [round(one, 3) for one in ratios], "exactly right": {}}
    for whose in BUILDS:
        for split in rows[0]["captions of"][whose]["newer"]:
            values = {name: [row["captions of"][whose][name][split]["exact"] for row in rows] for name in BUILDS}
            line: dict[str, Any] = {name: round(sum(some) / len(some), 3) for name, some in values.items()}
            if len(rows) > 1:
                clips = rows[0]["captions of"][whose]["newer"][split]["clips"]
                line["newer - older"] = str(means_differ(values["newer"], values["older"], clips))
            table["exactly right"][f"captions of the {whose}: {split}"] = line
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("older", type=Path, nargs="?", help="checkout of the older version")
    parser.add_argument("settings", nargs="*", help="key=value for this version's run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/two_builds"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if given.older is None:  # `make bench` runs every benchmark, and names none
        print("nothing to compare with: name the checkout of an older version")
        return
    checkouts = {"older": (given.older, []), "newer": (HERE.parent, given.settings)}
    seeds: dict[str, Any] = {}
    for seed in given.seeds:
        builds = {
            name: Build(where, given.folder / f"{name}_{seed}", seed, settings)
            for name, (where, settings) in checkouts.items()
        }
        seeds[str(seed)] = one_seed(builds)
        print(json.dumps(summary(seeds), indent=1), flush=True)
        kept = {"machine": machine(), "threads": os.environ.get("OMP_NUM_THREADS"), "settings": given.settings}
        write_text(given.out, json.dumps({**kept, "summary": summary(seeds), "seeds": seeds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
