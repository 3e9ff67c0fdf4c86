// A skeleton player on one 2-D canvas. No library, no network. The report embeds it, and the notebook widget imports it.
//
//   const player = motionlabPlayer(element, {fps, caption, parents, sides, tracks: [{label, color, scale, data}]})
//   player.set(frame)   player.play()   player.pause()   player.destroy()   player.onchange = (frame, playing) => ...
//
// World axes are those of the motions: x to the body's left, y up, z forward, metres. `data` is base64 of
// little-endian int16 [frames, joints, 3]; multiply by `scale` to get metres.
function motionlabPlayer(element, clip) {
  const INK = "#24292f", FAINT = "#d7dce2", SHADOW = "#e4e7eb";
  const HEIGHT = 300, FOCAL = 2.6, DISTANCE = 4.2, LOOK_AT = 0.85; // distance and height of the looked-at point: metres
  const VIEW = { yaw: 0.6, pitch: 0.22 };
  const joints = clip.parents.length;

  const tracks = clip.tracks.map((track) => {
    const bytes = Uint8Array.from(atob(track.data), (c) => c.charCodeAt(0));
    const values = new Int16Array(bytes.buffer);
    return { label: track.label, color: track.color, scale: track.scale, values, frames: values.length / (joints * 3) };
  });
  const frames = Math.max(1, ...tracks.map((track) => track.frames));
  const view = { ...VIEW };
  let frame = 0, playing = false, visible = true, request = 0, last = 0, carry = 0;

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
    font: "13px/1.4 system-ui, sans-serif", color: INK, background: "#fff", border: `1px solid ${FAINT}`,
    borderRadius: "6px", padding: "8px", maxWidth: `${Math.max(420, 300 * tracks.length)}px`, boxSizing: "border-box",
  }, { class: "motionlab-player" });
  const caption = make("div", box, { fontWeight: "600", marginBottom: "4px", overflowWrap: "anywhere" });
  caption.textContent = clip.caption || "";
  const canvas = make("canvas", box, { width: "100%", height: `${HEIGHT}px`, cursor: "grab", touchAction: "pan-y", display: "block" }, {
    tabindex: "0", role: "img",
    "aria-label": `Skeletons: ${tracks.map((track) => track.label).join(", ")}. Drag to turn, double-click to turn back.`,
  });
  const bar = make("div", box, { display: "flex", gap: "8px", alignItems: "center", marginTop: "4px" });
  const button = make("button", bar, { width: "4.5em", font: "inherit", cursor: "pointer" }, { type: "button" });
  const slider = make("input", bar, { flex: "1", minWidth: "60px" }, {
    type: "range", min: "0", max: String(frames - 1), step: "1", value: "0", "aria-label": "frame",
  });
  const clock = make("output", bar, { fontVariantNumeric: "tabular-nums", whiteSpace: "nowrap" });
  const pen = canvas.getContext("2d");

  // ---- camera --------------------------------------------------------------------------------------------------
  // A point [x, y, z] relative to the looked-at point, to pixels. The camera sits in direction (yaw, pitch).
  function project(x, y, z, centre, size) {
    const sy = Math.sin(view.yaw), cy = Math.cos(view.yaw), sp = Math.sin(view.pitch), cp = Math.cos(view.pitch);
    const right = x * cy - z * sy;
    const up = -x * sy * sp + y * cp - z * cy * sp;
    const depth = DISTANCE - (x * sy * cp + y * sp + z * cy * cp); // distance from the camera along its axis
    const zoom = (FOCAL * size) / Math.max(depth, 0.2);
    return [centre[0] + right * zoom, centre[1] - up * zoom, depth, zoom];
  }

  function joint(track, t, j, axis) { return track.values[(t * joints + j) * 3 + axis] * track.scale; }

  function line(a, b, color, width) {
    pen.strokeStyle = color; pen.lineWidth = width; pen.lineCap = "round";
    pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
  }

  function drawTrack(track, left, width, height) {
    const t = Math.min(frame, track.frames - 1);
    const root = [joint(track, t, 0, 0), joint(track, t, 0, 2)]; // the camera follows the pelvis over the floor
    const centre = [left + width / 2, height * 0.53], size = Math.min(width, height) / 1.55;
    const at = (x, y, z) => project(x - root[0], y - LOOK_AT, z - root[1], centre, size);
    pen.save(); pen.beginPath(); pen.rect(left, 0, width, height); pen.clip();

    // The floor grid is fixed to the world, one line every half metre, so that travel can be seen.
    const reach = 1.5, step = 0.5;
    for (let i = Math.ceil((root[0] - reach) / step); i * step <= root[0] + reach; i++)
      line(at(i * step, 0, root[1] - reach), at(i * step, 0, root[1] + reach), FAINT, 1);
    for (let i = Math.ceil((root[1] - reach) / step); i * step <= root[1] + reach; i++)
      line(at(root[0] - reach, 0, i * step), at(root[0] + reach, 0, i * step), FAINT, 1);
    for (let i = Math.max(1, t - 90); i <= t; i++) { // where the pelvis has been during the last 90 frames
      const a = [joint(track, i - 1, 0, 0), joint(track, i - 1, 0, 2)], b = [joint(track, i, 0, 0), joint(track, i, 0, 2)];
      if (Math.max(Math.abs(a[0] - root[0]), Math.abs(a[1] - root[1])) < reach)
        line(at(a[0], 0, a[1]), at(b[0], 0, b[1]), track.color, 1.5);
    }

    const points = [], floor = [];
    for (let j = 0; j < joints; j++) {
      const [x, y, z] = [0, 1, 2].map((axis) => joint(track, t, j, axis));
      points.push(at(x, y, z)); floor.push(at(x, 0, z));
    }
    const bones = clip.parents.map((parent, j) => [parent, j]).filter(([parent]) => parent >= 0);
    for (const [a, b] of bones) line(floor[a], floor[b], SHADOW, 5);
    bones.sort((p, q) => points[q[0]][2] + points[q[1]][2] - points[p[0]][2] - points[p[1]][2]); // far bones first
    for (const [a, b] of bones) { // the body's right side is drawn paler, so that left and right can be told apart
      pen.globalAlpha = clip.sides[b] < 0 ? 0.5 : 1;
      line(points[a], points[b], track.color, Math.max(2, 0.028 * points[b][3]));
    }
    pen.globalAlpha = 1;
    const head = points[clip.head];
    pen.fillStyle = track.color; pen.beginPath(); pen.arc(head[0], head[1], 0.085 * head[3], 0, 7); pen.fill();

    pen.fillStyle = track.color; pen.font = "600 13px system-ui, sans-serif"; pen.textAlign = "center";
    pen.fillText(track.label + (frame >= track.frames ? " (ended)" : ""), left + width / 2, 15, width - 6);
    pen.restore();
  }

  function draw() {
    const width = canvas.clientWidth, height = HEIGHT, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    tracks.forEach((track, i) => drawTrack(track, (i * width) / tracks.length, width / tracks.length, height));
    slider.value = String(frame);
    clock.textContent = `frame ${frame} / ${frames - 1}  ${(frame / clip.fps).toFixed(2)} s`;
    button.textContent = playing ? "Pause" : "Play";
  }

  // ---- time ----------------------------------------------------------------------------------------------------
  const player = { frames, onchange: null, set, play, pause, destroy };
  function changed() { draw(); if (player.onchange) player.onchange(frame, playing); }
  function set(value) { const next = Math.min(frames - 1, Math.max(0, Math.round(value))); if (next !== frame) { frame = next; changed(); } }
  function tick(now) {
    request = requestAnimationFrame(tick);
    carry += Math.min(0.25, (now - last) / 1000) * clip.fps; // a hidden page may have slept: do not jump
    last = now;
    const steps = Math.floor(carry);
    carry -= steps;
    if (steps && visible) { frame = (frame + steps) % frames; changed(); }
  }
  function play() { if (playing || frames < 2) return; playing = true; last = performance.now(); carry = 0; request = requestAnimationFrame(tick); changed(); }
  function pause() { if (!playing) return; playing = false; cancelAnimationFrame(request); changed(); }

  // ---- input ---------------------------------------------------------------------------------------------------
  button.onclick = () => (playing ? pause() : play());
  slider.oninput = () => { pause(); set(Number(slider.value)); };
  let drag = null;
  canvas.onpointerdown = (event) => { drag = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); };
  canvas.onpointermove = (event) => {
    if (!drag) return;
    view.yaw -= (event.clientX - drag[0]) * 0.01;
    view.pitch = Math.min(1.5, Math.max(-0.1, view.pitch + (event.clientY - drag[1]) * 0.01));
    drag = [event.clientX, event.clientY];
    draw();
  };
  canvas.onpointerup = canvas.onpointercancel = () => { drag = null; };
  canvas.ondblclick = () => { Object.assign(view, VIEW); draw(); };
  canvas.onkeydown = (event) => {
    const act = { " ": () => button.onclick(), ArrowLeft: () => set(frame - 1), ArrowRight: () => set(frame + 1) }[event.key];
    if (act) { event.preventDefault(); event.stopPropagation(); act(); }
  };
  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  const seen = new IntersectionObserver((entries) => { visible = entries[entries.length - 1].isIntersecting; });
  seen.observe(canvas); // a page with twenty players draws only those on the screen

  function destroy() { cancelAnimationFrame(request); resized.disconnect(); seen.disconnect(); element.textContent = ""; }
  draw();
  if (clip.autoplay && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) play();
  return player;
}
