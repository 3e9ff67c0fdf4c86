"""One decode step as an ONNX graph: `MotionLlama.step`, written in the operators that ONNX Runtime has fused.

    tokens int64 [B, 1], places int32 [B], slots int32 []              ->  logits [B, 1, K + 1]
    past_key_0, past_value_0, ... float32 [B, G, slots, hd]            ->  present_key_0, present_value_0, ...

`places` is the position of each row's token: its text length plus the codes it has. Rows need not agree: a row's
cache has its text at the front and its codes right behind, without gaps.

Attention is the operator `GroupQueryAttention`: it turns queries and keys (RoPE), writes the new key and value at
`places`, and looks at the slots up to there. Given the same memory as past and as present, it copies nothing else.
It wants heads whose width is a multiple of 16. Narrower ones are widened by zeros, which changes no score: the weights
get rows of zeros before attention and columns of zeros behind it. Notation as in `model.py`; hd is the wide one here.

Operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.decoding.engine.eight_bits import to_whole_numbers
from motionlab.llama.decoding.engine.packages import onnx_package
from motionlab.llama.model import Attention, Block, MotionLlama, RMSNorm

MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
HEAD_MULTIPLE = 16
LARGEST_FILE = 2**31 - 2**24  # a protobuf message holds less than 2 GiB


def wide_head(head_dim: int) -> int:
    """Width of a head in the graph and in its cache.

    >>> wide_head(32), wide_head(12)
    (32, 16)
    """
    return -(-head_dim // HEAD_MULTIPLE) * HEAD_MULTIPLE


@torch.no_grad()
@torch.inference_mode(False)  # numpy takes no inference tensors
def step_graph(model: MotionLlama, *, int8: bool = False) -> Any:
    """The step of a model as `onnx.ModelProto`, with its weights inside.

    Args:
        int8: products with weights of 7 bits, see `eight_bits.py`. Embedding, norms and attention stay in float32.

    Raises:
        InputError: weights of 2 GiB or more, which no ONNX file holds.
        MissingExtra: the extra `fast` is not installed.
    """
    check_size(model, int8=int8)
    graph = _Graph(int8)
    head_dim, wide = model.head_dim, wide_head(model.head_dim)
    turn = model.rotary.table.cpu()  # [max_length, head_dim / 2]
    spare = (wide - head_dim) // 2
    # Angle 0 for the zeros.
    cos, sin = F.pad(turn.real, (0, spare), value=1.0), F.pad(turn.imag, (0, spare))
    tables = [graph.constant("cos", cos), graph.constant("sin", sin)]
    shapes: dict[str, list[int | str]] = {"tokens": ["B", 1], "places": ["B"], "slots": []}
    for name, kind, shape in zip(shapes, ("INT64", "INT32", "INT32"), shapes.values(), strict=True):
        graph.input(name, kind, shape)
    embedding = graph.constant("embedding", model.get_parameter("transformer.wte.weight"))
    x = graph.add("Gather", [embedding, "tokens"])  # [B, 1, dim]
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    normed = graph.norm(x, blocks[0].rms_1)
    final = model.get_submodule("transformer.ln_f")
    for layer, block in enumerate(blocks):
        seen = _attention(graph, block.attn, normed, tables, layer, model)  # [B, 1, dim]
        x, normed = graph.add_and_norm(x, seen, block.rms_2)
        gate = graph.product(normed, block.mlp.c_fc1.weight)  # [B, 1, hidden]
        up = graph.product(normed, block.mlp.c_fc2.weight)  # [B, 1, hidden]
        gate = graph.add("QuickGelu", [gate], MICROSOFT, alpha=1.0)  # x * sigmoid(alpha x): silu
        fed = graph.product(graph.add("Mul", [gate, up]), block.mlp.c_proj.weight)  # [B, 1, dim]
        following = blocks[layer + 1].rms_1 if layer + 1 < len(blocks) else final
        assert isinstance(following, RMSNorm)
        x, normed = graph.add_and_norm(x, fed, following)
    graph.product(normed, model.lm_head.weight, name="logits")  # [B, 1, K+1]
    graph.output("logits", ["B", 1, model.codebook_size + 1], first=True)
    return graph.finish()


def check_size(model: MotionLlama, *, int8: bool) -> None:
    """Raise InputError for a model that no ONNX file holds."""
    embedding = model.get_parameter("transformer.wte.weight").numel()
    products = sum(parameter.numel() for parameter in model.parameters()) - embedding * (not model.tied_embeddings)
    size = 4 * embedding + (1 if int8 else 4) * products
    if size > LARGEST_FILE:
        raise InputError(
            "engine", found=f"weights of {size / 2**30:.1f} GiB", expected="less than 2 GiB", fix="Use engine=torch."
        )


def _attention(
    graph: _Graph, attention: Attention, x: str, tables: Sequence[str], layer: int, model: MotionLlama
) -> str:
    heads, groups, hd = model.n_head, model.n_kv_heads, wide_head(model.head_dim)
    spare = hd - model.head_dim
    by_head = attention.c_attn.weight.unflatten(0, (heads + 2 * groups, -1))  # [H+2G, head_dim, dim]
    qkv = graph.product(x, F.pad(by_head, (0, 0, 0, spare)).flatten(0, 1))  # [B, 1, (H+2G) * hd]
    if attention.q_norm is not None and attention.k_norm is not None:
        parts = _normed_heads(graph, qkv, (attention.q_norm, attention.k_norm), (heads, groups, hd))
    else:
        parts = [qkv, "", ""]
    shape: list[int | str] = ["B", groups, "slots", hd]
    names = [f"{kind}_{layer}" for kind in ("key", "value")]
    for name in names:
        graph.input(f"past_{name}", "FLOAT", shape)
        graph.output(f"present_{name}", shape)
    seen = graph.add(
        "GroupQueryAttention",
        [*parts, *(f"past_{name}" for name in names), "places", "slots", *tables],
        MICROSOFT,
        further=[f"present_{name}" for name in names],
        num_heads=heads,
        kv_num_heads=groups,
        scale=model.head_dim**-0.5,
        do_rotary=1,
        rotary_interleaved=1,
    )  # [B, 1, H * hd]
    columns = attention.c_proj.weight.unflatten(1, (heads, -1))  # [dim, H, head_dim]
    return graph.product(seen, F.pad(columns, (0, spare)).flatten(1))  # [B, 1, dim]


def _normed_heads(graph: _Graph, qkv: str, norms: tuple[RMSNorm, RMSNorm], sizes: tuple[int, int, int]) -> list[str]:
    """Queries, keys and values, each `[B, 1, heads * hd]`, the first two normalised head by head."""
    heads, groups, hd = sizes
    counts = torch.tensor([heads, groups, groups])
    rows = graph.add("Reshape", [qkv, graph.constant(None, torch.tensor([0, -1, hd]))])  # [B, H+2G, hd]
    first = graph.name()
    rest = [graph.name(), graph.name()]
    graph.add("Split", [rows, graph.constant(None, counts)], name=first, further=rest, axis=1)
    parts = [first, *rest]  # [B, H, hd], 2 x [B, G, hd]
    for at, norm in enumerate(norms):
        # Zeros make the mean of the squares smaller: by this share, which scale and eps take back.
        share = len(norm.scale) / hd
        scale = graph.constant(None, F.pad(norm.scale * share**0.5, (0, hd - len(norm.scale))))
        parts[at] = graph.add("SimplifiedLayerNormalization", [parts[at], scale], axis=-1, epsilon=norm.eps * share)
    flat = graph.constant(None, torch.tensor([0, 1, -1]))
    return [graph.add("Reshape", [part, flat]) for part in parts]


class _Graph:
    """Nodes and weights, collected one after the other; a value is known by its name."""

    def __init__(self, int8: bool) -> None:
        self.onnx, self.int8 = onnx_package(), int8
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._names = 0

    def name(self) -> str:
        """A name that nothing has yet."""
        self._names += 1
        return f"v{self._names}"

    def input(self, name: str, kind: str, shape: Sequence[int | str]) -> None:
        """Declare an input; a dimension with a name is free."""
        number = getattr(self.onnx.TensorProto, kind)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, number, shape))

    def output(self, name: str, shape: Sequence[int | str], first: bool = False) -> None:
        """Declare an output, in float32."""
        made = self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, shape)
        self.outputs.insert(0 if first else len(self.outputs), made)

    def constant(self, name: str | None, value: Tensor) -> str:
        """A weight; floating numbers become float32."""
        name = self.name() if name is None else name
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
        self.weights.append(self.onnx.numpy_helper.from_array(value.contiguous().numpy(), name))
        return name

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        domain: str = "",
        *,
        name: str | None = None,
        further: Sequence[str] = (),
        **settings: Any,
    ) -> str:
        """A node; returns the name of its first output."""
        name = self.name() if name is None else name
        made = self.onnx.helper.make_node(operator, inputs, [name, *further], domain=domain, **settings)
        self.nodes.append(made)
        return name

    def product(self, x: str, weight: Tensor, name: str | None = None) -> str:
        """`x @ weight.T`; the weight `[outputs, inputs]`."""
        if not self.int8:
            return self.add("MatMul", [x, self.constant(None, weight.T)], name=name)
        numbers, scale = to_whole_numbers(weight.detach().float())
        inputs = [x, self.constant(None, numbers.T), self.constant(None, scale)]
        return self.add("DynamicQuantizeMatMul", inputs, MICROSOFT, name=name)

    def norm(self, x: str, norm: RMSNorm) -> str:
        """RMSNorm of x."""
        scale = self.constant(None, norm.scale)
        return self.add("SimplifiedLayerNormalization", [x, scale], axis=-1, epsilon=norm.eps)

    def add_and_norm(self, x: str, y: str, norm: RMSNorm) -> tuple[str, str]:
        """`x + y`, the stream, and its norm."""
        stream, scale = self.name(), self.constant(None, norm.scale)
        normed = self.add(
            "SkipSimplifiedLayerNormalization", [x, y, scale], MICROSOFT, further=["", "", stream], epsilon=norm.eps
        )
        return stream, normed

    def finish(self) -> Any:
        """The model."""
        make = self.onnx.helper
        graph = make.make_graph(self.nodes, "decode_step", self.inputs, self.outputs, initializer=self.weights)
        versions = [make.make_opsetid("", OPSET), make.make_opsetid(MICROSOFT, 1)]
        return make.make_model(graph, opset_imports=versions, ir_version=IR_VERSION, producer_name="motionlab")


OPSET, IR_VERSION = 21, 10  # of ONNX 1.16; every ONNX Runtime since 1.18 reads them
