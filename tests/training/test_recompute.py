import torch
from torch import nn

from motionlab.training.recompute import recompute


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.GELU()) for _ in range(3))
        self.runs = 0
        self.blocks[0].register_forward_hook(self._count)

    def _count(self, *ignored: object) -> None:
        self.runs += 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def test_same_gradients_with_dropout() -> None:
    torch.manual_seed(0)
    plain, saving = Net(), Net()
    saving.load_state_dict(plain.state_dict())
    assert recompute(saving.blocks) == 3
    x = torch.randn(4, 8)
    for model in (plain, saving):
        torch.manual_seed(1)
        model(x).sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None and torch.equal(a.grad, b.grad)


def test_nothing_is_run_twice_without_gradients() -> None:
    model = Net()
    inner: list[int] = []
    model.get_submodule("blocks.0.0").register_forward_hook(lambda *ignored: inner.append(1))
    recompute(model.blocks)
    with torch.no_grad():
        model(torch.randn(1, 8))
    assert len(inner) == 1
    model(torch.randn(1, 8)).sum().backward()
    assert len(inner) == 3
