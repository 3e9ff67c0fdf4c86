// A skeleton player on one 2-D canvas. No library, no network. The report embeds it, and the notebook widget imports it.
//
//   const player = motionlabPlayer(element, {fps, caption, parents, sides, tracks: [{label, color, scale, data}], words})
//   player.set(frame)   player.play()   player.pause()   player.destroy()   player.onchange = (frame, playing) => ...
//
// World axes are those of the motions: x to the body's left, y up, z forward, metres. `data` is base64 of
// little-endian int16 [frames, joints, 3]; multiply by `scale` to get metres. `words` are the texts of this file in the
// reader's language, {English: translated}; a page in another language may set `motionlabWords` for all of its players.
function motionlabPlayer(element, clip) {
  const INK = "#24292f", FAINT = "#d7dce2", SHADOW = "#e4e7eb";
  const NARROW = 150, TALL = 300, LOW = 230; // pixels: the least width of a frame, and its height in one row and in several
  const TOP = 34, EDGE = 8, AROUND = 0.12; // pixels for the words above a body and around it; metres around its joints
  const VIEW = { yaw: 0.6, pitch: 0.22, zoom: 1 };
  const joints = clip.parents.length;
  const words = { ...window.motionlabWords, ...clip.words };
  const say = (text, values) => (words[text] || text).replace(/\{(\w+)\}/g, (whole, name) => values[name]);

  const tracks = clip.tracks.map((track) => {
    const bytes = Uint8Array.from(atob(track.data), (c) => c.charCodeAt(0));
    const values = new Int16Array(bytes.buffer);
    const at = (t, j) => [0, 1, 2].map((axis) => values[(t * joints + j) * 3 + axis] * track.scale); // metres
    return { label: track.label, color: track.color, frames: values.length / (joints * 3), at };
  });
  const frames = Math.max(1, ...tracks.map((track) => track.frames)); // one timeline: that of the longest track
  const view = { ...VIEW };
  let frame = 0, playing = false, visible = false, request = 0, last = 0, carry = 0, fits = [], fitted = "";

  // ---- page elements -------------------------------------------------------------------------------------------
  const make = (tag, parent, style, attributes) => {
    const node = document.createElement(tag);
    Object.assign(node.style, style);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };
  element.textContent = "";
  const box = make("div", element, {
    font: "13px/1.4 system-ui, sans-serif", color: INK, background: "#fff", border: `1px solid ${FAINT}`, borderRadius: "6px",
    padding: "8px", maxWidth: `${Math.max(420, 300 * tracks.length)}px`, boxSizing: "border-box", position: "relative",
  }, { class: "motionlab-player", role: "group", "aria-label": clip.caption || say("motion") });
  const ring = ".motionlab-player :focus-visible { outline: 2px solid #1f6feb; outline-offset: 1px; }";
  make("style", box).textContent = ring;
  const caption = make("div", box, { fontWeight: "600", marginBottom: "4px", overflowWrap: "anywhere" });
  caption.textContent = clip.caption || "";
  const stage = make("div", box, { position: "relative" });
  const canvas = make("canvas", stage, { width: "100%", height: `${TALL}px`, cursor: "grab", touchAction: "pan-y", display: "block" }, {
    tabindex: "0", role: "img", // pan-y: a finger that moves up or down scrolls the page
    "aria-label": say("Skeletons: {names}. Drag, or Shift and arrow keys, to turn; plus and minus, Ctrl and the wheel, or two fingers to "
      + "zoom; double-click or 0 for the first view; space to play; arrow keys for single frames.",
    { names: tracks.map((track) => track.label).join(", ") }),
  });
  const reset = make("button", stage, { position: "absolute", bottom: "0", right: "0", font: "inherit", cursor: "pointer" }, {
    type: "button", "aria-label": say("Reset view"), title: say("Reset view: double-click or 0"),
  });
  reset.textContent = "\u21ba";
  const bar = make("div", box, { display: "flex", gap: "8px", alignItems: "center", marginTop: "4px" });
  const button = make("button", bar, { width: "4.5em", font: "inherit", cursor: "pointer" }, { type: "button" });
  const slider = make("input", bar, { flex: "1", minWidth: "60px" }, {
    type: "range", min: "0", max: String(frames - 1), step: "1", value: "0", "aria-label": say("frame"),
  });
  const clock = make("output", bar, { fontVariantNumeric: "tabular-nums", whiteSpace: "nowrap" }, { "aria-live": "off" });
  const pen = canvas.getContext("2d");
  button.disabled = slider.disabled = frames < 2; // nothing to play

  // ---- camera --------------------------------------------------------------------------------------------------
  // It looks at the middle of all that a motion passes, and stands still. A body that travels far would be small in such
  // a picture: then the camera follows the pelvis over the floor, and looks at all poses, one on top of the other.
  for (const track of tracks) {
    const times = [...Array(track.frames).keys()].filter((t) => t % Math.ceil(track.frames / 60) === 0 || t === track.frames - 1);
    const passed = (follow) => { // points [x, y, z], and the pelvis above the floor
      const [px, , pz] = follow ? track.at(0, 0) : [0, 0, 0];
      return times.flatMap((t) => {
        const [x, , z] = track.at(t, 0), move = follow ? [px - x, 0, pz - z] : [0, 0, 0];
        const body = [...Array(joints).keys()].map((j) => track.at(t, j));
        return [...body, [x, 0, z]].map((point) => point.map((value, axis) => value + move[axis]));
      });
    };
    track.scenes = [false, true].map((follow) => scene(passed(follow)));
  }
  let follow = false;
  function choose(width, height) { // for the first view: turning it changes nothing here
    const [still, following] = [0, 1].map((one) => Math.min(...tracks.map((track) => fit(track.scenes[one], width, height, VIEW).scale)));
    follow = still < 0.85 * following;
    for (const track of tracks) track.scene = track.scenes[Number(follow)];
  }

  function scene(points) {
    const low = [0, 1, 2].map((axis) => Math.min(...points.map((point) => point[axis])));
    const high = [0, 1, 2].map((axis) => Math.max(...points.map((point) => point[axis])));
    const middle = low.map((value, axis) => (value + high[axis]) / 2);
    const radius = Math.max(...points.map((point) => Math.hypot(...point.map((value, axis) => value - middle[axis]))));
    return { points, low, high, middle, distance: Math.max(4.2, 2.5 * radius) };
  }

  // A point seen from direction (yaw, pitch): metres to the right of the middle and above it, as large as they look there,
  // and the distance from the camera along its axis.
  function project(point, middle, distance, eye = view) {
    const [x, y, z] = point.map((value, axis) => value - middle[axis]);
    const sy = Math.sin(eye.yaw), cy = Math.cos(eye.yaw), sp = Math.sin(eye.pitch), cp = Math.cos(eye.pitch);
    const depth = Math.max(distance - (x * sy * cp + y * sp + z * cy * cp), 0.1 * distance), near = distance / depth;
    return [(x * cy - z * sy) * near, (-x * sy * sp + y * cp - z * cy * sp) * near, depth, near];
  }

  // How many pixels a metre may have so that all points are inside a frame, and the middle of their picture in metres.
  function fit(scene, width, height, eye = view) {
    const seen = scene.points.map((point) => project(point, scene.middle, scene.distance, eye));
    const ends = [0, 1].map((axis) => [Math.min(...seen.map((p) => p[axis])) - AROUND, Math.max(...seen.map((p) => p[axis])) + AROUND]);
    const [wide, high] = ends.map(([low, up]) => up - low);
    const scale = Math.min((width - 2 * EDGE) / wide, (height - TOP - EDGE) / high);
    return { scale, centre: ends.map(([low, up]) => (low + up) / 2) };
  }

  // ---- drawing -------------------------------------------------------------------------------------------------
  function line(points, color, width) {
    pen.strokeStyle = color; pen.lineWidth = width; pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
  }

  function short(words, width) { // what fits, and an ellipsis
    if (pen.measureText(words).width <= width) return words;
    const letters = [...words];
    let low = 0, high = letters.length;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (pen.measureText(`${letters.slice(0, middle).join("")}\u2026`).width <= width) low = middle; else high = middle - 1;
    }
    return `${letters.slice(0, low).join("")}\u2026`;
  }

  function drawTrack(track, [left, top, width, height], scale, centre) {
    const t = Math.min(frame, track.frames - 1), { middle, low, high, distance } = track.scene;
    const pose = [...Array(joints).keys()].map((j) => track.at(t, j)), pelvis = pose[0];
    const start = track.at(0, 0), moved = follow ? [pelvis[0] - start[0], 0, pelvis[2] - start[2]] : [0, 0, 0];
    const target = middle.map((value, axis) => value + moved[axis]);
    const at = (point) => {
      const [x, y, depth, near] = project(point, target, distance);
      return [left + width / 2 + (x - centre[0]) * scale, top + (TOP + height - EDGE) / 2 - (y - centre[1]) * scale, depth, near * scale];
    };
    pen.save(); pen.beginPath(); pen.rect(left, top, width, height); pen.clip();

    // The floor grid is fixed to the world, one line every half metre (or more), so that travel can be seen.
    const [[x0, x1], [z0, z1]] = [0, 2].map((axis) => [low[axis] + moved[axis] - 0.5, high[axis] + moved[axis] + 0.5]);
    let step = 0.5;
    while (Math.max(x1 - x0, z1 - z0) > 24 * step) step *= 2;
    for (let i = Math.ceil(x0 / step); i * step <= x1; i++) line([at([i * step, 0, z0]), at([i * step, 0, z1])], FAINT, 1);
    for (let i = Math.ceil(z0 / step); i * step <= z1; i++) line([at([x0, 0, i * step]), at([x1, 0, i * step])], FAINT, 1);
    const path = []; // where the pelvis has been; a camera that follows keeps what is near
    for (let i = follow ? Math.max(0, t - 90) : 0; i <= t; i++) {
      const [x, , z] = track.at(i, 0);
      if (x >= x0 && x <= x1 && z >= z0 && z <= z1) path.push(at([x, 0, z]));
    }
    pen.globalAlpha = 0.6;
    line(path, track.color, 1.5);
    pen.globalAlpha = 1;

    const points = pose.map(at), floor = pose.map(([x, , z]) => at([x, 0, z]));
    const bones = clip.parents.map((parent, j) => [parent, j]).filter(([parent]) => parent >= 0);
    for (const [a, b] of bones) line([floor[a], floor[b]], SHADOW, 5);
    bones.sort((p, q) => points[q[0]][2] + points[q[1]][2] - points[p[0]][2] - points[p[1]][2]); // far bones first
    for (const [a, b] of bones) { // the body's right side is drawn paler, so that left and right can be told apart
      pen.globalAlpha = clip.sides[b] < 0 ? 0.5 : 1;
      line([points[a], points[b]], track.color, Math.max(2, 0.028 * points[b][3]));
    }
    pen.globalAlpha = 1;
    const head = points[clip.head];
    pen.fillStyle = track.color; pen.beginPath(); pen.arc(head[0], head[1], 0.085 * head[3], 0, 7); pen.fill();

    pen.textAlign = "center"; pen.font = "600 13px system-ui, sans-serif";
    pen.fillText(short(track.label, width - 6), left + width / 2, top + 14);
    pen.font = "11px system-ui, sans-serif";
    const last = { s: ((track.frames - 1) / clip.fps).toFixed(2) };
    if (frame >= track.frames) pen.fillText(say("ended at {s} s: its last pose", last), left + width / 2, top + 28, width - 6);
    pen.restore();
  }

  function draw() {
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    const columns = Math.min(tracks.length, Math.max(1, Math.floor(width / NARROW))), rows = Math.ceil(tracks.length / columns);
    const wide = width / columns, high = rows > 1 ? LOW : TALL;
    canvas.style.height = `${rows * high}px`;
    const size = [width, rows * high].map((pixels) => Math.round(pixels * ratio)); // a dot of the picture for each of the screen
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, rows * high);
    const seenAs = [view.yaw, view.pitch, wide, high].join(); // nothing is fitted anew while it only plays
    if (!fitted.endsWith(`,${wide},${high}`)) choose(wide, high);
    if (seenAs !== fitted) { fits = tracks.map((track) => fit(track.scene, wide, high)); fitted = seenAs; }
    const scale = view.zoom * Math.min(...fits.map((one) => one.scale)); // the same for all: sizes can be compared
    tracks.forEach((track, i) => drawTrack(track, [(i % columns) * wide, Math.floor(i / columns) * high, wide, high], scale, fits[i].centre));
    canvas.dataset.ended = tracks.filter((track) => frame >= track.frames).map((track) => track.label).join(", ");
    reset.style.visibility = Object.keys(VIEW).some((key) => view[key] !== VIEW[key]) ? "visible" : "hidden";
    slider.value = String(frame);
    clock.textContent = say("frame {n} / {m}  {s} s", { n: frame, m: frames - 1, s: (frame / clip.fps).toFixed(2) });
    button.textContent = playing ? say("Pause") : say("Play");
  }

  // ---- time ----------------------------------------------------------------------------------------------------
  const player = { frames, onchange: null, set, play, pause, destroy };
  function changed() { draw(); if (player.onchange) player.onchange(frame, playing); }
  function set(value) { const next = Math.min(frames - 1, Math.max(0, Math.round(value))); if (next !== frame) { frame = next; changed(); } }
  function tick(now) {
    request = requestAnimationFrame(tick);
    carry += Math.max(0, Math.min(0.25, (now - last) / 1000)) * clip.fps; // a page may have slept: do not jump
    last = now;
    const steps = Math.floor(carry);
    carry -= steps;
    if (steps) { frame = (frame + steps) % frames; changed(); }
  }
  function run() { // time passes while it plays and is on the screen: a page with twenty players draws only those
    const go = playing && visible;
    if (go && !request) { last = performance.now(); carry = 0; request = requestAnimationFrame(tick); }
    if (!go && request) { cancelAnimationFrame(request); request = 0; }
  }
  function play() { if (playing || frames < 2) return; playing = true; run(); changed(); }
  function pause() { if (!playing) return; playing = false; run(); changed(); }

  // ---- input ---------------------------------------------------------------------------------------------------
  function turn(yaw, pitch) { view.yaw += yaw; view.pitch = Math.min(1.5, Math.max(-0.1, view.pitch + pitch)); draw(); }
  function zoom(factor) { view.zoom = Math.min(8, Math.max(0.3, view.zoom * factor)); draw(); }
  function look() { Object.assign(view, VIEW); draw(); }
  button.onclick = () => (playing ? pause() : play());
  slider.oninput = () => { pause(); set(Number(slider.value)); };
  reset.onclick = () => { look(); canvas.focus(); };
  canvas.ondblclick = look;

  const held = new Map(); // pointers that are down: one turns, two zoom
  const spread = () => { const [a, b] = [...held.values()]; return Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)); };
  canvas.onpointerdown = (event) => {
    if (event.button) return;
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const wide = held.size === 2 ? spread() : 0;
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (wide) zoom(spread() / wide);
    else turn((before.x - event.clientX) * 0.01, (event.clientY - before.y) * 0.01);
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => { held.delete(event.pointerId); };
  canvas.addEventListener("wheel", (event) => { // without Ctrl the wheel scrolls the page; a pinch on a touchpad has Ctrl
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-0.003 * event.deltaY * (event.deltaMode ? 16 : 1)));
  }, { passive: false });
  canvas.onkeydown = (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    let act = { " ": button.onclick, "+": () => zoom(1.2), "-": () => zoom(1 / 1.2), 0: look }[event.key];
    if (arrow && event.shiftKey) act = () => turn(-0.1 * arrow[0], 0.1 * arrow[1]);
    else if (arrow && arrow[0]) act = () => { pause(); set(frame + arrow[0]); };
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); event.stopPropagation(); act(); }
  };
  const resized = new ResizeObserver(() => requestAnimationFrame(draw));
  resized.observe(box);
  const seen = new IntersectionObserver((entries) => { visible = entries[entries.length - 1].intersectionRatio >= 0.2; run(); }, { threshold: 0.2 });
  seen.observe(canvas);

  function destroy() { playing = false; run(); resized.disconnect(); seen.disconnect(); element.textContent = ""; }
  draw();
  if (clip.autoplay && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) play();
  return player;
}
