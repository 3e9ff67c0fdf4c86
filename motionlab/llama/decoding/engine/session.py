"""A session of ONNX Runtime for a model as it is now: from memory, from a file next to the run, or exported anew.

The file is a cache. It holds the weights in the form that the engine reads, for other programs too, and can be removed.
Next to it a record names the weights it was made from and the digest of the file. Where either disagrees (a training
continued, a copy broke off) the file is made again.
"""

from __future__ import annotations

import hashlib
import warnings
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path, records
from motionlab.llama.decoding.engine.packages import onnxruntime_package
from motionlab.llama.decoding.engine.step_graph import check_size, step_graph
from motionlab.llama.decoding.fast.fingerprint import fingerprint, same
from motionlab.llama.model import MotionLlama

FORMAT = 1  # of the graph: raise it when `step_graph.py` writes another one


@dataclass(frozen=True)
class ExportRecord:
    """Belongs to an exported step: the version of our graph, the digest of the weights, and that of the file."""

    format: int
    weights: str
    file: str


def step_session(model: MotionLlama, *, int8: bool = False, folder: Path | None = None) -> Any:
    """The step of a model as an `onnxruntime.InferenceSession`, made once for the same weights and threads.

    Args:
        int8: see `step_graph`.
        folder: where the exported file is kept, with its record; None keeps it in memory only. A folder that cannot
            be written gives a warning.

    Raises:
        InputError, MissingExtra: as `step_graph`.
    """
    signs, threads = fingerprint(model), torch.get_num_threads()
    sessions = _MADE.setdefault(model, {})
    session, old_signs = sessions.get((int8, threads), (None, []))
    if session is None or not same(signs, old_signs):
        session = _start(_exported(model, int8, folder), threads)
        sessions[int8, threads] = session, signs
    return session


_MADE: weakref.WeakKeyDictionary[MotionLlama, dict[tuple[bool, int], tuple[Any, list[Tensor]]]]
_MADE = weakref.WeakKeyDictionary()


def export_path(folder: Path, *, int8: bool) -> Path:
    """The file of a step."""
    return folder / ("step-int8.onnx" if int8 else "step.onnx")


def _exported(model: MotionLlama, int8: bool, folder: Path | None) -> bytes:
    """The bytes of the file: the one of the folder where it belongs to these weights, else new ones, which are kept."""
    check_size(model, int8=int8)
    if folder is None:
        return _serialised(model, int8)
    path, weights = export_path(folder, int8=int8), weights_digest(model)
    kept = _read(path, weights)
    if kept is not None:
        return kept
    data = _serialised(model, int8)
    record = ExportRecord(FORMAT, weights, hashlib.sha256(data).hexdigest())
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
        records.write_record(_record_path(path), asdict(record))
    except InputError as error:
        warnings.warn(f"the exported decoder is not kept: {error}", stacklevel=2)
    return data


def _serialised(model: MotionLlama, int8: bool) -> bytes:
    data: bytes = step_graph(model, int8=int8).SerializeToString()
    return data


def _read(path: Path, weights: str) -> bytes | None:
    """The bytes of an export of these weights; None where there is none, or another one, or a damaged one."""
    try:
        record = records.read_record(_record_path(path), ExportRecord, expected="the record of an export", fix="")
        data = path.read_bytes()
    except (InputError, OSError):
        return None
    return data if record == ExportRecord(FORMAT, weights, hashlib.sha256(data).hexdigest()) else None


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


@torch.no_grad()
def weights_digest(model: MotionLlama) -> str:
    """sha256 of all that a step is made of: the weights with their names and shapes, the sizes, and the angles."""
    digest = hashlib.sha256()
    tensors = dict(model.state_dict()) | {"angles": torch.view_as_real(model.rotary.table)}
    shape = (model.n_head, model.n_kv_heads, model.norm_eps, model.tied_embeddings, model.qk_norm)
    digest.update(repr(shape).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _start(data: bytes, threads: int) -> Any:
    runtime = onnxruntime_package()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a waiting thread leaves its core alone
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
