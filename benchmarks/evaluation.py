"""How fast the metrics on embeddings are, in CPU seconds of one thread, against the formulas that evaluations use.

    python benchmarks/evaluation.py [--only fid ranks neighbours] [--repeat N] [--seconds S] [--quick]

| group | what | compared with | goal |
|-------|------|---------------|------|
| fid        | FID of 10,000 x 512 | `np.cov` and `scipy.linalg.sqrtm`; torchmetrics' formula | 10x |
|            | FID with its interval | the usual FID of 20 draws of clips | 10x |
| ranks      | R@1, R@2, R@3 among all 10,000 | all distances, every row sorted, as published evaluators do | 10x |
|            | the same in batches of 32 | the same, batch by batch; torchmetrics' hit rate | 10x |
| neighbours | the 3 nearest of 10,000 | `scipy` `cdist`, `cKDTree`; numpy's product and `argpartition` | 10x |

How much of the ranking can be left out depends on the embeddings, so it is measured on three kinds: an evaluator about
as good as published ones are among all clips of a test set, a very good one, and one that finds nearly every motion.

Five of the eleven rows miss their goal. A profile (one thread of an AVX2 processor, medians of 3 to 9 rounds) says why:
ours has a part that it cannot leave out, and that part alone takes more than a tenth of the peer's whole time.

| row                      | the part                                                       | of the peer's time   |
|--------------------------|----------------------------------------------------------------|----------------------|
| FID against scipy        | the products `x.T @ x` of both tables, in float32              | 18 % (92 of 510 ms)  |
| FID against torchmetrics | the same                                                       | 14 % (92 of 648 ms)  |
| 3 nearest against numpy  | one product of all pairs, which both sides need                | 31 % (1.66 of 5.3 s) |
| R@1-3, very good         | distances of 7,127 captions, for which the bound is too loose  | 12 % (1.07 of 9.2 s) |
| R@1-3 in batches of 32   | gathering the rows; among 32 there is nothing to leave out     | 19 % (10 of 53 ms)   |

scipy and torchmetrics are not needed by motionlab. Install them apart (`pip install --no-deps --target FOLDER scipy
torchmetrics lightning-utilities`) and put the folder into PYTHONPATH; a comparison without its peer is skipped by name.
That both sides find the same is a test (`tests/benchmarks/`). How it is measured, and why so: `support/measuring.py`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from motionlab.runtime import wait_passively

wait_passively()  # before torch is imported
for library in ("OMP", "OPENBLAS", "MKL"):  # numpy and scipy bring a library of their own, with threads of its own
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from support.measuring import Goal, Row, by_processor, machine, save_rows, speed_row, take_turns  # noqa: E402
from torch import Tensor  # noqa: E402

from motionlab.evaluation.distribution import frechet_distance, frechet_interval, nearest, r_precision  # noqa: E402

RESULTS = Path(__file__).parent / "results"
KS = (1, 2, 3)
DRAWS = 20
EVALUATORS = {"as published": 4.0, "very good": 2.0, "nearly perfect": 0.5}  # noise of the captions


def peer(module: str) -> Any:
    """A module of a peer, or None, said by name, where it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        print(f"  skipped: {module} is not here")
        return None


def embeddings(n: int, dimensions: int, noise: float) -> tuple[Tensor, Tensor]:
    """Captions and motions whose variance falls as 1, 1/2, 1/3 ... over the directions, as learned vectors' does."""
    random = torch.Generator().manual_seed(0)
    scale = torch.arange(1, dimensions + 1) ** -0.5
    turn = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=random))[0]
    motion = torch.randn(n, dimensions, generator=random) * scale
    text = motion + noise * torch.randn(n, dimensions, generator=random) * scale
    return text @ turn, motion @ turn


def usual_fid(a: np.ndarray, b: np.ndarray) -> float:
    """Covariances, and the root of their product as a matrix."""
    linalg = import_module("scipy.linalg")
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(one.dot(two))
    shift = a.mean(0) - b.mean(0)
    return float(shift.dot(shift) + np.trace(one) + np.trace(two) - 2 * np.trace(np.real(root)))


def drawn_fids(a: np.ndarray, b: np.ndarray, draws: int) -> list[float]:
    """The usual FID of clips drawn with replacement."""
    random = np.random.default_rng(0)
    rows = [(random.integers(len(a), size=len(a)), random.integers(len(b), size=len(b))) for _ in range(draws)]
    return [usual_fid(a[one], b[two]) for one, two in rows]


def torchmetrics_fid(a: Tensor, b: Tensor) -> float:
    """Covariances in float64, and the formula of `FrechetInceptionDistance` (eigenvalues of the product)."""
    compute = import_module("torchmetrics.image.fid")._compute_fid
    one, two = a.double(), b.double()
    return float(compute(one.mean(0), torch.cov(one.T), two.mean(0), torch.cov(two.T)))


def sorted_shares(text: np.ndarray, motion: np.ndarray, most: int = KS[-1]) -> list[float]:
    """Hits among the 1, 2, 3 nearest: all distances, each row sorted, the own number looked for."""
    squares = -2 * text @ motion.T + np.square(text).sum(1, keepdims=True) + np.square(motion).sum(1)
    order = np.argsort(np.sqrt(np.maximum(squares, 0)), axis=1)
    own = np.arange(len(text))[:, None].repeat(len(motion), 1)
    hits = (order == own)[:, :most].cumsum(1).astype(bool)
    return [float(share) for share in hits.mean(0)]


def sorted_in_batches(text: np.ndarray, motion: np.ndarray, batch: int = 32) -> list[float]:
    """The same in shuffled batches; the order is that of `r_precision(..., draws=1, seed=0)`."""
    order = np.random.default_rng(0).permutation(len(text))[: len(text) // batch * batch].reshape(-1, batch)
    return [float(x) for x in np.mean([sorted_shares(text[rows], motion[rows]) for rows in order], 0)]


def torchmetrics_in_batches(text: Tensor, motion: Tensor, batch: int = 32) -> list[float]:
    """`RetrievalHitRate` of every caption and its batch of motions."""
    functional = import_module("torchmetrics.functional.retrieval").retrieval_hit_rate
    order = np.random.default_rng(0).permutation(len(text))[: len(text) // batch * batch].reshape(-1, batch)
    hits, target = np.zeros(len(KS)), torch.eye(batch, dtype=torch.bool)
    for rows in torch.from_numpy(order):
        near = -torch.cdist(text[rows], motion[rows])
        for scores, wanted in zip(near, target, strict=True):
            hits += [float(functional(scores, wanted, top_k=k)) for k in KS]
    return [float(x) for x in hits / order.size]


def cdist_neighbours(a: np.ndarray, b: np.ndarray, k: int = 3) -> np.ndarray:
    """Distances of the k nearest by the whole table of scipy."""
    distances = import_module("scipy.spatial.distance").cdist(a, b)
    found: np.ndarray = np.sort(np.partition(distances, k - 1, axis=1)[:, :k], axis=1)
    return found


def tree_neighbours(a: np.ndarray, b: np.ndarray, k: int = 3) -> np.ndarray:
    """The same by scipy's tree, building included."""
    found: np.ndarray = import_module("scipy.spatial").cKDTree(b).query(a, k=k)[0]
    return found


def numpy_neighbours(a: np.ndarray, b: np.ndarray, k: int = 3) -> np.ndarray:
    """The same by one product in float32 and `argpartition`."""
    squares = np.square(a).sum(1, keepdims=True) - 2 * a @ b.T + np.square(b).sum(1)
    chosen = np.argpartition(squares, k - 1, axis=1)[:, :k]
    found: np.ndarray = np.sort(np.sqrt(np.maximum(np.take_along_axis(squares, chosen, 1), 0)), axis=1)
    return found


def shares(found: dict[int, Any]) -> list[float]:
    return [found[k].value for k in KS]


Compare = Callable[[str, str, Callable[[], Any], Callable[[], Any]], Row]


def fid_rows(n: int, dimensions: int, compare: Compare) -> Iterator[Row]:
    """FID alone, and with its interval."""
    a, b = embeddings(n, dimensions, 0.5)
    x, y = a.numpy(), b.numpy()
    size = f"{n:,} x {dimensions}"
    scipy = peer("scipy.linalg")
    if scipy is not None:
        yield compare("fid", f"FID, {size} vs scipy sqrtm", lambda: frechet_distance(a, b), lambda: usual_fid(x, y))
        name = f"FID with interval, {size} vs {DRAWS} draws"
        yield compare("fid", name, lambda: frechet_interval(a, b), lambda: drawn_fids(x, y, DRAWS))
    if peer("torchmetrics.image.fid") is not None:
        name = f"FID, {size} vs torchmetrics"
        yield compare("fid", name, lambda: frechet_distance(a, b), lambda: torchmetrics_fid(a, b))


def rank_rows(n: int, dimensions: int, compare: Compare) -> Iterator[Row]:
    """R-precision among all, and in batches."""
    for name, noise in EVALUATORS.items():
        text, motion = embeddings(n, dimensions, noise)
        found = shares(r_precision(text, motion, KS))
        print(f"  an evaluator {name}: R@1, R@2, R@3 among {n:,}: {found[0]:.3f} {found[1]:.3f} {found[2]:.3f}")

        def ours(text: Tensor = text, motion: Tensor = motion) -> Any:
            return r_precision(text, motion, KS)

        def usual(text: Tensor = text, motion: Tensor = motion) -> Any:
            return sorted_shares(text.numpy(), motion.numpy())

        yield compare("ranks", f"R@1-3 of {n:,}, {name}", ours, usual)
    text, motion = embeddings(n, dimensions, EVALUATORS["as published"])
    x, y = text.numpy(), motion.numpy()

    def in_batches() -> Any:
        return r_precision(text, motion, KS, batch=32, draws=1)

    yield compare("ranks", f"R@1-3 of {n:,} in 32s", in_batches, lambda: sorted_in_batches(x, y))
    if peer("torchmetrics.functional.retrieval") is not None:
        few = slice(0, max(64, n // 10))  # the peer asks one caption at a time
        name = f"R@1-3 of {len(text[few]):,} in 32s vs torchmetrics"
        yield compare(
            "ranks", name, lambda: r_precision(text[few], motion[few], KS, batch=32, draws=1),
            lambda: torchmetrics_in_batches(text[few], motion[few]),
        )  # fmt: skip


def neighbour_rows(n: int, dimensions: int, compare: Compare) -> Iterator[Row]:
    """The three nearest. The peers of scipy are asked for a part of the rows, as we are then."""
    a, b = embeddings(n, dimensions, 2.0)
    y = b.numpy()
    name = f"3 nearest, {n:,} of {n:,} vs numpy"
    yield compare("neighbours", name, lambda: nearest(a, b, 3), lambda: numpy_neighbours(a.numpy(), y))
    if peer("scipy.spatial") is not None:
        ways = (("cdist", n // 5, cdist_neighbours), ("cKDTree", n // 20, tree_neighbours))
        for way, rows, usual in ways:
            few = a[:rows]

            def theirs(usual: Callable[..., Any] = usual, few: Tensor = few) -> Any:
                return usual(few.numpy(), y)

            def ours(few: Tensor = few) -> Any:
                return nearest(few, b, 3)

            yield compare("neighbours", f"3 nearest, {rows:,} of {n:,} vs {way}", ours, theirs)


GROUPS = {"fid": fid_rows, "ranks": rank_rows, "neighbours": neighbour_rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Speed of the metrics on embeddings.")
    parser.add_argument("--only", nargs="+", choices=sorted(GROUPS), default=sorted(GROUPS))
    parser.add_argument("--repeat", type=int, default=9, help="rounds of a comparison, at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a comparison, after which it has three rounds")
    parser.add_argument("--quick", action="store_true", help="everything smaller; writes nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(", ".join(f"{key} {value}" for key, value in machine().items()), flush=True)

    def compare(group: str, name: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Row:
        times = take_turns({"ours": ours, "peer": theirs}, 2 if options.quick else options.repeat, options.seconds)
        return speed_row(group, name, by_processor(times), "ours", "peer", Goal(">=", 10.0))

    rows: list[Row] = []
    for group in options.only:
        for row in GROUPS[group](*((320, 32) if options.quick else (10_000, 512)), compare):
            rows.append(row)
            print(row, flush=True)
    if not options.quick:
        save_rows(RESULTS / "evaluation_cpu.json", rows)


if __name__ == "__main__":
    main()
