"""Tokens on their way: the same as each clip alone, continued after a stop, shared by processes, read row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.config import load_config
from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore
from motionlab.errors import InputError
from motionlab.files.tensors import write_tensors
from motionlab.jobs import tokens as module
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.token_rows import TokenFile, TokenRows
from motionlab.jobs.tokens import fill, groups, token_source, tokenise, tokenise_group, training_codes
from motionlab.motion.motion import Motion
from motionlab.training.distributed import World


def make_store(folder: Path, count: int, seed: int) -> MotionStore:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 130, (count,), generator=generator).tolist()
    clips = (Clip(f"c{i}", Motion(torch.randn(n, 272, generator=generator)), ["walks"]) for i, n in enumerate(lengths))
    return MotionStore.write(folder, clips)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("motions")
    return Splits("noise", make_store(folder / "train", 150, 0), make_store(folder / "validation", 9, 1), {})


@pytest.fixture
def run(tmp_path: Path, splits: Splits) -> Run:
    """A run with a tokenizer that nobody trained."""
    run = Run.create(tmp_path / "run", load_config("ci"))
    fit_normalizer(run, splits)
    torch.manual_seed(0)
    run.save(make_tokenizer(run.config.tokenizer), "tokenizer-fsq")
    return run


def test_few_at_once_make_the_same_tokens_as_the_whole_group(run: Run, splits: Splits, monkeypatch) -> None:
    model, normalizer, clips = run.tokenizer(), run.normalizer, splits.train
    few = tokenise(model, clips, normalizer)
    sizes: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda x, mask=None: sizes.append(len(x)) or encode(x, mask))
    for group in groups(clips):
        together = model.encode_clips([normalizer.normalize(clips.features(i)) for i in group], len(group))
        del sizes[:]
        for (i, row), expected in zip(tokenise_group(model, clips, group, normalizer), together, strict=True):
            assert torch.equal(row, expected) and torch.equal(row, few[i])
        assert sum(sizes) == len(group) and min(sizes) >= module.FEWEST_AT_ONCE
    assert len(sizes) > 0 and max(sizes) < module.CLIPS_AT_ONCE


def test_a_stopped_run_continues_where_it_was(run: Run, splits: Splits, monkeypatch) -> None:
    whole, made = module.tokenise_group, list[list[int]]()

    def stops(model, clips, group, normalizer):
        made.append(group)
        if len(made) == 2:
            raise KeyboardInterrupt
        return whole(model, clips, group, normalizer)

    monkeypatch.setattr(module, "tokenise_group", stops)
    with pytest.raises(KeyboardInterrupt):
        training_codes(run, splits)
    assert (run.folder / "codes.partial").is_dir() and not (run.folder / "codes.safetensors").exists()
    codes = training_codes(run, splits)
    assert len(made) == 2 + 2, "three groups, of which the first one was there"
    expected = [tokenise(run.tokenizer(), part, run.normalizer) for part in (splits.train, splits.validation)]
    for rows, wanted in zip((codes.train, codes.validation), expected, strict=True):
        assert all(torch.equal(a, b) and a.dtype == torch.int64 for a, b in zip(rows, wanted, strict=True))
    assert not (run.folder / "codes.partial").exists()


def test_tokens_on_their_way_from_other_weights_are_dropped(run: Run, splits: Splits) -> None:
    fill(run, splits, World())
    torch.manual_seed(1)
    run.save(make_tokenizer(run.config.tokenizer), "tokenizer-fsq")
    again = Run.open(run.folder)
    codes = training_codes(again, splits)
    assert torch.equal(codes.train[0], tokenise(again.tokenizer(), splits.train, again.normalizer)[0])


def test_processes_share_the_groups(run: Run, splits: Splits) -> None:
    expected = training_codes(run, splits).digest
    (run.folder / "codes.safetensors").unlink()
    half = fill(run, splits, World(1, 2))
    assert (half.numbers == -1).any() and not (half.numbers == -1).all()
    assert not (fill(run, splits, World(0, 2)).numbers == -1).any()
    assert training_codes(run, splits).digest == expected


def test_a_file_of_the_first_version_is_still_read(run: Run, splits: Splits, monkeypatch) -> None:
    """It was written in one go, int32, with the same names; nothing in it says which version wrote it."""
    tensors: dict[str, torch.Tensor] = {}
    for name, part in (("train", splits.train), ("validation", splits.validation)):
        rows = tokenise(run.tokenizer(), part, run.normalizer)
        tensors[f"{name}.codes"] = torch.cat(rows).int()
        tensors[f"{name}.lengths"] = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    description = {"run": run.config.name, "made_from": token_source(run, splits)}
    write_tensors(run.folder / "codes.safetensors", tensors, description)
    monkeypatch.setattr(module, "fill", lambda *_: pytest.fail("they were made again"))
    codes = training_codes(run, splits)
    assert torch.equal(torch.cat(list(codes.train)).int(), tensors["train.codes"])
    assert [len(row) for row in codes.validation] == tensors["validation.lengths"].tolist()


def test_rows_behave_as_a_list() -> None:
    rows = TokenRows(torch.arange(6, dtype=torch.int32), np.array([2, 0, 4]))
    listed = [torch.tensor([0, 1]), torch.tensor([], dtype=torch.long), torch.tensor([2, 3, 4, 5])]
    assert len(rows) == 3 and [row.tolist() for row in rows] == [row.tolist() for row in listed]
    assert [row.tolist() for row in rows[1:]] == [row.tolist() for row in listed[1:]] and rows[-3].dtype == torch.int64
    with pytest.raises(IndexError):
        rows[3]


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    made = TokenFile.create(tmp_path / "codes.partial", {"train": "1"}, np.array([3, 2]))
    made.put(1, torch.tensor([7, 8]))
    assert made.has([1], 9) and not made.has([0, 1], 9)
    with pytest.raises(InputError, match="20 bytes, expected 24"):
        TokenFile(tmp_path / "codes.partial", np.array([3, 3]))
    assert TokenFile.create(tmp_path / "codes.partial", {"train": "1"}, np.array([3, 2])).has([1], 9)
    assert not TokenFile.create(tmp_path / "codes.partial", {"train": "2"}, np.array([3, 2])).has([1], 9)


def test_numbers_that_are_no_codes_are_made_again(tmp_path: Path) -> None:
    made = TokenFile.create(tmp_path / "codes.partial", {"train": "1"}, np.array([2]))
    made.put(0, torch.tensor([7, 8]))
    assert made.has([0], 9) and not made.has([0], 8)
    made.put(0, torch.tensor([7, -3]))
    assert not made.has([0], 9)
