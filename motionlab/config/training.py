"""Settings of a training; both stages have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from motionlab.config.fields import Section, seed_setting, setting


@dataclass
class TrainConfig(Section):
    """One training stage. All counts are optimizer steps, not micro-batches."""

    steps: int = setting(1000, "optimizer steps", at_least=1)
    batch_size: int = setting(32, "samples per micro-batch", at_least=1)
    grad_accum_steps: int = setting(1, "micro-batches per step; the effective batch is their product", at_least=1)
    lr: float = setting(4e-4, "peak learning rate", above=0)
    lr_scaling: Literal["none", "linear", "sqrt"] = setting("none", "scale lr with effective batch / base_batch")
    base_batch: int | None = setting(None, "effective batch that lr was chosen for; lr_scaling needs it", at_least=1)
    schedule: Literal["cosine", "constant", "multi_step", "wsd", "inverse_sqrt"] = setting(
        "cosine", "shape of the learning rate after the warm-up; see motionlab.training.schedule"
    )
    min_lr_ratio: float = setting(0.0, "floor of the learning rate, as a share of lr", at_least=0, at_most=1)
    warmup_steps: int = setting(50, "steps of linear warm-up; step s uses (s+1)/warmup_steps of lr", at_least=0)
    milestones: list[int] = setting(
        [], "multi_step: the rate is multiplied by lr_gamma after this many steps", at_least=1
    )
    lr_gamma: float = setting(0.1, "multi_step: factor of the rate at each milestone", above=0)
    decay_ratio: float = setting(
        0.2, "wsd: share of the steps, at the end, in which the rate falls to its floor", above=0, at_most=1
    )
    betas: list[float] = setting([0.9, 0.99], "AdamW's decay rates", at_least=0, below=1, length=2)
    eps: float = setting(1e-8, "AdamW's epsilon", above=0)
    weight_decay: float = setting(0.01, "decay of matrices; norms, biases and embeddings are left alone", at_least=0)
    clip_norm: float | None = setting(1.0, "largest gradient norm, after unscaling; null turns clipping off", above=0)
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "bf16_pure"] = setting(
        "auto", "dtype of matrix products; auto explains its choice; bf16_pure: the weights too, to show what it loses"
    )
    ema_decay: float | None = setting(
        None, "decay of averaged weights, used for validation and best; null is off", above=0, below=1
    )
    freeze: list[str] = setting([], "patterns of modules or parameters that are not trained, e.g. encoder or *.norm*")
    activation_checkpointing: bool = setting(False, "blocks run forward twice and keep only their input: less memory")
    auto_batch: bool = setting(False, "out of memory: micro-batches are cut in half, with the same effective batch")
    patience: int | None = setting(
        None, "stop after this many validations without a better one; null is never", at_least=1
    )
    rising_loss: float | None = setting(
        3.0, "stop at this many times the lowest mean loss of 20 steps; null is never", above=1
    )
    deterministic: bool = setting(False, "only operations that give the same bits every time; slower on a GPU")
    val_every: int = setting(100, "steps between validations", at_least=1)
    save_every: int = setting(200, "steps between checkpoints", at_least=1)
    keep_last: int = setting(1, "newest checkpoints that are kept, with the best one", at_least=1)
    log_every: int = setting(10, "steps between rows of the history", at_least=1)
    resume_changed: Literal["refuse", "same_place"] = setting(
        "refuse", "resuming with another batch or world: refuse, or same_place: after as many items (not exact)"
    )
    parallel: Literal["ddp", "fsdp"] = setting(
        "ddp", "several processes: the whole model in each (ddp), or a part of it in each (fsdp), for large ones"
    )
    loggers: list[Literal["tensorboard", "wandb"]] = setting([], "loggers next to history.csv and history.jsonl")
    seed: int = seed_setting("seed of initial weights, data order and caption choice")

    def check_relations(self) -> None:
        self.require("warmup_steps", self.warmup_steps < self.steps, f"less than steps ({self.steps})")
        needs_base = "the effective batch that lr was chosen for, with lr_scaling; null without"
        self.require("base_batch", (self.base_batch is not None) == (self.lr_scaling != "none"), needs_base)
        rising = self.milestones == sorted(set(self.milestones))
        self.require("milestones", rising, "rising numbers of steps")
        self.require(
            "milestones", all(step < self.steps for step in self.milestones), f"less than steps ({self.steps})"
        )
        with_steps = "at least one number of steps with schedule: multi_step, none otherwise"
        self.require("milestones", bool(self.milestones) == (self.schedule == "multi_step"), with_steps)
