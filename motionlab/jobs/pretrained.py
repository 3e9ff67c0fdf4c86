"""A trained run that comes with the package, so that a sentence becomes a motion right after the set-up.

It is a run folder like any other, cut down to what generation needs, with weights as float16. `make pretrained` makes
it again: `motionlab run --preset tiny`, then `motionlab export`.

Every file of tensors carries its own sha256, and so do the settings: a damaged one is refused when it is read.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import torch

from motionlab.data.building import building
from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs.artefacts import MODEL, read_record, write_record
from motionlab.jobs.known_actions import FILE as KNOWN_CAPTIONS
from motionlab.jobs.run_folder import BUNDLED, Run
from motionlab.text.known_captions import thin_known_captions

MOST_CAPTIONS = 500  # whole training captions that are kept, to name the nearest one to a sentence
JUDGE, NORMALIZER = "judge.safetensors", "normalizer.safetensors"


def pretrained_run() -> Run:
    """The run that comes with the package, ready to generate.

    Raises:
        InputError: this copy of the package does not have it.
    """
    if not (BUNDLED / "config.yaml").is_file():
        raise InputError(
            BUNDLED, found="no such run", expected="the trained run that comes with motionlab",
            fix="Install motionlab again, or train one with motionlab run and name it with --run.",
        )  # fmt: skip
    return Run.open(BUNDLED)


def export_run(run_folder: str | Path, out: str | Path) -> list[Path]:
    """Write what generation needs of a finished run into a new folder, which opens as a run.

    Float weights of tokenizer and decoder are rounded to float16 (3 decimal digits) and are float32 again when they are
    loaded. Of the training captions 500 are kept, and all actions in them. Histories, checkpoints, motions and reports
    are left out.

    Returns:
        the files, by name.

    Raises:
        InputError: the run is not finished, a weight does not fit into float16, or `out` has content.
    """
    run, out = Run.open(run_folder), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, found="content", expected="a new folder", fix="Choose another one, or remove it first.")
    run.llama  # noqa: B018 - refuses a run that is not finished
    tokenizer = run.tokenizer_folder(run.config.tokenizer.quantizer).name
    for name in (NORMALIZER, KNOWN_CAPTIONS):
        if not (run.folder / name).is_file():
            fix = "Finish the run with motionlab run."
            raise InputError(run.folder / name, found="no such file", expected="a finished run", fix=fix)
    with building(out) as temporary:
        exported = Run(temporary, dataclasses.replace(run.config, compare_quantizers=[]))
        exported.save_config()
        thin_known_captions(run.folder / KNOWN_CAPTIONS, temporary / KNOWN_CAPTIONS, MOST_CAPTIONS)
        for name in (NORMALIZER, JUDGE):
            if (run.folder / name).is_file():
                shutil.copyfile(run.folder / name, temporary / name)
        for stage in (tokenizer, "llama"):
            _write_half(run.folder / stage / MODEL, temporary / stage / MODEL)
        # The decoder belongs to these tokens: rounded weights of the tokenizer have another digest.
        record = read_record(run.folder / "llama")
        if record:
            write_record(temporary / "llama", {**record, **exported.tokenizer_digests()})
        exported.llama  # noqa: B018 - opens as a run does
    return sorted(path for path in out.rglob("*") if path.is_file())


def _write_half(source: Path, target: Path) -> None:
    tensors, description = read_tensors(source)
    rounded = {name: one.half() if one.is_floating_point() else one for name, one in tensors.items()}
    for name, one in rounded.items():
        if not torch.isfinite(one).all():
            raise InputError(
                source, found=f"{name} up to {float(tensors[name].abs().max()):.3g}",
                expected="weights up to 65,504, the largest float16", fix="Use weights of a training that held.",
            )  # fmt: skip
    target.parent.mkdir()
    write_tensors(target, rounded, description)
