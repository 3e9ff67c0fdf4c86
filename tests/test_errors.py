import pickle

import pytest

from motionlab.errors import InputError, MissingExtra, first_line, is_out_of_memory, printable


def test_input_error_is_one_line_with_five_answers() -> None:
    error = InputError("a.npy", found="2", expected="3", fix="Do this.")
    assert str(error) == "a.npy: found 2, expected 3. Do this."
    assert (error.where, error.found, error.expected, error.fix) == ("a.npy", "2", "3", "Do this.")
    assert isinstance(error, ValueError)


def test_anything_can_be_named() -> None:
    error = InputError(None, found=[1], expected=(2, 3), fix="Look.")
    assert str(error) == "None: found [1], expected (2, 3). Look."


def test_input_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(InputError("a", found=1, expected=2, fix="Do.")))
    assert str(error) == "a: found 1, expected 2. Do." and error.fix == "Do."


def test_missing_extra_is_an_import_error_with_the_command() -> None:
    error = MissingExtra("plotly", extra="notebooks", purpose="draw")
    assert 'pip install "motionlab[notebooks]"' in str(error) and error.name == "plotly"
    with pytest.raises(ImportError):
        raise error
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\x07b", "a\u202eb", "\ud800", "a\x00b", "a\u2028b", "\x9b1m"])
def test_a_message_can_always_be_printed(text: str) -> None:
    error = InputError(text, found=text, expected=text, fix=text)
    assert str(error).isprintable() and str(error).isascii() and str(pickle.loads(pickle.dumps(error))) == str(error)
    assert printable(printable(text)) == printable(text) != text


def test_text_of_any_script_stays_as_it_is() -> None:
    for text in ("走路　慢", "≈ ✓ é", "naïve\u00a0x", "🏃"):
        assert printable(text) == text
    assert printable("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b" and printable("a\nb") == "a\\nb"


def test_a_message_is_no_longer_than_a_screen_and_never_fails() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert len(str(InputError("x" * 10**6, found="y" * 10**6, expected=loop, fix="z"))) < 5000
    assert "too large to be written" in str(InputError("a", found=10**5000, expected="b", fix="c"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), OSError(12, "Cannot allocate memory"), RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"), RuntimeError("DefaultCPUAllocator: not enough memory: you tried"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"), RuntimeError("std::bad_alloc"),
    ],
)  # fmt: skip
def test_every_allocator_is_known(error: BaseException) -> None:
    assert is_out_of_memory(error) and first_line(error)
    assert not is_out_of_memory(InputError("a", found="out of memory", expected="b", fix="c"))
    assert not is_out_of_memory(ValueError("out of memory")) and not is_out_of_memory(OSError(28, "No space left"))
