"""Parts of `motionlab run --preset tiny` against the plain way, each a whole step or call.

    python benchmarks/main_job.py                       two parts, by turns, one thread
    python benchmarks/main_job.py --only decoder --seconds 60

| part      | ours                                                | peer                                          |
|-----------|-----------------------------------------------------|-----------------------------------------------|
| decoder   | a training step, its strategy included              | the last layer computed at every position     |
| text      | captions through MiniLM in blocks of 256 tokens     | blocks of 64 tokens                           |

Windows, codes and text features are made up; sizes and lengths are those of the preset. Two other programs on the two
threads of one core change every number, so the rows are processor time.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import torch
from support.measuring import Row, by_processor, save_rows, speed_row, take_turns
from torch import Tensor

from motionlab.config import RunConfig, load_config
from motionlab.jobs.build import make_llama
from motionlab.llama.objectives.strategies import make_strategy
from motionlab.llama.sequence import Sequences, build_sequences
from motionlab.text.encoder import TextFeatures, encode_blocks
from motionlab.text.minilm import MiniLM
from motionlab.training.optimizer import make_optimizer

RESULTS = Path(__file__).parent / "results"
CAPTIONS = 96
TEXT_DIM, LONGEST_MOTION = 384, 300

Ways = Mapping[str, Callable[[], object]]


def decoder_batch(config: RunConfig, codebook_size: int) -> Sequences:
    """Captions of 12 to 24 tokens, motions of 10 to 43: nine of ten motions of the preset."""
    generator = torch.Generator().manual_seed(0)
    rows = config.llama_training.batch_size
    counts = torch.randint(10, 44, (rows,), generator=generator).tolist()
    codes = [torch.randint(codebook_size, (count,), generator=generator) for count in counts]
    lengths = torch.randint(12, 25, (rows,), generator=generator)
    text = TextFeatures.from_rows([torch.randn(length, TEXT_DIM, generator=generator) for length in lengths.tolist()])
    return build_sequences(codes, text, codebook_size)


def decoder_ways(config: RunConfig) -> Ways:
    """One training step of the decoder, both ways."""
    size = config.tokenizer.codebook_size
    model = make_llama(config, codebook_size=size, text_dim=TEXT_DIM, longest=LONGEST_MOTION).train()
    optimizer, batch = make_optimizer(model, lr=1e-3), decoder_batch(config, size)
    kind, keep, per = config.llama.strategy, config.llama.keep_codes, config.llama.keep_rate
    strategy, hidden = make_strategy(kind, keep=keep, per=per), model.hidden

    def step() -> None:
        strategy(model, batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def everywhere(*inputs: Tensor, only: Tensor) -> Tensor:
        return hidden(*inputs)[only]

    def plain() -> None:
        with mock.patch.object(model, "hidden", everywhere):
            step()

    return {"ours": step, "peer": plain}


def text_ways(config: RunConfig) -> Ways:
    """Captions of one length that fill blocks of both sizes."""
    tokenizer, model = MiniLM()._loaded
    ids = [tokenizer("a person walks forward and then kicks with the left leg twice")["input_ids"]] * CAPTIONS

    @torch.no_grad()
    def encode(tokens: int) -> None:
        encode_blocks(ids, lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state, tokens)

    return {"ours": functools.partial(encode, 256), "peer": functools.partial(encode, 64)}


PARTS = {"decoder": decoder_ways, "text": text_ways}


def main() -> None:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each part")
    parser.add_argument("--out", type=Path, default=RESULTS / "main_job_cpu.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config, rows = load_config("tiny"), list[Row]()
    for name in [args.only] if args.only else PARTS:
        times = by_processor(take_turns(PARTS[name](config), args.rounds, args.seconds))
        rows.append(speed_row(name, f"{name}, preset tiny", times, "ours", "peer", None))
        print(rows[-1], flush=True)
    save_rows(args.out, rows)


if __name__ == "__main__":
    main()
