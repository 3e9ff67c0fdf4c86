// A plane with codes that can be dragged. It draws; Python counts. While a finger is down the page knows the new places
// first, so cells, counts and arrows are worked out here as well; a test asserts that both agree.
//
// Traits: value {codes [[x, y]...], probe [x, y], target [x, y]} both ways; points [[x, y]...] and beta from Python.
const REACH = 4, SIZE = 440, GRAB = 14; // half the side of the plane; pixels; how near a finger must be, in pixels
const INK = "#24292f", GREY = "#6e7781", BLUE = "#1f6feb", ORANGE = "#d1622b", GREEN = "#1a7f5a", VIOLET = "#8250df";
const TINTS = ["#dbe7fb", "#fbe3d6", "#dcefe6", "#eae3fa", "#f6edd2", "#e7eaee", "#fadfe9"];

const nearest = (point, codes) => {
  let best = 0, least = Infinity;
  codes.forEach(([x, y], i) => {
    const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
    if (distance < least) { least = distance; best = i; }
  });
  return best;
};

// The cell of code i: the square, cut by the half-plane that is nearer to i than to j, for every j.
function cell(i, codes) {
  let polygon = [[-REACH, -REACH], [REACH, -REACH], [REACH, REACH], [-REACH, REACH]];
  const [cx, cy] = codes[i];
  codes.forEach(([x, y], j) => {
    const nx = x - cx, ny = y - cy;
    if (j === i || (nx === 0 && ny === 0)) return;
    const limit = (x * x + y * y - cx * cx - cy * cy) / 2;
    const side = ([px, py]) => px * nx + py * ny - limit; // negative: nearer to i
    const kept = [];
    polygon.forEach((here, k) => {
      const next = polygon[(k + 1) % polygon.length], a = side(here), b = side(next);
      if (a <= 0) kept.push(here);
      if (a * b < 0) kept.push([here[0] + (a / (a - b)) * (next[0] - here[0]), here[1] + (a / (a - b)) * (next[1] - here[1])]);
    });
    polygon = kept;
  });
  return polygon;
}

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.className = "motionlab-codebook";
  Object.assign(canvas.style, {
    width: "100%", maxWidth: `${SIZE}px`, aspectRatio: "1", cursor: "default", touchAction: "none", display: "block",
    border: "1px solid #d7dce2", borderRadius: "6px", background: "#fff",
  });
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  el.append(canvas);
  const pen = canvas.getContext("2d");
  const shown = () => canvas.clientWidth || SIZE;
  const toPixel = ([x, y]) => [((x + REACH) / (2 * REACH)) * SIZE, ((REACH - y) / (2 * REACH)) * SIZE];
  let places = structuredClone(model.get("value"));
  let held = null, told = 0, waiting = 0; // held: [kind, number] of the place under the finger

  function arrow(from, step, colour, width, dashed) {
    const [x, y] = toPixel(from), [u, v] = toPixel([from[0] + step[0], from[1] + step[1]]);
    const length = Math.hypot(u - x, v - y);
    if (length < 3) return; // too short to have a direction
    const ux = (u - x) / length, uy = (v - y) / length, head = Math.min(9, 0.6 * length);
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = width;
    pen.setLineDash(dashed ? [5, 4] : []);
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(u - ux * head * 0.8, v - uy * head * 0.8);
    pen.stroke();
    pen.setLineDash([]);
    pen.beginPath();
    pen.moveTo(u, v);
    pen.lineTo(u - head * (ux + 0.5 * uy), v - head * (uy - 0.5 * ux));
    pen.lineTo(u - head * (ux - 0.5 * uy), v - head * (uy + 0.5 * ux));
    pen.fill();
  }

  function mark(place, path, fill, stroke, width) {
    const [x, y] = toPixel(place);
    pen.beginPath();
    path(x, y);
    if (fill) { pen.fillStyle = fill; pen.fill(); }
    if (stroke) { pen.strokeStyle = stroke; pen.lineWidth = width; pen.stroke(); }
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1, { codes, probe, target } = places, points = model.get("points");
    if (canvas.width !== Math.round(SIZE * ratio)) canvas.width = canvas.height = Math.round(SIZE * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, SIZE, SIZE);
    codes.forEach((_, i) => {
      const polygon = cell(i, codes).map(toPixel);
      if (polygon.length < 3) return;
      pen.beginPath();
      polygon.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.fillStyle = TINTS[i % TINTS.length];
      pen.fill();
      pen.strokeStyle = "#8c959f";
      pen.lineWidth = 1;
      pen.stroke();
    });
    const hits = codes.map(() => 0), sums = codes.map(() => [0, 0]);
    pen.globalAlpha = 0.6;
    for (const point of points) {
      const owner = nearest(point, codes);
      hits[owner] += 1;
      sums[owner][0] += point[0];
      sums[owner][1] += point[1];
      mark(point, (x, y) => pen.arc(x, y, 2.2, 0, 7), BLUE);
    }
    pen.globalAlpha = 1;
    pen.font = "11px system-ui, sans-serif";
    codes.forEach((code, i) => {
      if (!hits[i]) { // dead: no dot, so no arrow
        mark(code, (x, y) => { pen.moveTo(x - 6, y - 6); pen.lineTo(x + 6, y + 6); pen.moveTo(x + 6, y - 6); pen.lineTo(x - 6, y + 6); }, null, GREY, 2);
        return;
      }
      arrow(code, [sums[i][0] / hits[i] - code[0], sums[i][1] / hits[i] - code[1]], ORANGE, 1.4);
      mark(code, (x, y) => pen.arc(x, y, 6, 0, 7), "#fff", ORANGE, 2);
      const [x, y] = toPixel(code), text = String(hits[i]);
      pen.lineWidth = 3;
      pen.strokeStyle = "#ffffffd0"; // a light rim, so that a number on a line can be read
      pen.strokeText(text, x + 8, y - 7);
      pen.fillStyle = INK;
      pen.fillText(text, x + 8, y - 7);
    });
    const token = nearest(probe, codes), code = codes[token], beta = model.get("beta");
    const pull = [target[0] - code[0], target[1] - code[1]]; // half of -dL/dc
    arrow(code, pull, GREEN, 1.4, true);
    arrow(probe, pull, GREEN, 2.4);
    arrow(probe, [beta * (code[0] - probe[0]), beta * (code[1] - probe[1])], VIOLET, 2.4);
    mark(target, (x, y) => {
      for (let k = 0; k < 10; k++) {
        const r = k % 2 ? 4 : 10, a = -Math.PI / 2 + (k * Math.PI) / 5;
        pen.lineTo(x + r * Math.cos(a), y + r * Math.sin(a));
      }
      pen.closePath();
    }, GREEN, "#fff", 1);
    mark(probe, (x, y) => { pen.moveTo(x, y - 8); pen.lineTo(x + 8, y); pen.lineTo(x, y + 8); pen.lineTo(x - 8, y); pen.closePath(); }, "#fff", INK, 2);
    if (held) mark(placeOf(held), (x, y) => pen.arc(x, y, 13, 0, 7), null, INK, 1);
    const used = hits.filter((count) => count > 0).length;
    canvas.dataset.hits = hits.join(" ");
    canvas.setAttribute("aria-label",
      `${codes.length} codes, ${used} used; the diamond has token ${token}. Drag codes, diamond and star; arrow keys move the last one.`);
  }

  const placeOf = ([kind, number]) => (kind === "codes" ? places.codes[number] : places[kind]);
  function move(place) {
    const inside = place.map((v) => Math.round(1000 * Math.min(REACH, Math.max(-REACH, v))) / 1000);
    if (held[0] === "codes") places.codes[held[1]] = inside; else places[held[0]] = inside;
    draw();
    tell(false);
  }
  // Python hears at most 15 times a second while a finger moves, and always the last place.
  function tell(now) {
    clearTimeout(waiting);
    const pause = 66 - (performance.now() - told);
    if (!now && pause > 0) { waiting = setTimeout(() => tell(true), pause); return; }
    told = performance.now();
    model.set("value", structuredClone(places));
    model.save_changes();
  }
  function under(event) {
    const box = canvas.getBoundingClientRect(), scale = SIZE / shown();
    const x = (event.clientX - box.left - canvas.clientLeft) * scale, y = (event.clientY - box.top - canvas.clientTop) * scale;
    return { pixel: [x, y], place: [(x / SIZE) * 2 * REACH - REACH, REACH - (y / SIZE) * 2 * REACH] };
  }
  function find(pixel) { // the nearest thing; what is drawn on top wins a tie
    let best = null, least = GRAB;
    const look = (kind, number, place) => {
      const [x, y] = toPixel(place), distance = Math.hypot(x - pixel[0], y - pixel[1]);
      if (distance < least) { least = distance; best = [kind, number]; }
    };
    look("probe", 0, places.probe);
    look("target", 0, places.target);
    places.codes.forEach((code, i) => look("codes", i, code));
    return best;
  }

  let dragging = false;
  canvas.addEventListener("pointerdown", (event) => {
    held = find(under(event).pixel);
    draw();
    if (!held) return;
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { pixel, place } = under(event);
    if (dragging) move(place);
    else canvas.style.cursor = find(pixel) ? "grab" : "default";
  });
  const drop = () => { if (dragging) { dragging = false; tell(true); } };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step || !held) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would go to another cell
    const [x, y] = placeOf(held);
    move([x + step[0], y + step[1]]);
  });

  const follow = () => {
    if (dragging) return; // what comes back is older than the finger
    places = structuredClone(model.get("value"));
    draw();
  };
  model.on("change:value", follow);
  model.on("change:points", draw);
  model.on("change:beta", draw);
  draw();
  return () => {
    clearTimeout(waiting);
    model.off("change:value", follow);
    model.off("change:points", draw);
    model.off("change:beta", draw);
  };
}

export default { render };
