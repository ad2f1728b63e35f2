"use strict";
// Draws the charts, and draws them again when the page turns from light to dark.
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axis(given) {
  return { gridcolor: color("--line"), zerolinecolor: color("--line"), automargin: true, ...given };
}

function draw() {
  for (const [id, chart] of Object.entries(charts)) {
    const traces = chart.traces.map(({ color: name, ...trace }) => ({
      ...trace, marker: { color: color(name) }, line: { color: color(name) },
    }));
    const layout = {
      ...chart.layout,
      xaxis: axis(chart.layout.xaxis), yaxis: axis(chart.layout.yaxis),
      font: { color: color("--ink"), family: "system-ui, sans-serif", size: 12 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 8, t: 8, b: 8 }, bargap: 0.15,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    };
    Plotly.react(id, traces, layout, { displayModeBar: false, responsive: true });
  }
}

draw();
dark.addEventListener("change", draw);
