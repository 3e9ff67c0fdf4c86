"""The whole policy: the action depends on all that it should, and on nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.vla.acting import Actor
from motionlab.vla.actions import ActionTargets
from motionlab.vla.backbone.features import FeatureReader, Features
from motionlab.vla.backbone.frozen import Frozen, parameter_table, trainable
from motionlab.vla.backbone.tiny_vggt import TinyVGGT
from motionlab.vla.build import grid_of, make_policy
from motionlab.vla.fusion import SpatialFilm, mean_of_real
from motionlab.vla.geometry import GeometryFeatureExtractor, PointNet
from motionlab.vla.language import TinyLanguageEncoder, Vocabulary
from motionlab.vla.policy import VlaPolicy

SIZE = 32
VIEWS = ("agentview", "eye_in_hand", "side")
RED, BLUE = "pick up the red cube", "pick up the blue cube now"
KINDS = ["spatial_film", "cross_attention", "cross_attention spatial", "both"]


class Halves(nn.Module):
    """A normaliser whose unit is half of the controller's."""

    def normalize(self, pose: Tensor) -> Tensor:
        return 2 * pose

    def denormalize(self, pose: Tensor) -> Tensor:
        return pose / 2


def make(kind: str = "spatial_film", **changes: Any) -> VlaPolicy:
    torch.manual_seed(0)
    fusion, _, geometry = kind.partition(" ")
    backbone = TinyVGGT(image_size=SIZE, dim=16, depth=1, heads=2)
    settings: dict[str, Any] = {
        "views": VIEWS, "side": grid_of(backbone, SIZE), "special": 3, "fusion": fusion,
        "geometry": geometry or "pooled", "geometry_dim": 32, "fusion_dim": 16, "hidden": 32, "horizon": 2,
    }  # fmt: skip
    language = TinyLanguageEncoder(Vocabulary.of([RED, BLUE]), dim=16, n_head=2)
    policy = make_policy(FeatureReader(backbone), language, Halves(), **settings | changes)
    if policy.standardise is not None:
        policy.standardise.fit([policy.features(*frames(16))])
    policy.fit_state(torch.randn(32, 8))
    policy.fit_language([RED, BLUE, RED])
    return policy.eval()


def test_sentences_that_differ_in_one_word_are_far_apart_for_film() -> None:
    policy = make()
    film = policy.fusion
    assert isinstance(film, SpatialFilm)
    text = policy.language([RED, BLUE])
    first, second = mean_of_real(text.states, text.mask).detach()
    assert (first - second).norm() < first.norm()
    first, second = ((sentence - film.sentence_mean) / film.sentence_std for sentence in (first, second))
    assert torch.allclose(first, -second, atol=1e-5), "two sentences lie opposite each other"
    policy.fit_language([RED])
    assert film.sentence_std.item() == 1.0, "one sentence has no deviation to divide by"


def test_a_keypoint_is_where_its_heat_is() -> None:
    film = SpatialFilm(token_dim=12, side=(4, 6), views=2, text_dim=8, channels=8, keypoints=3)
    heat, points = torch.zeros(2, 3, 4, 6), torch.randn(1, 2, 4, 6, 3)  # one row, two views
    heat[0, 1, 2, 5] = heat[1, 0, 0, 1] = 60.0
    found = film._keypoints(heat, points).unflatten(1, (3, 5))  # [views, K, 5]
    torch.testing.assert_close(found[0, 1], torch.cat([torch.tensor([1.0, 1 / 3]), points[0, 0, 2, 5]]))
    torch.testing.assert_close(found[1, 0], torch.cat([torch.tensor([-0.6, -1.0]), points[0, 1, 0, 1]]))
    middle = torch.cat([torch.zeros(2), points[0, 0].mean((0, 1))])
    torch.testing.assert_close(found[0, 0], middle, atol=1e-6, rtol=0)
    assert SpatialFilm(12, (4, 6), 2, 8, 8, keypoints=0).dim == film.dim - 2 * 3 * 5
    with pytest.raises(InputError, match="keypoints: found -1"):
        SpatialFilm(12, (4, 6), 2, 8, keypoints=-1)


def test_words_keep_their_differences_in_training() -> None:
    """Embeddings far larger than a step of Adam: a push that all words get leaves the sentences apart."""
    torch.manual_seed(0)
    encoder = TinyLanguageEncoder(Vocabulary.of([RED, BLUE]), dim=16, n_head=2)
    optimizer = torch.optim.Adam(encoder.embedding.parameters(), lr=1e-3)

    def distance() -> float:
        text = encoder([RED, BLUE])
        red, blue = mean_of_real(text.states, text.mask)
        return float((red - blue).norm().detach())

    before = distance()
    for _ in range(200):
        optimizer.zero_grad()
        (-encoder([RED, BLUE]).states.sum()).backward()
        optimizer.step()
    assert distance() > before / 2


def frames(batch: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    mask = torch.ones(batch, 3, dtype=torch.bool)
    mask[::2, 2] = False
    return torch.rand(batch, 3, 3, SIZE, SIZE), mask


def run(policy: VlaPolicy, images: Tensor, mask: Tensor, text: list[str], state: Tensor) -> Tensor:
    with torch.no_grad():
        actions = policy(images, mask, text, state)
    return torch.cat(actions, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_action_depends_on_picture_instruction_and_state(kind: str) -> None:
    policy = make(kind)
    (images, mask), state = frames(2), torch.randn(2, 8)
    before = run(policy, images, mask, [RED, RED], state)
    assert before.shape == (2, 2, 7)
    other = images.clone()
    other[0, 1, :, :8] = 1 - other[0, 1, :, :8]  # a part of one view
    changed = run(policy, other, mask, [RED, RED], state)
    assert float((changed[0] - before[0]).abs().max()) > 1e-5
    torch.testing.assert_close(changed[1], before[1], atol=1e-6, rtol=0)  # rows do not know each other
    changed = run(policy, images, mask, [BLUE, RED], state)
    assert float((changed[0] - before[0]).abs().max()) > 1e-5
    torch.testing.assert_close(changed[1], before[1], atol=1e-6, rtol=0)  # nor the length of another sentence
    changed = run(policy, images, mask, [RED, RED], state + torch.tensor([[1.0], [0.0]]))
    assert float((changed[0] - before[0]).abs().max()) > 1e-5 and torch.equal(changed[1], before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_action_does_not_depend_on_padding(kind: str) -> None:
    policy = make(kind)
    (images, mask), state = frames(2), torch.randn(2, 8)
    before = run(policy, images, mask, [RED, BLUE], state)
    other = images.clone()
    other[0, 2] = torch.rand(3, SIZE, SIZE)
    assert torch.equal(run(policy, other, mask, [RED, BLUE], state), before)
    # content of padding in kept features, and permuted padded views
    features = policy.features(images[:, [0, 1, 2]], torch.tensor([[True, False, False]] * 2))
    noisy = Features(
        **{
            name: torch.where(features.view_mask.view(2, 3, *[1] * (value.dim() - 2)), value, torch.randn_like(value))
            for name, value in features.tensors().items()
            if name != "view_mask"
        },
        view_mask=features.view_mask,
    )
    permuted = Features(**{name: value[:, [0, 2, 1]] for name, value in noisy.tensors().items()})
    with torch.no_grad():
        found = [
            torch.cat(policy.predict(each.hide_padding(), [RED, BLUE], state), -1)
            for each in (features, noisy, permuted)
        ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_padded_words_do_not_matter() -> None:
    policy = make("both")
    (images, mask), state = frames(2), torch.randn(2, 8)
    features = policy.features(images, mask)
    encode = policy.language.encode

    def with_noise(instructions: list[str]) -> Any:
        found = encode(instructions)
        return type(found)(torch.where(found.mask[..., None], found.states, 77.0), found.mask)

    with torch.no_grad():
        before = policy.predict(features, [RED, BLUE], state).pose
        policy.language.encode = with_noise  # type: ignore[method-assign,assignment]
        assert torch.equal(policy.predict(features, [RED, BLUE], state).pose, before)


def test_pictures_and_kept_features_give_the_same() -> None:
    policy = make()
    (images, mask), state = frames(3), torch.randn(3, 8)
    kept = policy.features(images, mask)
    half = Features(
        **{name: value if value.dtype == torch.bool else value.half().float() for name, value in kept.tensors().items()}
    )
    with torch.no_grad():
        pictures, from_kept = policy(images, mask, [RED] * 3, state), policy.predict(half, [RED] * 3, state)
    torch.testing.assert_close(from_kept.pose, pictures.pose, atol=2e-2, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_but_the_backbone_learns(kind: str) -> None:
    policy = make(kind).train()
    assert isinstance(policy.backbone, Frozen) and not policy.backbone.inner.training
    features = policy.features(*frames(4))
    targets = ActionTargets(torch.randn(4, 2, 6), torch.ones(4, 2, 1), torch.zeros(4, 2, dtype=torch.bool))
    policy.losses(features, [RED, BLUE, RED, BLUE], torch.randn(4, 8), targets).total.backward()
    without = [name for name, p in policy.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad is None for p in policy.backbone.parameters())
    table = {row.part: row for row in parameter_table(policy)}
    assert table["backbone"].trainable == 0 and table["fusion"].frozen == 0
    assert sum(p.numel() for p in trainable(policy)) == table["all"].trainable
    thawed = make(kind, freeze=False).train()
    thawed.losses(thawed.features(*frames(2)), [RED, BLUE], torch.randn(2, 8), ActionTargets(
        torch.randn(2, 2, 6), torch.ones(2, 2, 1), torch.zeros(2, 2, dtype=torch.bool))).total.backward()  # fmt: skip
    assert thawed.get_parameter("backbone.backbone.position").grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_is_added_up_in_an_order_that_threads_choose(kind: str) -> None:
    """Indexing with a tensor that may name a row twice does so; `index_select` and an embedding do not."""
    policy = make(kind)
    images, mask = frames(4)
    output = TinyVGGT(image_size=SIZE, dim=16, depth=1, heads=2)(images, mask)
    actions = policy.predict(policy.features(images, mask), [RED, BLUE, RED, BLUE], torch.randn(4, 8))
    for found in (output["tokens"][-1], output["pose_enc"], output["world_points"], output["patch_rgb"], *actions):
        assert "IndexBackward0" not in functions(found)


def functions(tensor: Tensor) -> set[str]:
    """Names of all functions that a gradient of this tensor goes through."""
    found, waiting = set[Any](), [tensor.grad_fn]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.add(one)
            waiting += [before for before, _ in one.next_functions]
    return {one.name() for one in found}


def test_targets_are_normalised_once() -> None:
    policy = make()
    features, state = policy.features(*frames(1)), torch.randn(1, 8)
    with torch.no_grad():
        said = policy.predict(features, [RED], state)
    raw = policy.normaliser.denormalize(said.pose)
    targets = ActionTargets(raw, said.gripper, torch.zeros(1, 2, dtype=torch.bool))
    assert float(policy.losses(features, [RED], state, targets).total.detach()) == pytest.approx(0, abs=1e-6)
    controls = policy.controls(said._replace(pose=said.pose * 1000))
    assert float(controls[..., :6].abs().max()) <= 1 and set(controls[..., 6].flatten().tolist()) <= {-1.0, 1.0}


def test_half_precision_is_finite() -> None:
    policy = make("both").train()
    features = policy.features(*frames(4))
    targets = ActionTargets(torch.randn(4, 2, 6), torch.ones(4, 2, 1), torch.zeros(4, 2, dtype=torch.bool))
    with torch.autocast("cpu", torch.bfloat16):
        losses = policy.losses(features, [RED, BLUE, RED, BLUE], torch.randn(4, 8), targets)
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in trainable(policy) if p.grad is not None)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        actions = policy(*frames(4), [RED] * 4, torch.randn(4, 8))
    assert torch.isfinite(torch.cat(actions, -1)).all()


def pictures() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {view: draw.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for view in VIEWS}


def test_act() -> None:
    policy = make().train()
    images, state = pictures(), np.linspace(-1, 1, 8)
    action = policy.act(images, RED, state)
    assert action.shape == (2, 7) and action.dtype == np.float32 and policy.training
    batch = torch.stack([torch.from_numpy(images[view]).float().movedim(-1, 0) / 255 for view in VIEWS])[None]
    with torch.no_grad():
        said = policy.eval()(batch, torch.ones(1, 3).bool(), [RED], torch.tensor(state, dtype=torch.float32)[None])
    np.testing.assert_allclose(action, policy.controls(said)[0].numpy(), atol=1e-6)
    flow = make(head="flow")
    draws = [flow.act(images, RED, state, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_over_several_observations_is_one_after_the_other(kind: str) -> None:
    policy, draw = make(kind), np.random.default_rng(1)
    seen = [{view: draw.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for view in VIEWS} for _ in range(3)]
    states, sentences = draw.normal(size=(3, 8)), [BLUE, RED, BLUE]
    together = policy.act_together(seen, sentences, states)
    assert together.shape == (3, 2, 7) and together.dtype == np.float32
    alone = [policy.act(*one) for one in zip(seen, sentences, states, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    assert np.abs(together[0] - together[2]).max() > 1e-3  # the rows are told apart

    observations: Any = [SimpleNamespace(images=one, state=lambda i=i: states[i]) for i, one in enumerate(seen)]
    np.testing.assert_array_equal(Actor(policy).act_together(observations, sentences), together[:, 0])


def test_only_a_policy_without_memory_acts_together() -> None:
    assert Actor(make()).acts_together
    assert not Actor(make(), execute=2).acts_together  # it has a plan
    assert not Actor(make(head="flow")).acts_together  # each of its episodes begins with the same noise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agentview": None}, "view agentview: found views eye_in_hand, side"),
        ({"side": np.zeros((SIZE, SIZE, 3))}, "view side: found float64"),
        ({view: np.zeros((64, 64, 3), np.uint8) for view in VIEWS}, "64 x 64 pixels, expected 32 x 32"),
        ({"instruction": "pick up the green cube"}, "unknown word 'green'"),
        ({"state": np.zeros(9)}, r"state: found shape \[1, 9\]"),
    ],
)
def test_wrong_observations_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"instruction": RED, "state": np.zeros(8)}
    arguments |= {name: change[name] for name in arguments if name in change}
    images = {
        k: v for k, v in {**pictures(), **{k: v for k, v in change.items() if k in VIEWS}}.items() if v is not None
    }
    with pytest.raises(InputError, match=message):
        make().act(images, **arguments)


def test_a_checkpoint_holds_all_statistics_and_fits_no_other_fusion() -> None:
    policy, other = make(), make("cross_attention")
    state = policy.state_dict()
    assert {"state_mean", "standardise.grid_mean", "standardise.count"} <= set(state)
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict(state)
    again = make()
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    again.load_state_dict(state)
    (images, mask), robot = frames(2), torch.randn(2, 8)
    assert torch.equal(run(again, images, mask, [RED, BLUE], robot), run(policy, images, mask, [RED, BLUE], robot))


def test_wrong_calls_are_refused() -> None:
    policy = make()
    features = policy.features(*frames(2))
    with pytest.raises(InputError, match="instructions: found 1, expected 2"):
        policy.predict(features, [RED], torch.zeros(2, 8))
    with pytest.raises(InputError, match="NaN or infinity"):
        policy.fit_state(torch.full((3, 8), float("nan")))
    for name in ("fusion", "geometry", "head"):
        with pytest.raises(InputError, match=f"{name}: found 'pool'"):
            make(**{name: "pool"})


def test_pooled_geometry_loses_places_and_the_grid_keeps_them() -> None:
    """The reason for the default: to the mean of the tokens, two patches that change places are the same."""
    policy, pooled = make(), make("cross_attention")
    features = make(standardise=False).features(*frames(1))
    swapped = Features(
        features.grid.flip(3), features.special, features.pose_enc, features.points.flip(3), features.view_mask
    )
    geometry = GeometryFeatureExtractor(32, 16)
    with torch.no_grad():
        torch.testing.assert_close(geometry(features).vectors, geometry(swapped).vectors, atol=1e-5, rtol=0)
        state = torch.zeros(1, 8)
        policy.standardise = pooled.standardise = None
        seen, blind = (
            (each.predict(swapped, [RED], state).pose - each.predict(features, [RED], state).pose).abs().max()
            for each in (policy, pooled)
        )
    assert float(seen) > 1e-4 and float(blind) < 1e-6


def test_pointnet_knows_no_order_and_no_batch() -> None:
    net, points = PointNet(8).train(), torch.randn(4, 20, 3)
    whole = net(points)
    torch.testing.assert_close(net(points.flip(1)), whole)
    torch.testing.assert_close(net(points[:1]), whole[:1])  # BatchNorm would give another vector


def test_parameters_are_those_of_the_prototype() -> None:
    backbone = TinyVGGT()
    language = TinyLanguageEncoder(Vocabulary.of([RED, BLUE]))
    policy = make_policy(
        FeatureReader(backbone),
        language,
        Halves(),
        views=VIEWS[:2],
        side=(8, 8),
        special=3,
        use_state=False,
        keypoints=0,
    )
    rows = {row.part: row.total for row in parameter_table(policy)}
    assert 650_000 < rows["fusion"] + rows["head"] < 720_000
    assert rows["language"] < 60_000
