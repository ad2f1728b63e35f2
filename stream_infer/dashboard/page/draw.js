// Elements and charts. Texts become text nodes, and what the chart library takes for markup is escaped:
// names come from packages and topics, and none of them is ever interpreted.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

// Replaces the children only where something changed: what a reader has focused or selected stays.
const shown = new WeakMap();
export function show(place, document, make) {
  const now = JSON.stringify(document);
  if (shown.get(place) === now) return;
  shown.set(place, now);
  const kept = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.name));
  const focused = place.contains(window.document.activeElement) ? window.document.activeElement.dataset.focus : null;
  place.replaceChildren(...make());
  for (const one of place.querySelectorAll("details")) if (kept.has(one.dataset.name)) one.open = true;
  if (focused) [...place.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === focused)?.focus();
}

export function text(place, value) {
  if (place.textContent !== value) place.textContent = value;
}

export const plain = (name) => String(name).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const whole = new Intl.NumberFormat("en");
export function count(value) {
  return whole.format(Math.round(value));
}
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "unknown";
  if (Math.abs(value) >= 10000 && Math.abs(value) < 1e15) return count(value);
  return String(Number(value.toPrecision(digits)));
}
export function percent(value) {
  return value === null || value === undefined ? "unknown" : `${Number((value * 100).toPrecision(3))} %`;
}
export function duration(ms) {
  if (ms === null || ms === undefined) return "unknown";
  for (const [size, unit] of [[86400000, "days"], [3600000, "h"], [60000, "min"], [1000, "s"]]) {
    if (ms >= 2 * size) return `${Number((ms / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(ms)} ms`;
}
export function moment(ms) {
  const then = new Date(ms);
  if (Number.isNaN(then.valueOf())) return element("span", {}, `${ms} ms`);
  return element("time", { datetime: then.toISOString() }, then.toLocaleString("sv"));
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const redraws = new Map();
dark.addEventListener("change", () => redraws.forEach((again) => again()));

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const PALETTE = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6"];

// `make(colour)` returns traces and layout; `label` says in words what the chart shows.
export function chart(place, label, make) {
  place.setAttribute("aria-label", label);
  if (!window.Plotly) {
    text(place, "The chart library is not installed: pip install 'stream-infer-worker[dashboard]'");
    return;
  }
  const again = () => {
    if (!place.isConnected) {
      redraws.delete(place);
      return;
    }
    const { traces, layout } = make(colour);
    const axis = { gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true, fixedrange: true };
    const whole = {
      margin: { l: 44, r: 8, t: 8, b: 32 }, height: 190, showlegend: traces.length > 1, hovermode: "closest", dragmode: false,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", ...layout,
    };
    for (const name of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) {
      if (name.length === 5 || whole[name]) whole[name] = { ...axis, ...whole[name] };
    }
    window.Plotly.react(place, traces, whole, { displayModeBar: false, responsive: true, showTips: false, doubleClick: false });
  };
  redraws.set(place, again);
  again();
}

export function forget(place) {
  redraws.delete(place);
  if (window.Plotly) window.Plotly.purge(place);
}
