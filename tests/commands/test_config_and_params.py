"""`motionlab config` and `motionlab params`: what they print."""

from __future__ import annotations

import pytest

from tests.commands.recorders import run_cli


def test_config_prints_all_a_section_or_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str) -> str:
        assert run_cli("config", *words) == 0
        return capsys.readouterr().out

    everything = printed("--preset", "tiny")
    for part in ("llama.dim ", "sampling.top_p ", "compare_quantizers ", "peak learning rate", "128", "768"):
        assert part in everything
    assert all(line.startswith(("key ", "llama.")) for line in printed("llama").splitlines())
    assert printed("-p", "tiny", "llama.dim", "llama.dim=64") == (
        "llama.dim: width of the residual stream\n  value    64\n  default  768\n  allowed  a whole number, 1 or more\n"
    )
    assert run_cli("config", "llama.dmi") == 2
    assert "Did you mean llama.dim?" in capsys.readouterr().err


def test_the_published_tokenizer_has_its_published_number_of_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("params", "tokenizer", "--preset", "motionmillion") == 0
    assert "11,349,782" in capsys.readouterr().out


def test_params_llama_prints_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("params", "llama", "--preset", "tiny") == 0
    assert "total" in capsys.readouterr().out.lower()
