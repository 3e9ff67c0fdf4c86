"""Settings of the robot half: demonstrations, pretraining of the geometry backbone, policy, trials in closed loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from motionlab.config.fields import Section, is_path, setting

ViewName = Literal["agentview", "eye_in_hand"]
VariantName = Literal["lan", "object", "swap", "task"]  # other words, other objects, other places, another task


@dataclass
class VlaDataConfig(Section):
    """The demonstrations: made by the expert of the table-top world or of LIBERO, or files in LIBERO's layout."""

    NAME: ClassVar[str] = "vla_data"

    source: Literal["table_lab", "libero", "files"] = setting(
        "table_lab", "table_lab and libero (an extra) make them once; files takes vla_data.path"
    )
    path: str | None = setting(
        None,
        "folder with .hdf5 files in LIBERO's layout, or a LeRobotDataset, for source: files",
        test=is_path,
        says="a path",
    )
    lerobot_pictures: Literal["upright", "flipped", "rotated"] = setting(
        "upright", "how a LeRobotDataset stores its pictures; rotated (by 180 degrees) in some that come from LIBERO"
    )
    libero_suite: str = setting("libero_goal", "libero: its suite, such as libero_goal, libero_object, libero_spatial")
    libero_tasks: list[int] = setting(
        [6, 8], "libero: numbers of the tasks in the suite; those that put one thing on or in another", at_least=0
    )
    libero_thinning: int | None = setting(
        24, "libero: cells that meshes are thinned to for quick pictures, see docs/libero.md; null draws all of them",
        at_least=4, at_most=256,
    )  # fmt: skip
    per_task: int = setting(100, "demonstrations of each task that is made", at_least=2, at_most=10_000)
    seed: int = setting(0, "another one gives other layouts, where they are made", at_least=0, at_most=1000)
    noise_sd: float = setting(0.2, "noise on executed actions, in units of an action", at_least=0, at_most=1)
    noisy_share: float = setting(0.5, "share of demonstrations with this noise", at_least=0, at_most=1)
    validation_share: float = setting(0.1, "episodes of each task that are held out", above=0, below=1)
    split_seed: int = setting(0, "which episodes these are", at_least=0)

    def check_relations(self) -> None:
        given = self.source != "files" or self.path is not None
        self.require("path", given, "a folder of demonstrations with source: files")
        once = len(self.libero_tasks) == len(set(self.libero_tasks)) > 0
        self.require("libero_tasks", once, "one task or more, each once")


@dataclass
class VlaEvaluationConfig(Section):
    """Trials of the policy in the world of its demonstrations, on layouts that none of them shows."""

    NAME: ClassVar[str] = "vla_evaluation"

    per_task: int = setting(20, "episodes of each task", at_least=1, at_most=100_000)
    control_per_task: int = setting(10, "episodes of each task behind each control; 0 leaves them out", at_least=0)
    max_steps: int = setting(60, "actions until an episode has failed", at_least=1)
    execute: int = setting(1, "actions of a chunk that are carried out before the next look", at_least=1)
    seed: int = setting(
        0,
        "of the first layout; the others follow. libero: number of the first initial state",
        at_least=0,
        at_most=100_000,
    )
    libero_stepper: Literal["official", "own"] = setting(
        "official",
        "libero: robosuite's controller, or the same law in a third of the time; LIBERO's check in either case",
    )
    libero_variants: list[VariantName] = setting(
        [], "libero: suites of LIBERO-PRO to try the policy on as well: lan, object, swap, task"
    )
    variant_per_task: int = setting(10, "libero: episodes of each task in each of these suites", at_least=1)

    def check_relations(self) -> None:
        once = len(self.libero_variants) == len(set(self.libero_variants))
        self.require("libero_variants", once, "each variant once")


@dataclass
class VlaPretrainConfig(Section):
    """The backbone learns cameras, depth, points and colours from exact geometry. Each weight may be 0, not all."""

    NAME: ClassVar[str] = "vla_pretrain"

    camera_weight: float = setting(5.0, "weight of the camera loss", at_least=0)
    depth_weight: float = setting(1.0, "weight of the depth loss", at_least=0)
    points_weight: float = setting(1.0, "weight of the loss of the points", at_least=0)
    colours_weight: float = setting(
        10.0,
        "weight of the colours of each patch; without them the tokens forget which cube is the red one",
        at_least=0,
    )

    def check_relations(self) -> None:
        total = self.camera_weight + self.depth_weight + self.points_weight + self.colours_weight
        self.require("camera_weight", total > 0, "above 0 where all other weights are 0")


@dataclass
class VlaConfig(Section):
    """The policy: pictures, an instruction and the robot's state -> actions."""

    NAME: ClassVar[str] = "vla"

    views: list[ViewName] = setting(
        ["agentview", "eye_in_hand"], "cameras that the policy looks through, in this order"
    )
    image_size: int = setting(
        64, "pixels along the side of an image, a multiple of vla.patch", at_least=8, at_most=1024
    )
    backbone: Literal["tiny_vggt", "vggt"] = setting("tiny_vggt", "tiny_vggt, or published VGGT weights from a folder")
    backbone_path: str | None = setting(
        None, "file of a pretrained tiny_vggt, or folder of VGGT; null pretrains a new one", test=is_path, says="a path"
    )
    backbone_precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "numbers of VGGT's aggregator, its largest part; its heads stay fp32, and features are kept as float16"
    )
    backbone_dim: int = setting(64, "width of tiny_vggt; its tokens have twice as many numbers", at_least=2)
    backbone_depth: int = setting(2, "pairs of layers of tiny_vggt: within a view, then over all views", at_least=1)
    backbone_heads: int = setting(4, "attention heads of tiny_vggt", at_least=1)
    patch: Literal[4, 8, 16] = setting(8, "pixels along the side of a patch of tiny_vggt")
    read_layers: int = setting(1, "features are the mean of this many last layers of the backbone", at_least=1)
    grid_side: int | None = setting(
        None, "mean over neighbouring patches until the grid has this side; null keeps it", at_least=1
    )
    read_norm: bool = setting(True, "LayerNorm of each token that is read")
    read_colours: int = setting(
        4, "features hold this many mean colours along the side of each patch; 0 for tokens alone", at_least=0
    )
    freeze_backbone: bool = setting(True, "the backbone does not learn from actions; its features are computed once")
    standardise: bool = setting(True, "features to mean 0 and deviation 1 by statistics of the training split")
    language: Literal["tiny", "minilm", "folder"] = setting(
        "tiny", "a small LLaMA over known words, the frozen bundled MiniLM, or a model from vla.language_folder"
    )
    language_folder: str | None = setting(
        None,
        "local Hugging Face folder of a LLaMA, Qwen or Mistral, for vla.language: folder",
        test=is_path,
        says="a path",
    )
    language_dim: int = setting(64, "width of the small LLaMA", at_least=2)
    language_layers: int = setting(1, "layers of the small LLaMA", at_least=1)
    language_heads: int = setting(4, "attention heads of the small LLaMA", at_least=1)
    fusion: Literal["spatial_film", "cross_attention", "both"] = setting(
        "spatial_film", "the instruction scales the patch grid, or its words look at the geometry, or both"
    )
    geometry: Literal["pooled", "spatial"] = setting(
        "pooled", "what cross-attention looks at: one vector per view, or one per patch"
    )
    geometry_dim: int = setting(512, "width of these vectors", at_least=1)
    fusion_dim: int = setting(128, "width of cross-attention", at_least=8)
    keypoints: int = setting(
        16,
        "of spatial_film: places in each view that the instruction chooses, as numbers; 0 for none",
        at_least=0,
        at_most=1024,
    )
    head: Literal["regression", "flow"] = setting("regression", "one prediction, or draws by flow matching")
    gripper: Literal["tanh", "logit"] = setting("tanh", "of the regression head: L1 against -1 and 1, or cross-entropy")
    hidden: int = setting(256, "width of the head", at_least=1)
    normaliser: Literal["zscore", "minmax", "q01_q99", "none"] = setting(
        "zscore", "poses by mean and deviation, by least and most, by quantiles, or as they are"
    )
    horizon: int = setting(1, "actions in a chunk", at_least=1, at_most=256)
    use_state: bool = setting(True, "the head also reads place, orientation and fingers of the robot")
    pose_weight: float = setting(1.0, "weight of the pose loss", at_least=0)
    gripper_weight: float = setting(0.5, "weight of the gripper loss", at_least=0)

    def check_relations(self) -> None:
        self.require("views", len(self.views) == len(set(self.views)) > 0, "one camera or more, each once")
        fits = self.backbone == "vggt" or self.image_size % self.patch == 0
        self.require("image_size", fits, f"a multiple of vla.patch ({self.patch})")
        patches, most = self.image_size // self.patch, f"at most the {self.image_size // self.patch} patches of a side"
        coarse = self.backbone == "vggt" or self.grid_side is None or self.grid_side <= patches
        self.require("grid_side", coarse, f"{most} (vla.image_size / vla.patch), or null", "Lower it.")
        seen = self.backbone == "vggt" or self.read_colours <= self.patch
        self.require("read_colours", seen, f"at most the {self.patch} pixels of a patch (vla.patch)", "Lower it.")
        divides = self.backbone_dim % (2 * self.backbone_heads) == 0
        self.require("backbone_dim", divides, f"a multiple of 2 x backbone_heads ({self.backbone_heads})")
        found = self.backbone == "tiny_vggt" or self.backbone_path is not None
        self.require("backbone_path", found, "the local folder of VGGT's weights")
        whole = self.backbone == "vggt" or self.backbone_precision == "fp32"
        self.require("backbone_precision", whole, "fp32 with backbone: tiny_vggt (vla_training.precision)")
        frozen = self.backbone == "tiny_vggt" or self.freeze_backbone
        self.require("freeze_backbone", frozen, "true with backbone: vggt", "Set it to true.")
        enough = self.backbone == "vggt" or self.read_layers <= self.backbone_depth
        self.require("read_layers", enough, f"at most backbone_depth ({self.backbone_depth})")
        there = self.language != "folder" or self.language_folder is not None
        self.require("language_folder", there, "a local folder with language: folder")
        even = self.language_dim % (2 * self.language_heads) == 0
        self.require("language_dim", even, f"a multiple of 2 x language_heads ({self.language_heads})")
        self.require("fusion_dim", self.fusion_dim % 8 == 0, "a multiple of 8 (4 heads of an even width)")
        counts = self.pose_weight + self.gripper_weight > 0 or self.head == "flow"
        self.require("pose_weight", counts, "above 0 where gripper_weight is 0")
