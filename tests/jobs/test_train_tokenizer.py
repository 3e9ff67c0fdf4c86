"""Two tokenizers side by side are the same two tokenizers."""

from motionlab.config import load_config
from motionlab.jobs.prepare import fit_normalizer, prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_tokenizer import train_tokenizers


def test_side_by_side_equals_one_after_the_other(finished_run, tmp_path):
    config = load_config("ci")
    run, corpus = Run.create(tmp_path / "ci", config), prepare(config.corpus)
    fit_normalizer(run, corpus)
    train_tokenizers(run, corpus, ["fsq", "vq_ema"], threads=2)
    for kind in ("fsq", "vq_ema"):
        apart, together = finished_run.tokenizer(kind).state_dict(), run.tokenizer(kind).state_dict()
        assert all(apart[name].allclose(together[name], atol=1e-6) for name in apart), kind
