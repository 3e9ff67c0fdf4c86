"""Build the site into site/_build/html (`make site`). Offline: the lessons are shown with their saved outputs.

python -m tools.build_site                   everything
python -m tools.build_site --lessons 00 05   two lessons only
python -m tools.build_site --serve           build, then show it on a local address
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools.site_builder.sources import collect

ROOT = Path(__file__).resolve().parent.parent


def repository(root: Path = ROOT) -> str:
    """The address in pyproject.toml, [project.urls], Repository; "" while there is none."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project.get("urls", {}).get("Repository", "")).rstrip("/")


def build(output: Path, lessons: Sequence[str] = (), *, root: Path = ROOT, address: str | None = None) -> int:
    """Collect the sources of a repository and run Sphinx on them; return its exit code. A warning is an error.

    Args:
        output: folder for sources, doctrees and html.
        lessons: beginnings of the names of lessons; none means all.
        root: the repository that is read. The settings are always those of this one.
        address: of the public repository; None reads pyproject.toml.
    """
    from sphinx.cmd.build import main as sphinx

    address = repository(root) if address is None else address
    sources = output / "sources"
    collect(root, sources, lessons, address)
    shutil.rmtree(output / "html", ignore_errors=True)
    os.environ["MOTIONLAB_SITE_REPOSITORY"] = address
    words = ["-W", "--keep-going", "-q", "-b", "html", "-c", str(ROOT / "site"), "-d", str(output / "doctrees")]
    return sphinx([*words, str(sources), str(output / "html")])


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the site from the saved outputs of the lessons.")
    parser.add_argument("--output", type=Path, default=ROOT / "site" / "_build")
    parser.add_argument("--lessons", nargs="*", default=[], help="beginnings of names, such as 05; default: all")
    parser.add_argument("--serve", action="store_true", help="show the result on a local address")
    options = parser.parse_args()
    started = time.perf_counter()
    if code := build(options.output.resolve(), options.lessons):
        print("the site was not built: a warning is an error", file=sys.stderr)
        return code
    page = options.output / "html" / "index.html"
    print(f"{page}: built in {time.perf_counter() - started:.0f} s")
    if options.serve:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(page.parent))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            print(f"http://127.0.0.1:{server.server_address[1]}  (Ctrl-C ends it)", flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
