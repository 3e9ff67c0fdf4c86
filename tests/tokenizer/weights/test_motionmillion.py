"""Names of the published checkpoint."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.tokenizer.weights.motionmillion import rename_published


def small(kind: str = "fsq", causal: bool = False) -> MotionTokenizer:
    return MotionTokenizer(make_quantizer(kind, 256, 8), width=8, depth=1, causal=causal)


def published(tokenizer: MotionTokenizer, prefix: str = "vqvae.") -> dict[str, torch.Tensor]:
    state = {prefix + name: value.clone() for name, value in tokenizer.state_dict().items()}
    return state | {
        f"{prefix}encoder.model.0.wavelets": torch.full((2,), 0.5).sqrt(),
        f"{prefix}decoder.model.6._arange": torch.arange(2),
    }


PREFIXES = [
    "", "vqvae.", "module.vqvae.", "module.", "_orig_mod.vqvae.", "_forward_module.module.vqvae.", "vqvae._orig_mod.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_patcher_and_whole_checkpoints(prefix: str) -> None:
    source, target = small(), small()
    target.load_motionmillion_state({"net": published(source, prefix), "nb_iter": 3})
    x = torch.randn(1, 8, 272)
    assert torch.equal(source(x).reconstruction, target(x).reconstruction)


def test_without_patcher_and_causal() -> None:
    source, target = small(causal=True), small(causal=True)
    state = {}
    for name, value in source.state_dict().items():
        parts = name.split(".")
        if parts[0] == "encoder":
            parts[2] = str(int(parts[2]) - 1)
        if parts[-2].isdigit():  # a convolution outside a residual block: wrapped in the published causal code
            parts.insert(-1, "conv")
        state["vqvae." + ".".join(parts)] = value
    assert "vqvae.encoder.model.0.conv.weight" in state and "vqvae.encoder.model.2.1.model.0.conv1.bias" in state
    assert set(rename_published(state)) == set(source.state_dict())
    target.load_motionmillion_state(state)
    x = torch.randn(1, 8, 272)
    assert torch.equal(source(x).reconstruction, target(x).reconstruction)


def test_a_published_codebook_has_no_counts() -> None:
    source, target = small("vq_ema"), small("vq_ema")
    source(torch.randn(4, 64, 272))
    counts = ("cluster_size", "cluster_sum", "initialised")
    state = {name: value for name, value in published(source).items() if not name.endswith(counts)}
    target.load_motionmillion_state(state)
    assert torch.equal(target.quantizer.codebook, source.quantizer.codebook)  # type: ignore[arg-type]
    assert bool(target.quantizer.initialised)
    before = target.quantizer.codebook.clone()  # type: ignore[operator]
    target.train()(torch.randn(4, 64, 272))
    assert not torch.equal(target.quantizer.codebook, before)  # type: ignore[arg-type]
    used = target(torch.randn(4, 64, 272)).quantized.indices
    assert torch.isfinite(target.quantizer.indices_to_codes(used)).all()


def test_a_missing_an_extra_and_a_reshaped_tensor_are_named() -> None:
    tokenizer = small()
    state = published(tokenizer)
    del state["vqvae.decoder.model.0.bias"]
    with pytest.raises(InputError, match="checkpoint: found no decoder.model.0.bias"):
        tokenizer.load_motionmillion_state(state)
    state = published(tokenizer) | {"vqvae.decoder.model.9.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"checkpoint: found biases \(decoder.model.9.bias\)"):
        tokenizer.load_motionmillion_state(state)
    state = published(tokenizer) | {"vqvae.decoder.model.0.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"decoder.model.0.bias \[3\] instead of \[8\]"):
        tokenizer.load_motionmillion_state(state)


def test_constants_of_another_wavelet_are_refused() -> None:
    tokenizer = small()
    for value in (torch.tensor([0.6, 0.8]), torch.ones(8)):
        with pytest.raises(InputError, match="encoder.model.0.wavelets: found .*of Haar's wavelet"):
            tokenizer.load_motionmillion_state(published(tokenizer) | {"vqvae.encoder.model.0.wavelets": value})
    with pytest.raises(InputError, match=r"unknown encoder.model.1.wavelets \[2\]"):
        tokenizer.load_motionmillion_state(published(tokenizer) | {"vqvae.encoder.model.1.wavelets": torch.ones(2)})


def test_quantised_numbers_are_refused() -> None:
    tokenizer = small()
    name = "decoder.model.0.weight"
    weight = tokenizer.state_dict()[name]
    with pytest.raises(InputError, match=f"checkpoint: found {name} of int8"):
        tokenizer.load_motionmillion_state(published(tokenizer) | {f"vqvae.{name}": weight.to(torch.int8)})
    with pytest.raises(InputError, match=rf"quantised weights \({name}_scale\)"):
        tokenizer.load_motionmillion_state(published(tokenizer) | {f"vqvae.{name}_scale": torch.ones(8)})
    with pytest.raises(InputError, match=f"checkpoint: {name}: found list|checkpoint: vqvae.{name}: found list"):
        tokenizer.load_motionmillion_state({**published(tokenizer), f"vqvae.{name}": [1.0]})


def test_part_of_the_counts_of_a_codebook_is_refused() -> None:
    source = small("vq_ema")
    state = published(source)
    del state["vqvae.quantizer.cluster_sum"]
    with pytest.raises(InputError, match="found no quantizer.cluster_sum"):
        small("vq_ema").load_motionmillion_state(state)
