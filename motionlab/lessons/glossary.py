"""The words of the lessons: English, Chinese, and one sentence each. The only place where a term is defined."""

from __future__ import annotations

import html
from dataclasses import dataclass

from motionlab.errors import InputError


@dataclass(frozen=True)
class Term:
    """One entry: the English term, the Chinese one, and what it means."""

    english: str
    chinese: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.english} ({self.chinese}): {self.meaning}"


TERMS = (
    Term("ablation", "消融实验", "Change one part, keep everything else, and measure what changes."),
    Term("activation", "激活值", "What a layer puts out; in training many are kept until the backward pass."),
    Term("activation checkpointing", "激活检查点", "Keep only a block's input; run it forward again when needed."),
    Term("autocast", "自动混合精度", "Run large operations in half precision while weights stay in float32."),
    Term("bottleneck", "瓶颈", "The narrowest place of a network; here, where the quantizer sits."),
    Term("bound", "限幅", "Squeeze a number into a fixed range before it is rounded, here with tanh."),
    Term("buffer", "缓冲区", "A tensor that is saved with a model and that no gradient changes."),
    Term("checkpoint", "检查点", "All that a training run needs to go on as if it had never been stopped, on disk."),
    Term("codebook", "码本", "The list of all vectors that a quantizer can output; each entry is a code (码字)."),
    Term("codebook collapse", "码本坍缩", "Most codes are never used, so the codebook is smaller than it looks."),
    Term("commitment loss", "承诺损失", "Pulls the encoder's output towards the code that it was given."),
    Term("dead code", "失效码字", "A code that no vector chooses any more; without help it never comes back."),
    Term("decoder", "解码器", "Turns codes back into motion; in stage 2, the network that predicts the next token."),
    Term("encoder", "编码器", "Turns motion into a few vectors a second."),
    Term("entropy", "熵", "Bits that one draw tells on average: -sum p log2 p. At most log2 of the number of codes."),
    Term("exponential moving average", "指数移动平均", "A running mean that forgets the past a little at each step."),
    Term("FSQ", "有限标量量化", "Finite scalar quantization: squeeze a vector to a few numbers, round each of them."),
    Term("gradient", "梯度", "How the loss changes with each parameter; as many numbers as parameters."),
    Term("heading drift", "朝向漂移", "The heading is a sum of small turns, so small errors add up along a clip."),
    Term("implicit codebook", "隐式码本", "A codebook that is a formula, all combinations of levels; none is stored."),
    Term("k-means", "K均值聚类", "Give vectors to the nearest centre, move centres to the mean of theirs, repeat."),
    Term("latent", "隐变量", "A number or vector inside a network, between encoder and decoder."),
    Term("mixed radix", "混合进制", "Counting with digits of different ranges, as hours, minutes and seconds do."),
    Term("motion tokenizer", "动作分词器", "Encoder, quantizer and decoder: motion to tokens and back."),
    Term("MPJPE", "平均关节位置误差", "Mean per-joint position error: how far joints are from where they should be."),
    Term("one-hot matrix", "独热矩阵", "One row a code, one column a token, and a single 1 in each column."),
    Term("optimizer state", "优化器状态", "What an optimizer remembers for each parameter; two averages for AdamW."),
    Term("parameter", "参数", "A number that training changes: the weights and biases of the layers."),
    Term("peak memory", "峰值内存", "The most memory held at one moment; what decides whether a program fits."),
    Term("perplexity", "困惑度", "2 to the entropy in bits: as many codes as if all were used equally often."),
    Term("quantizer", "量化器", "Maps each vector to one of finitely many codes, and so to a whole number."),
    Term("random seed", "随机种子", "The number from which a generator starts; the same seed gives the same numbers."),
    Term("rate-distortion curve", "率失真曲线", "Error over the bits that are spent; low and left is better."),
    Term("reconstruction", "重建", "What the decoder makes of the tokens of a motion."),
    Term("residual quantization", "残差量化", "A second codebook for what the first one left over, and so on."),
    Term("smooth L1", "平滑L1损失", "A loss that is quadratic for small errors and linear for large ones."),
    Term("straight-through estimator", "直通估计器", "Round forward; pass the gradient backward as it is."),
    Term("threshold", "阈值", "An input at which rounding turns to the next level."),
    Term("token", "词元", "A whole number that stands for a short piece of motion, as a word piece does for text."),
    Term("usage", "码本利用率", "The share of codes that occur at least once in the data that was counted."),
    Term("validation", "验证", "Measuring on data that training never sees, while it goes on."),
    Term("VQ-VAE", "矢量量化变分自编码器", "An autoencoder that picks the nearest vector of a learned codebook."),
    Term("window", "窗口", "A piece of a clip of fixed length; what the tokenizer is trained on."),
)  # fmt: skip

_BY_NAME = {term.english.lower(): term for term in TERMS}


class Glossary:
    """Some terms as a list; prints as text and shows as an HTML table."""

    def __init__(self, terms: tuple[Term, ...]) -> None:
        self.terms = terms

    def __repr__(self) -> str:
        return "\n".join(str(term) for term in self.terms)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(term.english)}</td><td>{term.chinese}</td><td>{html.escape(term.meaning)}</td></tr>"
            for term in self.terms
        )
        return f"<table><thead><tr><th>term</th><th>中文</th><th>meaning</th></tr></thead><tbody>{rows}</tbody></table>"


def glossary(*names: str) -> Glossary:
    """The named terms, or all of them.

    Raises:
        InputError: a term is not in the glossary.

    >>> glossary("token")
    token (词元): A whole number that stands for a short piece of motion, as a word piece does for text.
    """
    for name in names:
        if name.lower() not in _BY_NAME:
            raise InputError("glossary", found=repr(name), expected="a known term", fix="See ml.glossary() for all.")
    return Glossary(tuple(_BY_NAME[name.lower()] for name in names) or TERMS)
