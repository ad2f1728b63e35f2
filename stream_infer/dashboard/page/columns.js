// Features and scores: a card each, some at a time, with the distribution now over that of the training data.
import { byId, chart, count, element, forget, moment, number, percent, plain, text } from "./draw.js";
import { clockFormat, currentSpan, onSpan } from "./sections.js";

const PAGE = 12;
let found = null;
let first = 0;
let ask = null;
const cards = new Map();
const details = new Map();

function ordered() {
  const wanted = byId("filter").value.toLowerCase();
  const all = found.columns.map((column, at) => ({ ...column, at })).filter((one) => one.name.toLowerCase().includes(wanted));
  if (byId("order").value === "departure") {
    const far = (one) => (one.incidents.length ? 2 : 0) + (one.distance ?? -1);
    all.sort((one, other) => far(other) - far(one) || one.at - other.at);
  }
  return all;
}

export function columns(document_) {
  found = document_;
  refresh();
}

async function refresh() {
  if (!found) return;
  const list = ordered();
  first = Math.max(0, Math.min(first, Math.floor((list.length - 1) / PAGE) * PAGE));
  const page = list.slice(first, first + PAGE);
  note(list);
  try {
    const answer = page.length ? await ask(`v1/columns?at=${page.map((one) => one.at).join(",")}`) : {};
    for (const one of page) {
      const detail = answer[one.at];
      if (detail && detail.name === one.name && detail.kind === one.kind) details.set(one.at, detail);
    }
  } catch {
    return; // the stream tells that the server is away
  }
  const kept = new Set(page.map(key));
  for (const [name, card] of cards) {
    if (!kept.has(name)) {
      forget(card.querySelector(".chart"));
      card.remove();
      cards.delete(name);
    }
  }
  page.forEach((one, place) => {
    const card = cards.get(key(one)) ?? made(one);
    cards.set(key(one), card);
    const there = byId("column-list").children[place];
    if (there !== card) byId("column-list").insertBefore(card, there ?? null);
    fill(card, one, details.get(one.at));
  });
}

const key = (one) => `${one.kind}/${one.name}`;

function note(list) {
  if (!found.columns.length) {
    text(byId("column-note"), "No feature was observed yet.");
  } else {
    const training = found.has_reference ? "" : " The training data of this model are not known here: its package has no reference, or is not on this machine.";
    const left = found.left_out ? ` ${count(found.left_out)} more are left out.` : "";
    byId("column-note").replaceChildren(
      `Model ${found.model_version}: ${count(found.sampled)} sampled of ${count(found.records)} events, written from `, moment(found.since_ms), " to ", moment(found.until_ms), `.${training}${left}`);
  }
  text(byId("place"), list.length ? `${count(first + 1)} to ${count(Math.min(first + PAGE, list.length))} of ${count(list.length)}` : "none");
  byId("previous").disabled = first === 0;
  byId("next").disabled = first + PAGE >= list.length;
}

const KINDS = { "feature.number": "feature, number", "feature.category": "feature, category", "output.number": "output, number", "output.category": "output, category" };

function made(one) {
  return element("li", { class: "column" }, element("h3", {}, one.name), element("p", { class: "kind" }, KINDS[one.kind] ?? one.kind), element("div", { class: "chart", role: "img" }), element("p", { class: "facts" }), element("p", { class: "alarm" }));
}

function facts(one) {
  const told = [];
  const isNumber = one.kind.endsWith("number");
  if (one.departure !== null) {
    told.push(isNumber ? `mean ${number(one.departure, 3)} standard deviations from training` : `${percent(one.departure)} of the shares moved`);
  }
  if (one.mean !== null) told.push(`mean ${number(one.mean)}${one.reference_mean === null ? "" : ` (training ${number(one.reference_mean)})`}`);
  told.push(`nulls ${percent(one.nulls)}`);
  if (isNumber && one.non_finite) told.push(`NaN or infinite ${percent(one.non_finite)}`);
  if (one.outside !== null) told.push(isNumber ? `out of the training range ${percent(one.outside)}` : `not in training ${percent(one.outside)}`);
  return `${told.join("; ")}.`;
}

function fill(card, one, detail) {
  text(card.querySelector(".facts"), facts(one));
  const alarm = one.incidents.length ? `In ${one.incidents.length === 1 ? "an open incident" : `${one.incidents.length} open incidents`}: ` : "";
  const place = card.querySelector(".alarm");
  if (place.dataset.shown !== one.incidents.join()) {
    place.dataset.shown = one.incidents.join();
    place.replaceChildren(alarm, ...one.incidents.map((id) => element("a", { href: `#incident=${encodeURIComponent(id)}` }, id)));
  }
  card.classList.toggle("alarmed", one.incidents.length > 0);
  if (!detail) return;
  const strip = detail.strip[currentSpan()];
  const label = `${one.name}: ${facts(one)}${detail.labels.length ? "" : " There is no distribution to compare with."}`;
  chart(card.querySelector(".chart"), label, (colour) => drawn(one, detail, strip, colour));
}

function drawn(one, detail, strip, colour) {
  const at = detail.labels.map((_, place) => place);
  const labels = detail.labels.map(short);
  const bars = (name, values, fill, width) => ({ type: "bar", name, x: at, y: values, width, marker: { color: fill }, customdata: detail.labels.map(plain), hovertemplate: "%{customdata}: %{y:.1%}" });
  const line = { type: "scatter", mode: "lines+markers", name: "departure", x: strip.time_ms.map((ms) => new Date(ms)), y: strip.departure, xaxis: "x2", yaxis: "y2", marker: { size: 3 }, line: { color: colour("series-1"), width: 1.4 }, showlegend: false };
  const newest = strip.time_ms[strip.time_ms.length - 1];
  const oldest = strip.time_ms[0];
  const bands = detail.bands.filter((band) => oldest !== undefined && (band.to_ms ?? newest) >= oldest && band.from_ms <= newest).map((band) => ({
    type: "rect", xref: "x2", yref: "y2 domain", x0: new Date(Math.max(band.from_ms, oldest)), x1: new Date(band.to_ms ?? newest), y0: 0, y1: 1, line: { width: 0 }, opacity: 0.25, fillcolor: colour(band.severity === "critical" ? "critical" : "warning"),
  }));
  const every = Math.max(1, Math.ceil(at.length / 6));
  return {
    traces: [bars("training", detail.reference, colour("training"), 0.9), bars("now", detail.now, colour("series-1"), 0.5), line],
    layout: {
      height: 210, barmode: "overlay", shapes: bands,
      xaxis: { domain: [0, 0.46], tickvals: at.filter((place) => place % every === 0), ticktext: labels.filter((_, place) => place % every === 0), tickangle: -35 },
      yaxis: { tickformat: ".0%", rangemode: "tozero" },
      xaxis2: { domain: [0.6, 1], type: "date", anchor: "y2", nticks: 3, tickangle: 0, tickformat: clockFormat() },
      yaxis2: { anchor: "x2", zeroline: true },
    },
  };
}

function short(label) {
  const characters = [...label];
  return plain(characters.length > 14 ? `${characters.slice(0, 13).join("")}…` : label);
}

export function begin(get) {
  ask = get;
  byId("filter").addEventListener("input", () => { first = 0; refresh(); });
  byId("order").addEventListener("change", () => { first = 0; refresh(); });
  byId("previous").addEventListener("click", () => { first -= PAGE; refresh(); });
  byId("next").addEventListener("click", () => { first += PAGE; refresh(); });
  onSpan(refresh);
}
