import pickle

import pytest

from motionlab.errors import InputError, MissingExtra


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
