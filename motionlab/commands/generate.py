"""`motionlab generate`: the motion of a sentence, and the actions that a run knows. `motionlab export`: a small run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.commands.options import RunFolder, as_path
from motionlab.errors import InputError, printable

app = typer.Typer(rich_markup_mode=None)


@app.command()
def generate(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The action, in English.")] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", callback=as_path, help="Folder of a finished run. Default: the bundled one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            callback=as_path,
            help="File: .bvh, .glb, .npy, .csv, .gif, .html. Default: a page, named by PROMPT.",
        ),
    ] = None,
    actions: Annotated[bool, typer.Option("--actions", help="List the actions that the run knows instead.")] = False,
    greedy: Annotated[bool | None, typer.Option("--greedy/--sample", help="Most likely token, or a draw.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Below 1 sharper, above 1 flatter.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k most likely tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the smallest set whose probability reaches p.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Scale of classifier-free guidance; 1 is off.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length. Default: until the decoder says END.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens at most.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of a .bvh file: m or cm. Default: m.")] = None,
    engine: Annotated[
        str, typer.Option(help="torch; onnx: the same tokens, faster on a CPU; onnx-int8: faster, rounded weights.")
    ] = "torch",
) -> None:
    """Write the motion that a run generates from a prompt.

    An option that is not given comes from the settings of the run. A prompt that is unlike all training captions is
    answered too, with a warning. With --actions no prompt is needed. Without --run the run that comes with the
    package answers: no training is needed. Without --out the motion is a page in the current folder, named by the
    prompt; no file is replaced.
    """
    from motionlab.jobs.pretrained import pretrained_run

    run = run or pretrained_run().folder
    if actions:
        from motionlab.jobs.known_actions import describe_known

        print(describe_known(run))
        return
    if prompt is None:
        raise InputError(
            "motionlab generate",
            found="no PROMPT",
            expected="PROMPT, or --actions",
            fix="Add 'a person jumps'; or list the actions that the run knows with --actions.",
        )
    from motionlab.jobs.generate import generate_file as job
    from motionlab.jobs.motion_files import unused_page

    out = out or unused_page(prompt)
    result = job(
        prompt, run, out, greedy=greedy, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance,
        seconds=seconds, max_tokens=max_tokens, seed=seed, unit=unit, show=True, engine=engine,
    )  # fmt: skip
    print(f"written: {printable(out)} ({len(result.motion)} frames, {result.motion.duration:.1f} s)")
    for note in result.notes():
        print(printable(note))


@app.command()
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", callback=as_path, help="A new folder.")],
) -> None:
    """Write a run to give away.

    It holds what generation needs, with weights of 16 bits, and opens like any run. It cannot be trained further.
    """
    from motionlab.jobs.pretrained import export_run

    files = export_run(run, out)
    size = sum(path.stat().st_size for path in files)
    print(f"{printable(out)}: {len(files)} files, {size / 1e6:.1f} MB")
