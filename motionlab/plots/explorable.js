// Turns the pictures of a report into figures to explore, each when it comes near the screen. The page holds plotly.js once,
// packed with gzip, and the data of a figure next to its picture. A picture stays where something fails.
{
  let library = null;
  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("motionlab-plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script); // it runs now
    return window.Plotly;
  };
  const draw = async (figure) => {
    library ??= unpack();
    const plotly = await library;
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const place = document.createElement("div");
    place.style.aspectRatio = `${layout.width} / ${layout.height}`; // it grows and shrinks with the page, as the picture did
    const { width, height, ...rest } = layout;
    figure.append(place);
    try {
      await plotly.newPlot(place, data, { ...rest, autosize: true }, { responsive: true, displaylogo: false });
      figure.querySelector("svg").remove();
    } catch (error) {
      place.remove();
      throw error;
    }
  };
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      draw(target).catch((error) => console.warn("The picture stays:", error));
    }
  }, { rootMargin: "300px" });
  document.querySelectorAll(".motionlab-figure").forEach((figure) => near.observe(figure));
}
