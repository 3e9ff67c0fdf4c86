"""The skeleton player as a notebook widget. It draws in the browser with `plots/player.js` and asks no network.

It plays while it is on the screen, until the reader stops it or Python names a frame. Python sees which frame is shown
and whether it plays, and can change both:

    player = SkeletonPlayer([Track("real", motion.joints())], "a person walks")
    player.frame = 30
    player.playing = True
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motionlab.errors import MissingExtra
from motionlab.plots.gif import moments_html
from motionlab.plots.player import Track, clip_data, player_html, player_source

try:
    import anywidget
    import traitlets
except ImportError:  # pragma: no cover - the notebooks extra is installed wherever this is tested
    raise MissingExtra("anywidget", extra="notebooks", purpose="show the player in a notebook") from None

# anywidget wants an ES module with a default export. The player itself is the file that the report embeds too.
_GLUE = """
export default {
  render({ model, el }) {
    let player = null, clip = null, told = 0, telling = false, byItself = false;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const changed = (frame, playing) => {
      const now = performance.now();
      // Four messages a second are enough; of what plays by itself nobody has asked for the frame.
      if (playing === model.get("playing") && playing && (byItself || now - told < 250)) return;
      told = now;
      telling = true; // what the page says itself is no wish of Python's
      model.set("frame", frame);
      model.set("playing", playing);
      model.save_changes();
      telling = false;
      byItself = byItself && playing;
    };
    const follow = () => {
      const frame = model.get("frame");
      if (telling || model.get("clip") !== clip) return;
      if (byItself) player.pause();
      if (!model.get("playing")) player.set(frame);
    };
    const run = () => {
      if (!telling) (model.get("playing") ? player.play() : player.pause());
    };
    const stop = () => { if (player) { player.onchange = null; player.destroy(); } };
    const show = () => { // another clip: the place in it and whether it plays stay
      const first = !player;
      stop();
      byItself = false;
      clip = model.get("clip");
      player = motionlabPlayer(el, clip);
      follow();
      player.onchange = changed;
      if (first && calm) changed(model.get("frame"), false); // nothing starts by itself for this reader
      else run();
    };
    model.on("change:clip", show);
    model.on("change:frame", follow);
    model.on("change:playing", run);
    show();
    if (!calm && !model.get("playing") && model.get("frame") === 0) { byItself = true; player.play(); }
    return () => { // the cell was cleared: no timer may continue
      model.off("change:clip", show);
      model.off("change:frame", follow);
      model.off("change:playing", run);
      stop();
    };
  },
};
"""


class SkeletonPlayer(anywidget.AnyWidget):
    """A player with one skeleton per track, in a row.

    Args:
        tracks: skeletons and their labels.
        caption: text above them.
        fps: frames a second of the joints.

    Attributes:
        frame: the frame shown, from 0. While it plays, it is reported about four times a second; not while it plays by
            itself, before somebody has used it.
        playing: whether it plays.

    Raises:
        InputError: no track, a wrong shape, or a number that is not finite.
    """

    _esm = player_source() + _GLUE
    clip = traitlets.Dict().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)

    def __init__(self, tracks: Sequence[Track], caption: str = "", fps: float = 30.0) -> None:
        self._count(tracks)
        super().__init__(clip=clip_data(tracks, caption, fps))

    def show(self, tracks: Sequence[Track], caption: str = "", fps: float = 30.0) -> None:
        """Show other skeletons from their first frame on; a player that plays keeps playing.

        Raises:
            InputError: as for a new player, which then stays as it is.
        """
        clip = clip_data(tracks, caption, fps)
        self._count(tracks)
        with self.hold_sync():
            self.frame, self.clip = 0, clip

    def _count(self, tracks: Sequence[Track]) -> None:
        self._tracks = list(tracks)
        self._labels = [track.label for track in tracks]
        self._frames = max((len(track.joints) for track in tracks), default=0)

    def still(self) -> dict[str, str]:
        """The output for a page without a kernel, by mime type: the player, which needs none.

        Where no script runs, as in a notebook that nobody has trusted yet, a few moments of each track stand there.
        """
        clip, moments = self.clip, moments_html(self._tracks)
        return {"text/html": player_html(self._tracks, clip["caption"], clip["fps"], still=moments)}

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live widget, for Jupyter, and the player as HTML, which stays in a saved notebook."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, **self.still()}, metadata

    @traitlets.validate("frame")
    def _inside(self, proposal: dict[str, int]) -> int:
        return min(max(proposal["value"], 0), max(self._frames - 1, 0))

    def __repr__(self) -> str:
        return f"<SkeletonPlayer: {', '.join(self._labels)}, {self._frames} frames>"
