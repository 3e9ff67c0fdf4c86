// Pictures of an episode, one a control step: play, pause, a scrubber, arrow keys, and the action of each step.
function motionlabRobotPlayer(element, film) {
  const make = (tag, style, text) => {
    const made = document.createElement(tag);
    made.style.cssText = style;
    if (text) made.textContent = text;
    element.appendChild(made);
    return made;
  };
  element.style.cssText = "font:14px system-ui,sans-serif;max-width:" + film.width + "px;color:#24292f";
  make("div", "margin:0 0 6px", film.caption);
  const picture = make("img", "width:100%;image-rendering:pixelated;border-radius:6px;display:block");
  picture.alt = film.caption;
  const button = make("button", "margin:6px 8px 0 0;min-width:64px", "play");
  const slider = make("input", "width:calc(100% - 84px);vertical-align:middle");
  Object.assign(slider, { type: "range", min: 0, max: film.frames.length - 1, value: 0 });
  slider.setAttribute("aria-label", "control step");
  const line = make("div", "margin-top:4px;font:12px ui-monospace,monospace;color:#57606a;white-space:pre-wrap");
  let step = 0, timer = null;
  const show = (number) => {
    step = number;
    picture.src = "data:image/png;base64," + film.frames[step];
    slider.value = step;
    line.textContent = "step " + step + " of " + (film.frames.length - 1) + "\n" + (film.lines[step] || "");
  };
  const pause = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  const play = () => {
    if (step === film.frames.length - 1) show(0);
    button.textContent = "pause";
    timer = setInterval(() => (step + 1 < film.frames.length ? show(step + 1) : pause()), 1000 / film.fps);
  };
  button.onclick = () => (timer ? pause() : play());
  slider.oninput = () => { pause(); show(Number(slider.value)); };
  show(0);
}
