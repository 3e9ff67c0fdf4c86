"""A folder that is not a run, a run without weights, and weights of another architecture are named."""

import re
import shlex
import shutil

import pytest
import torch

from motionlab.cli import main
from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.files.tensors import write_tensors
from motionlab.jobs.build import make_llama
from motionlab.jobs.run_folder import Run
from motionlab.training.checkpoints.tensor_files import load_model_state

pytestmark = pytest.mark.usefixtures("without_pictures")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"no config\.yaml.*motionlab run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("part", ["tokenizer", "llama", "normalizer"])
def test_a_run_without_weights(tmp_path, part, finished_run):
    empty = Run.create(tmp_path / "empty", load_config("ci"))
    if part == "llama":
        shutil.copytree(finished_run.tokenizer_folder("fsq"), empty.tokenizer_folder("fsq"))
    with pytest.raises(InputError, match="no such file") as caught:
        value = getattr(empty, part)
        value()  # only tokenizer is a method; the others raise one line earlier
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "other")
    config = (folder / "config.yaml").read_text().replace("width: 32", "width: 48")
    (folder / "config.yaml").write_text(config)
    with pytest.raises(InputError, match=r"config\.yaml: found changed content.*remove its last line"):
        Run.open(folder)
    (folder / "config.yaml").write_text(config[: config.rindex("#")])
    with pytest.raises(InputError, match=r"model\.safetensors.*encoder.*instead of"):
        Run.open(folder).tokenizer()


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("tokenizer", r"\bwidth: \d+", "width: 30000000"),
        ("tokenizer", r"\bdepth: \d+", "depth: 1000000000"),
        ("llama", r"\bn_layer: \d+", "n_layer: 1000000000"),
        ("llama", r"\bhidden: \w+", "hidden: 1000000000"),
    ],
)
def test_sizes_are_compared_with_the_weights_first(finished_run, tmp_path, part, before, after):
    """None of these models would fit into any memory, or be made within an hour."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "large")
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(re.sub(before, after, config[: config.rindex("#")]))
    run = Run.open(folder)
    with pytest.raises(InputError, match=r"model\.safetensors: found .*(instead of|tensors, expected the weights of)"):
        value = getattr(run, part)
        value()


@pytest.mark.parametrize("part", ["tokenizer", "llama"])
def test_weights_that_are_quantised_or_not_finite(finished_run, tmp_path, part):
    folder = shutil.copytree(finished_run.folder, tmp_path / "other")
    path = folder / ("tokenizer-fsq" if part == "tokenizer" else "llama") / "model.safetensors"
    state, description = load_model_state(path)
    name = next(name for name, value in state.items() if value.dim() > 1)
    for value, words in (
        (state[name].to(torch.int8), "of int8"),
        (state[name] * float("nan"), "NaN or infinite"),
    ):
        write_tensors(path, state | {name: value}, description)
        run = Run.open(folder)
        if part == "llama":
            (path.parent / "made_from.json").unlink(missing_ok=True)
        with pytest.raises(InputError, match=rf"model\.safetensors.*{words}"):
            value = getattr(run, part)
            value()


def test_weights_that_a_wrapper_named_are_read(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "compiled")
    path = folder / "tokenizer-fsq" / "model.safetensors"
    state, description = load_model_state(path)
    write_tensors(path, {f"_orig_mod.module.{name}": value for name, value in state.items()}, description)
    again = Run.open(folder).tokenizer().state_dict()
    assert all(torch.equal(again[name], value) for name, value in finished_run.tokenizer().state_dict().items())


@pytest.mark.parametrize(("part", "stage"), [("tokenizer-fsq", "tokenizer"), ("llama", "llama")])
def test_damaged_weights_are_written_again_by_the_command_that_the_error_names(finished_run, tmp_path, part, stage):
    folder = shutil.copytree(finished_run.folder, tmp_path / "a space" / "ci")
    path = folder / part / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="found changed content.*from the checkpoint, without training") as caught:
        getattr(Run.open(folder), stage)()
    words = shlex.split(caught.value.fix.partition("motionlab ")[2].removesuffix("."))
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0 and path.read_bytes() == whole
    shutil.rmtree(folder / part / "checkpoints")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="Copy or download the file again"):
        getattr(Run.open(folder), stage)()


def test_a_decoder_of_another_codebook(finished_run, tmp_path):
    """Both files are whole and fit the config; only together they make no sense."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "mixed")
    run = Run.open(folder)
    codes = run.tokenizer().codebook_size
    run.save(make_llama(run.config, codebook_size=codes + 7, text_dim=run.text.dim), "llama")
    with pytest.raises(InputError, match=f"a tokenizer with {codes} codes and a decoder with {codes + 7}") as caught:
        _ = run.llama
    assert "\n" not in str(caught.value)


def test_metrics_are_added_not_replaced(tmp_path):
    fresh = Run.create(tmp_path / "fresh", load_config("ci"))
    fresh.record(a=1)
    fresh.record(b=2)
    assert fresh.metrics == {"a": 1, "b": 2}


@pytest.mark.parametrize("content", [b"", b"[1", b"\xff\xfe\x00", b"3", b'{"a": 1}x', b'{"tokenizers": 1}'])
def test_damaged_numbers_are_one_error(tmp_path, content):
    run = Run.create(tmp_path / "fresh", load_config("ci"))
    (run.folder / "metrics.json").write_bytes(content)
    with pytest.raises(InputError, match=r"metrics\.json: found .*, expected the numbers of a run.*Remove the file"):
        run.record(a=1)
    assert (run.folder / "metrics.json").read_bytes() == content


def test_a_run_that_stopped_early_names_the_command_with_its_own_settings(tmp_path):
    """Without --preset it would be the settings of tiny, which the run refuses."""
    run = Run.create(tmp_path / "a run", load_config("ci"))
    with pytest.raises(InputError, match="Continue it with") as caught:
        run.tokenizer()
    words = shlex.split(caught.value.fix.removeprefix("Continue it with: ").removesuffix("."))
    place = ["--preset", str(run.folder / "config.yaml"), "--out", str(tmp_path), "--name", "a run"]
    assert words == ["motionlab", "run", *place]


def test_a_damaged_normalizer_says_how_it_is_made_again(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    data = bytearray((folder / "normalizer.safetensors").read_bytes())
    data[-5] ^= 4
    (folder / "normalizer.safetensors").write_bytes(data)
    with pytest.raises(InputError, match="changed content.*Remove the file.*motionlab run --preset .*config.yaml"):
        _ = Run.open(folder).normalizer
