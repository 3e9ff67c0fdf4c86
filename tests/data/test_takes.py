"""Splits by take: twins, copies and parts of one recording never meet across splits."""

from __future__ import annotations

import pytest

from motionlab.data.takes import Entry, split_by_list, split_by_take, take_of


def entries(*rows: tuple[str, str]) -> list[Entry]:
    """Clips with a name and a take; every digest is its own."""
    return [Entry(name, take, f"{name}".encode()) for name, take in rows]


MANY = entries(*((f"clip{i}-{part}", f"take{i}") for i in range(60) for part in range(3)))


def test_a_take_is_on_one_side_and_shares_are_kept() -> None:
    decision = split_by_take(MANY, validation_share=0.1, test_share=0.2)
    sides: dict[str, str] = {}
    for entry, side in zip(MANY, decision.sides, strict=True):
        assert sides.setdefault(entry.take, side) == side
    counts = [list(sides.values()).count(name) for name in ("train", "validation", "test")]
    assert sum(counts) == 60 and 6 <= counts[2] <= 20 and 1 <= counts[1] <= 14


def test_new_takes_move_no_old_one_and_a_seed_does() -> None:
    before = split_by_take(MANY).sides
    after = split_by_take([*MANY, *entries(("new", "new"))]).sides
    assert after[: len(before)] == before
    assert split_by_take(MANY, seed=1).sides != before


@pytest.mark.parametrize("count", range(1, 12))
def test_few_takes_still_give_every_split(count: int) -> None:
    rows = entries(*((f"c{i}", f"t{i}") for i in range(count)))
    decision = split_by_take(rows)
    if count >= 3:
        assert set(decision.sides) == {"train", "validation", "test"} and not decision.also
    elif count == 2:
        assert sorted(decision.sides) == ["train", "validation"] and decision.also == {"test": "validation"}
        assert "only two takes" in decision.notes[0]
    else:
        assert decision.sides == ["train"] and decision.also == {"validation": "train", "test": "train"}
        assert "only one take" in decision.notes[0]


def test_no_share_no_split() -> None:
    assert set(split_by_take(MANY, validation_share=0.0, test_share=0.0).sides) == {"train"}
    assert set(split_by_take(MANY, validation_share=0.1, test_share=0.0).sides) == {"train", "validation"}


def test_equal_clips_tie_their_takes() -> None:
    rows = [Entry(f"c{i}", f"t{i}", b"same" if i in (0, 7, 9) else f"{i}".encode()) for i in range(40)]
    for seed in range(20):
        sides = split_by_take(rows, validation_share=0.3, test_share=0.3, seed=seed).sides
        assert len({sides[0], sides[7], sides[9]}) == 1


def test_lists_lose_what_leaks_into_a_test() -> None:
    names = ["a", "Mirror_X/b", "X/b", "M000001", "000001", "c", "d"]
    rows = [Entry(name, take_of(name), name.encode()) for name in names]
    listed = {"train": ["a", "Mirror_X/b", "000001", "gone"], "validation": ["M000001", "c"], "test": ["X/b"]}
    decision = split_by_list(rows, listed)
    assert decision.sides == [
        "train",
        "its mirrored twin or copy is in test",
        "test",
        "validation",
        "its mirrored twin or copy is in validation",
        "validation",
        "in no split file",
    ]
    assert "2 of train were left out" in decision.notes[1]


def test_a_name_in_two_lists_is_held_out() -> None:
    rows = entries(("a", "a"))
    assert split_by_list(rows, {"train": ["a"], "test": ["a"]}).sides == ["test"]
