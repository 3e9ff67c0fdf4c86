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
    Term("272 features", "272 维特征", "A frame of motion as MotionMillion has it: changes of the root, places, rotations."),
    Term("6D rotation", "六维旋转", "Two rows (or columns) of a rotation matrix; the third follows from them."),
    Term("ablation", "消融实验", "Change one part, keep everything else, and measure what changes."),
    Term("accumulation", "梯度累积", "Add up the gradients of several micro-batches, then take one step."),
    Term("action chunk", "动作块", "Several actions in a row that a policy predicts at once, before it looks again."),
    Term("activation", "激活值", "What a layer puts out; in training many are kept until the backward pass."),
    Term("activation checkpointing", "激活检查点", "Keep only a block's input; run it forward again when needed."),
    Term("all-reduce", "全归约", "Every process gets the sum of a tensor over all processes."),
    Term("arithmetic intensity", "算术强度", "Operations done for each byte that is read or written."),
    Term("attention", "注意力", "Each token mixes the values of other tokens, weighed by query times key."),
    Term("attention mask", "注意力掩码", "Says for each pair of tokens whether one sees the other."),
    Term("autocast", "自动混合精度", "Run large operations in half precision while weights stay in float32."),
    Term("autoregressive", "自回归", "Each token is predicted from all those before it, and then read in its turn."),
    Term("baseline", "基线", "What somebody reaches who does almost nothing; a score is read against it."),
    Term("behaviour cloning", "行为克隆", "Learn to do what an expert did in the same situation, as any labelled task."),
    Term("bottleneck", "瓶颈", "The narrowest place of a network; here, where the quantizer sits."),
    Term("bound", "限幅", "Squeeze a number into a fixed range before it is rounded, here with tanh."),
    Term("buffer", "缓冲区", "A tensor that is saved with a model and that no gradient changes."),
    Term("causal mask", "因果掩码", "Each token sees itself and what came before, never what comes after."),
    Term("checkpoint", "检查点", "All that a training run needs to go on as if it had never been stopped, on disk."),
    Term("classifier-free guidance", "无分类器引导", "Ask with the text and without it, and enlarge the difference."),
    Term("closed loop", "闭环", "A policy acts, the world answers, and the policy acts on that; errors can add up."),
    Term("codebook", "码本", "The list of all vectors that a quantizer can output; each entry is a code (码字)."),
    Term("codebook collapse", "码本坍缩", "Most codes are never used, so the codebook is smaller than it looks."),
    Term("codebook drift", "码本漂移", "While a tokenizer learns, the same motion gets other tokens at every step."),
    Term("commitment loss", "承诺损失", "Pulls the encoder's output towards the code that it was given."),
    Term("confidence interval", "置信区间", "Where a number would probably lie, had other seeds and clips been drawn."),
    Term("context token", "上下文词元", "What a token may look at; in cross-attention, a second sequence."),
    Term("cosine annealing", "余弦退火", "The learning rate falls to its floor along half a cosine."),
    Term("covariate shift", "协变量偏移", "Acting leads a policy to situations that its training data does not show."),
    Term("cross-attention", "交叉注意力", "Queries of one sequence, keys of another: how a T5 reads its text."),
    Term("data leak", "数据泄漏", "Training has seen what the test asks for: a copy, a mirror image, another part of a take."),
    Term("DDP", "分布式数据并行", "Each process has the whole model and a part of the batch; gradients are averaged."),
    Term("dead code", "失效码字", "A code that no vector chooses any more; without help it never comes back."),
    Term("decoder", "解码器", "Turns codes back into motion; in stage 2, the network that predicts the next token."),
    Term("effective batch", "有效批量", "All items that one step learns from: micro-batch x accumulation x processes."),
    Term("embedding", "嵌入", "The vector that stands for a token at the entrance of a network; a row of a table."),
    Term("encoder", "编码器", "Turns motion into a few vectors a second."),
    Term("encoder-decoder", "编码器-解码器", "One network reads a sequence, a second writes another."),
    Term("end effector", "末端执行器", "What a robot arm ends in; here the hand with two fingers."),
    Term("end-to-end training", "端到端训练", "One loss for the whole system; its gradient passes through every part."),
    Term("entropy", "熵", "Bits that one draw tells on average: -sum p log2 p. At most log2 of the number of codes."),
    Term("exponent", "指数位", "The bits that say where the point is: how large and how small numbers can be."),
    Term("exponential moving average", "指数移动平均", "A running mean that forgets the past a little at each step."),
    Term("exposure bias", "曝光偏差", "Trained on true codes, used on its own: a model never met its own mistakes."),
    Term("FID", "弗雷歇距离", "Distance of two clouds of embeddings, taken as Gaussians; biased upwards by few clips."),
    Term("FiLM", "特征线性调制", "A condition, such as a sentence, scales and shifts each channel of a feature map."),
    Term("FLOP", "浮点运算", "One multiplication or addition; a weight costs two for each position it meets."),
    Term("foot skating", "脚底滑动", "A foot that is on the floor and moves along it."),
    Term("forward kinematics", "正向运动学", "From joint angles and bone lengths to places, from the root outwards."),
    Term("frozen model", "冻结模型", "No gradient, no optimizer entry, eval mode for good: it runs and never learns."),
    Term("FSDP", "全分片数据并行", "Weights, gradients and moments are split over the processes; gathered when used."),
    Term("FSQ", "有限标量量化", "Finite scalar quantization: squeeze a vector to a few numbers, round each of them."),
    Term("generalisation", "泛化", "How well a model does on what it has not seen."),
    Term("GQA", "分组查询注意力", "Grouped-query attention: several query heads share one key and one value head."),
    Term("gradient", "梯度", "How the loss changes with each parameter; as many numbers as parameters."),
    Term("gradient clipping", "梯度裁剪", "Shorten the gradient when its norm is above a threshold; keep its direction."),
    Term("gradient underflow", "梯度下溢", "A gradient is too small for its format and becomes 0."),
    Term("GradScaler", "梯度缩放器", "torch's adapting loss scale: it grows while all is well, falls after an inf."),
    Term("half-split layout", "对半布局", "RoPE turns channel i together with channel i + hd/2, as Hugging Face does."),
    Term("heading", "朝向", "The angle about the vertical axis in which the body faces."),
    Term("heading drift", "朝向漂移", "The heading is a sum of small turns, so small errors add up along a clip."),
    Term("implicit codebook", "隐式码本", "A codebook that is a formula, all combinations of levels; none is stored."),
    Term("influence", "影响力", "How much worse the prediction gets when one part of the input is replaced."),
    Term("interleaved layout", "交错布局", "RoPE turns neighbouring channels together, as MotionMillion does."),
    Term("invariant", "不变性", "What must stay the same whatever else changes; a test asks for it without knowing the answer."),
    Term("iterative decoding", "迭代解码", "Draw all masked codes, keep the surest, mask the rest again, repeat."),
    Term("judge", "评判模型", "A model that scores motions; it needs a score of its own, on takes that it never saw."),
    Term("k-means", "K均值聚类", "Give vectors to the nearest centre, move centres to the mean of theirs, repeat."),
    Term("key", "键", "What a token shows of itself to the queries of other tokens."),
    Term("key-value cache", "键值缓存", "Keys and values of all tokens so far, kept so that none is computed twice."),
    Term("label smoothing", "标签平滑", "Give a little of the target to all other codes; the model stays less sure."),
    Term("latent", "隐变量", "A number or vector inside a network, between encoder and decoder."),
    Term("learning-rate schedule", "学习率调度", "The learning rate as a function of the number of optimizer steps."),
    Term("linear probe", "线性探针", "The plainest reader of features; what it cannot find is not there in plain form."),
    Term("linear scaling rule", "线性缩放规则", "With k times the batch take k times the learning rate; made for SGD."),
    Term("loss scaling", "损失缩放", "Multiply the loss before the backward pass, divide the gradients after it."),
    Term("mantissa", "尾数", "The bits that hold the digits: how finely numbers can be told apart."),
    Term("masked modelling", "掩码建模", "Hide some codes behind MASK; predict them from all others, before and after."),
    Term("memory map", "内存映射", "A file that looks like an array; only pages that are touched take memory."),
    Term("MHA", "多头注意力", "Multi-head attention: each query head has a key and a value head of its own."),
    Term("micro-batch", "微批次", "What goes through the network at once; one or more of them make a step."),
    Term("mixed precision", "混合精度", "Products in 16 bits, while weights and sums that need the digits stay in 32."),
    Term("mixed radix", "混合进制", "Counting with digits of different ranges, as hours, minutes and seconds do."),
    Term("motion tokenizer", "动作分词器", "Encoder, quantizer and decoder: motion to tokens and back."),
    Term("MPJPE", "平均关节位置误差", "Mean per-joint position error: how far joints are from where they should be."),
    Term("MQA", "多查询注意力", "Multi-query attention: all query heads share a single key and value head."),
    Term("norm", "范数", "The length of a vector: the root of the sum of its squares."),
    Term("nucleus sampling", "核采样", "Top-p: draw only from the fewest tokens whose probability together reaches p."),
    Term("one-hot matrix", "独热矩阵", "One row a code, one column a token, and a single 1 in each column."),
    Term("optimizer state", "优化器状态", "What an optimizer remembers for each parameter; two averages for AdamW."),
    Term("overfitting", "过拟合", "A model gets better on what it learns from and worse on what it does not."),
    Term("padding", "填充", "Fills the rows of a batch up to one length; flags tell it from real tokens."),
    Term("parameter", "参数", "A number that training changes: the weights and biases of the layers."),
    Term("past_key_values", "历史键值", "The name of the key-value cache in transformers; None means an empty one."),
    Term("peak memory", "峰值内存", "The most memory held at one moment; what decides whether a program fits."),
    Term("perplexity", "困惑度", "2 to the entropy in bits: as many codes as if all were used equally often."),
    Term("PFNN", "相位函数神经网络", "A network for game characters whose weights go round with the phase of the step."),
    Term("phase", "相位", "How far a step of both feet has come, from 0 to 1 and round again."),
    Term("pooling", "池化", "Many vectors to one, such as the mean over the tokens of a sentence."),
    Term("position encoding", "位置编码", "Whatever tells a network where in the sequence a token stands."),
    Term("positions", "关节位置", "Where the joints are, in metres."),
    Term("prefill", "预填充", "Reading the whole prompt in one pass, which fills the cache with its keys and values."),
    Term("prefix token", "前缀词元", "A token of the condition, in front of all others; they see each other."),
    Term("quantizer", "量化器", "Maps each vector to one of finitely many codes, and so to a whole number."),
    Term("query", "查询", "What a token looks for; compared with the keys of all tokens that it may see."),
    Term("R-precision", "检索精度", "How often the motion of a caption is among the k nearest of all."),
    Term("random replacement", "随机替换", "In training some codes that are read are random; the targets stay true."),
    Term("random seed", "随机种子", "The number from which a generator starts; the same seed gives the same numbers."),
    Term("rank", "进程序号", "The number of a process among those that train together; rank 0 writes and prints."),
    Term("rate-distortion curve", "率失真曲线", "Error over the bits that are spent; low and left is better."),
    Term("reconstruction", "重建", "What the decoder makes of the tokens of a motion."),
    Term("regression test", "回归测试", "A test that fails when a fault that was once fixed comes back."),
    Term("regularization", "正则化", "Whatever keeps a model from learning its training data by heart."),
    Term("resampling", "重采样", "Reading a motion at other times than those of its frames."),
    Term("residual quantization", "残差量化", "A second codebook for what the first one left over, and so on."),
    Term("residual stream", "残差流", "The vector of a token on its way through the layers; each layer adds to it."),
    Term("rest pose", "静止姿态", "The pose of a skeleton when every rotation is zero; angles count from there."),
    Term("retargeting", "重定向", "Putting a motion on another body."),
    Term("RMSNorm", "均方根归一化", "Divide a vector by the root of its mean square; a learned scale follows."),
    Term("roofline", "屋顶线模型", "The most operations a second at each intensity: bandwidth first, then arithmetic."),
    Term("RoPE", "旋转位置编码", "Rotary position embedding: turn pairs of query and key channels by their position."),
    Term("RoPE base", "旋转基数", "Sets the speeds of RoPE: pair i of hd/2 turns by base ** (-2i / hd) a position."),
    Term("RoPE scaling", "旋转缩放", "Slow RoPE's pairs down, so that known angles reach over longer sequences."),
    Term("rotations", "关节旋转", "How each bone is turned against the one above it."),
    Term("scheduled sampling", "计划采样", "While training, some codes that are read are the model's own draws."),
    Term("sentinel token", "哨兵词元", "Stands for a gap in T5's input, and names the gap in its answer."),
    Term("silent failure", "静默错误", "A fault that stops nothing and only makes numbers wrong."),
    Term("slerp", "球面插值", "From one rotation to another along the shortest arc, at even speed."),
    Term("smooth L1", "平滑L1损失", "A loss that is quadratic for small errors and linear for large ones."),
    Term("soft assignment", "软分配", "A share of every code instead of one chosen code, so that a gradient can pass."),
    Term("span corruption", "片段破坏", "Cut runs of words out and learn to write them: how T5 is trained."),
    Term("stale cache", "过期缓存", "A cache whose text or weights are no longer those in use; wrong, and no error."),
    Term("standard deviation", "标准差", "How far numbers typically are from their mean."),
    Term("straight-through estimator", "直通估计器", "Round forward; pass the gradient backward as it is."),
    Term("subnormal number", "次正规数", "A number so small that its leading digits are 0; it has fewer digits."),
    Term("take", "录制", "One recording without a break; clips that are cut from it belong together."),
    Term("teacher forcing", "教师强制", "In training a model reads the true codes, whatever it would have written."),
    Term("temperature", "温度", "Logits are divided by it before the draw; low is careful, high is varied."),
    Term("Tensor Core", "张量核心", "A unit that multiplies small matrices of low precision and adds them up in float32."),
    Term("text encoder", "文本编码器", "Turns a sentence into vectors, one a token, or one for all of it."),
    Term("threshold", "阈值", "An input at which rounding turns to the next level."),
    Term("token", "词元", "A whole number that stands for a short piece of motion, as a word piece does for text."),
    Term("TOPS", "每秒万亿次运算", "10^12 operations a second, mostly of 8-bit integers; a peak, not what one gets."),
    Term("two-stage training", "两阶段训练", "First the tokenizer; then, with it fixed, the decoder on its tokens."),
    Term("unprojection", "反投影", "From a pixel and its depth back to the place in the room."),
    Term("usage", "码本利用率", "The share of codes that occur at least once in the data that was counted."),
    Term("validation", "验证", "Measuring on data that training never sees, while it goes on."),
    Term("value", "值", "What a token gives to those that look at it."),
    Term("vision-language-action policy", "视觉-语言-动作策略", "Pictures and a sentence to the next action of a robot."),
    Term("VQ-VAE", "矢量量化变分自编码器", "An autoencoder that picks the nearest vector of a learned codebook."),
    Term("warm-up", "预热", "The first steps, in which the learning rate climbs to its peak."),
    Term("window", "窗口", "A piece of a clip of fixed length; what the tokenizer is trained on."),
    Term("WSD", "预热-稳定-衰减", "Warm-up, stable, decay: a constant rate that falls only at the end."),
    Term("ZeRO", "零冗余优化器", "Each GPU holds a part of what DDP repeats: moments (1), gradients (2), weights (3)."),
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
