// Pictures of an episode, one a control step: play, pause, a scrubber, arrow keys, and the action of each step.
// It plays while it is on the screen, until the reader stops it; never by itself for readers who ask for reduced motion.
// `film.words` are the texts of this file in the reader's language, {English: translated}.
function motionlabRobotPlayer(element, film) {
  const say = (text, values) => (film.words[text] || text).replace(/\{(\w+)\}/g, (whole, name) => values[name]);
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
  const button = make("button", "margin:6px 8px 0 0;min-width:64px", say("Play"));
  const slider = make("input", "width:calc(100% - 84px);vertical-align:middle");
  const end = film.frames.length - 1;
  Object.assign(slider, { type: "range", min: 0, max: end, value: 0 });
  slider.setAttribute("aria-label", say("control step"));
  const line = make("div", "margin-top:4px;font:12px ui-monospace,monospace;color:#57606a;white-space:pre-wrap");
  let step = 0, playing = false, visible = false, timer = null;
  const show = (number) => {
    step = number;
    picture.src = "data:image/png;base64," + film.frames[step];
    slider.value = step;
    line.textContent = say("step {n} of {m}", { n: step, m: end }) + "\n" + (film.lines[step] || "");
  };
  const next = () => { if (step < end) show(step + 1); else set(false); };
  const run = () => { // time passes while it plays and is on the screen
    clearInterval(timer);
    timer = playing && visible ? setInterval(next, 1000 / film.fps) : null;
    button.textContent = playing ? say("Pause") : say("Play");
  };
  const set = (value) => { playing = value; run(); };
  button.onclick = () => {
    if (!playing && step === end) show(0);
    set(!playing);
  };
  slider.oninput = () => { set(false); show(Number(slider.value)); };
  element.onkeydown = (event) => { // the slider knows arrow keys itself
    if (event.key !== " " || event.target === button) return;
    event.preventDefault();
    button.onclick();
  };
  new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].intersectionRatio >= 0.2;
    run();
  }, { threshold: 0.2 }).observe(picture);
  show(0);
  set(end > 0 && !window.matchMedia("(prefers-reduced-motion: reduce)").matches);
}
