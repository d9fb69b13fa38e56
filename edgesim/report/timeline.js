// The timeline: which trial it shows, and buttons to move along it.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const { kind, trials } = JSON.parse(find("timeline-data").textContent);
  const [plot, names, repeats] = ["plot", "name", "repeat"].map((id) => find(`timeline-${id}`));
  const plain = (text) => new DOMParser().parseFromString(text, "text/html").documentElement.textContent;
  const fill = (select, values) => {
    for (const value of new Set(values)) {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = plain(String(value));
      select.append(option);
    }
    select.parentElement.hidden = select.length < 2;
  };
  fill(names, trials.map((one) => one.name));
  fill(repeats, trials.map((one) => one.repeat));
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };
  // plotly shrinks labels until they fit; those too small to read are hidden.
  const hideTiny = () => {
    for (const label of plot.querySelectorAll(".bartext")) {
      const scale = /scale\(([\d.e-]+)/.exec(label.getAttribute("transform"));
      label.style.visibility = scale !== null && Number(scale[1]) < 0.7 ? "hidden" : "";
    }
  };
  let shown = null;
  const draw = () => {
    const fits = (one) => one.name === names.value && String(one.repeat) === repeats.value;
    const next = trials.find(fits);
    if (next === undefined) {
      find("timeline-note").textContent = `There is no such ${kind} in this repeat.`;
      return;
    }
    // Another one in the same repeat is compared at the same place.
    const same = shown !== null && shown.repeat === next.repeat;
    const range = same ? plot.layout.xaxis.range.slice() : next.view.slice();
    shown = next;
    const layout = structuredClone(next.layout);
    layout.xaxis.range = range;
    find("timeline-note").textContent = plain(next.note);
    const tell = (trace) => trace.customdata?.map((number) => next.texts[number]);
    const traces = next.data.map((trace) => ({ ...trace, hovertext: tell(trace) }));
    Plotly.react(plot, traces, layout, config).then(hideTiny);
  };
  const move = (change) => {
    const [from, to] = plot.layout.xaxis.range.map(Number);
    Plotly.relayout(plot, { "xaxis.range": change(from, to, to - from) });
  };
  const moves = {
    whole: () => shown.span.slice(),
    earlier: (from, to, length) => [from - 0.8 * length, to - 0.8 * length],
    later: (from, to, length) => [from + 0.8 * length, to + 0.8 * length],
    closer: (from, to, length) => [from + length / 4, to - length / 4],
    wider: (from, to, length) => [from - length / 2, to + length / 2],
  };
  for (const [name, change] of Object.entries(moves)) {
    find(`timeline-${name}`).addEventListener("click", () => move(change));
  }
  names.addEventListener("change", draw);
  repeats.addEventListener("change", draw);
  draw();
  plot.on("plotly_afterplot", hideTiny);
  find("timeline-controls").hidden = false;
})();
