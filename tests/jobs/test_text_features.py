"""Many captions: each is encoded once, by any engine to the same bits, and a start after a kill encodes the rest."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.cli import main
from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs import text_features as module
from motionlab.jobs.build import text_cache
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.text_features import encode_ahead, encode_many, encoder_settings
from motionlab.runtime import seeded
from motionlab.text.cache import TextCache
from motionlab.text.load import EncoderSettings

CAPTIONS = [f"a person {verb}s {times}" for verb in ("walk", "kick", "jump", "turn") for times in range(12)]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EncoderSettings:
    """A ByT5 of random numbers."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny-byt5"
    config = transformers.T5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    with seeded(0):
        transformers.T5EncoderModel(config).save_pretrained(folder)
    transformers.ByT5Tokenizer().save_pretrained(folder)
    return EncoderSettings("t5", str(folder), 60)


@pytest.mark.parametrize(("engine", "package"), [("local", "torch"), ("dask", "distributed"), ("ray", "ray")])
def test_two_workers_give_the_bits_of_one_process(
    engine: str, package: str, tmp_path: Path, settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    monkeypatch.setattr(module, "_PART", 7)
    here = TextCache(tmp_path / "here", settings.load()).features(CAPTIONS)
    assert encode_many(CAPTIONS[:5], tmp_path / "there", settings) == 5
    told: list[int] = []
    choice: dict[str, Any] = {"engine": engine, "workers": 2}
    assert encode_many([*CAPTIONS, *CAPTIONS], tmp_path / "there", settings, on_part=told.append, **choice) == 43
    assert told[-1] == 43 and len(told) == 7
    found = TextCache(tmp_path / "there", name=settings.load().name).features(CAPTIONS)
    assert torch.equal(found.states, here.states) and torch.equal(found.mask, here.mask)
    assert encode_many(CAPTIONS, tmp_path / "there", settings, engine=engine, workers=2) == 0


def test_more_captions_than_a_window(
    tmp_path: Path, settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WINDOW", 10)
    assert encode_many(iter(CAPTIONS), tmp_path, settings) == len(CAPTIONS)
    assert TextCache(tmp_path).missing(CAPTIONS) == []


_KILLED = """
import sys
from motionlab.jobs import text_features
from motionlab.text.load import EncoderSettings

text_features._PART = 4
captions = [line.strip() for line in sys.stdin]
settings = EncoderSettings("t5", sys.argv[2], 60)
text_features.encode_many(captions, sys.argv[1], settings, on_part=lambda done: print(done, flush=True))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_after_a_kill_only_the_rest_is_encoded(tmp_path: Path, settings: EncoderSettings) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(settings.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n".join(CAPTIONS))
        process.stdin.close()
        done = int(process.stdout.readline())
        process.kill()
    rest = encode_many(CAPTIONS, tmp_path, settings)
    assert 0 < done and rest <= len(CAPTIONS) - done
    here = TextCache(None, settings.load()).features(CAPTIONS)
    assert torch.equal(TextCache(tmp_path).features(CAPTIONS).states, here.states)


def test_a_caption_that_cannot_be_read_stops_it_and_the_others_stay(tmp_path: Path, settings: EncoderSettings) -> None:
    with pytest.raises(InputError, match="expected at most 60"):
        encode_many([*CAPTIONS, "x" * 100], tmp_path, settings, workers=2)
    encode_many(CAPTIONS, tmp_path, settings)
    assert TextCache(tmp_path).missing(CAPTIONS) == []


def test_several_processes_only_for_many_new_captions_of_minilm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: EncoderSettings
) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "cache"))
    asked: list[int] = []

    def encode(captions: list[str], folder: Path, settings: EncoderSettings, *, workers: int) -> int:
        asked.append(workers)
        raise InputError("caption", found="nothing", expected="words", fix="Write some.")  # left for `check_captions`

    monkeypatch.setattr(module, "encode_many", encode)
    config = load_config("ci")
    splits = prepare(config)
    run = Run.create(tmp_path / "run", config)
    new = len(run.text.missing([caption for i in range(len(splits.train)) for caption in splits.train.captions(i)]))
    encode_ahead(run, splits, processes=4)
    assert asked == [], "a process takes longer to begin than these captions"
    monkeypatch.setattr(module, "_WORTH_A_PROCESS", 2 + new // 3)
    encode_ahead(run, splits, processes=1)
    assert asked == []
    for processes in (2, 99):
        encode_ahead(run, splits, processes=processes)
    assert asked[0] == 2 and 2 <= asked[1] <= 99 // 2
    other = load_config("ci", ["text.encoder=t5", f"text.folder={settings.folder}", "text.max_tokens=300"])
    encode_ahead(Run.create(tmp_path / "t5", other), splits, processes=2)
    assert len(asked) == 2


def test_the_command_leaves_nothing_for_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: EncoderSettings
) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path))
    words = ["encode", "-p", "ci", "text.encoder=t5", f"text.folder={settings.folder}", "text.max_tokens=300"]
    for expected in (True, False):
        with pytest.raises(SystemExit) as stop:
            main([*words, "text.pooled=true"])
        assert stop.value.code in (0, None)
        line = capsys.readouterr().out
        assert line.startswith("the captions of ") and (not line.endswith("; 0 were encoded now\n")) == expected
    config = load_config("ci", [*words[3:], "text.pooled=true"])
    cache, splits = text_cache(config.text), prepare(config)
    captions = [some for split in splits.named().values() for i in range(len(split)) for some in split.captions(i)]
    assert cache.missing(captions) == [] and set(cache.token_counts(captions)) == {1}
    assert encoder_settings(config.text).load().name == cache.name
