// The sections of the page but for features and scores: each takes its document and shows it.
import { byId, chart, count, duration, element, moment, number, PALETTE, percent, plain, show, text } from "./draw.js";

const PIPELINE_UNKNOWN = "unknown";
let span = "15m";
let series = null;

export function head(found) {
  text(byId("pipeline"), found.pipeline);
  document.title = `${found.open_incidents ? `(${found.open_incidents}) ` : ""}${found.pipeline}: stream_infer`;
  const traffic = found.traffic;
  const lag = found.lag.unknown === null ? `${found.lag.exact ? "" : "about "}${count(found.lag.records)}` : PIPELINE_UNKNOWN;
  const figures = [
    ["Events per second", number(traffic.records_per_s, 3)],
    ["Dead letters per second", number(traffic.dead_letters_per_s, 3)],
    ["Events not answered yet", lag],
    ["Latency, typical", duration(traffic.latency_typical_ms)],
    ["Latency, slowest", duration(traffic.latency_slowest_ms)],
    ["Open incidents", count(found.open_incidents)],
    ["Events in the history", count(found.records)],
    ["Dead letters in the history", count(found.dead_letters)],
  ];
  show(byId("figures"), figures, () => figures.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const reading = found.reading;
  const notes = [reading.caught_up ? `The history was read in ${duration(reading.seconds * 1000)}.` : `Reading the history: ${percent(reading.share)}, ${duration(reading.seconds * 1000)} so far.`];
  if (found.lag.unknown !== null) notes.push(`The lag is unknown: ${found.lag.unknown}.`);
  if (found.unreadable) notes.push(`${count(found.unreadable)} records could not be read and are left out.`);
  if (found.desired) notes.push(`Desired: ${found.desired}.`);
  text(byId("reading"), notes.join(" "));
  byId("troubles").hidden = !found.troubles.length;
  show(byId("troubles").firstElementChild, found.troubles, () => found.troubles.map((one) => element("li", {}, one)));
}

export function workers(found) {
  const table = byId("worker-table");
  show(table, found.workers, () => [
    element("caption", {}, found.workers.length ? "The status of each worker" : "No worker has told its status."),
    ...(found.workers.length ? [element("thead", {}, row("th", ["Worker", "State", "Serves", "Since", "Partitions", "In the group", "Refused"]))] : []),
    element("tbody", {}, ...found.workers.map((one) => element("tr", {},
      element("th", { scope: "row" }, one.name), element("td", {}, one.state), element("td", {}, one.version ?? "none"),
      element("td", {}, one.serves_since_ms === null ? PIPELINE_UNKNOWN : moment(one.serves_since_ms)), element("td", {}, count(one.partitions)),
      element("td", {}, one.member === null ? PIPELINE_UNKNOWN : one.member ? "yes" : "no"), element("td", {}, one.refused ?? "nothing")))),
  ]);
  const behind = found.partitions.map((one) => `${one.name}: ${one.exact ? "" : "about "}${count(one.records)}`);
  text(byId("partition-note"), behind.length ? `Not answered yet, of ${count(found.partitions_total)} partitions: ${behind.join(", ")}.` : "");
}

function row(tag, cells) {
  return element("tr", {}, ...cells.map((cell) => element(tag, tag === "th" ? { scope: "col" } : {}, cell)));
}

function ranges(found) {
  if (!found.ranges_total) return null;
  const lines = found.ranges.map((one) => `${one.place} ${one.first}..${one.last ?? ""}`);
  const more = found.ranges_total - found.ranges.length;
  if (more > 0) lines.push(`and ${count(more)} more`);
  if (lines.length < 5) return element("p", { class: "ranges" }, `Offsets: ${lines.join(", ")}`);
  return element("details", { "data-name": `ranges-${lines[0]}` }, element("summary", {}, `Offsets in ${count(found.ranges_total)} partitions`), element("p", { class: "ranges" }, lines.join(", ")));
}

export function timeline(found) {
  show(byId("timeline-list"), found, () => found.entries.length
    ? found.entries.slice(0, 60).map((one) => element("li", { class: one.severity }, moment(one.time_ms), " ", element("strong", {}, one.type), " ", element("span", {}, one.sentence), ranges(one)))
    : [element("li", {}, "Nothing is known of the model yet.")]);
}

export function incidents(found) {
  const open = found.incidents.filter((one) => one.open).length;
  text(byId("incident-note"), found.incidents.length ? `${count(open)} open, ${count(found.incidents.length - open)} ended.` : "No incident in the history.");
  show(byId("incident-list"), found, () => found.incidents.map(incident));
  follow();
}

function incident(one) {
  const first = one.told[0];
  const last = one.told[one.told.length - 1];
  const link = `#incident=${encodeURIComponent(one.id)}`;
  const more = one.told.slice(1).map((told) => element("li", {}, moment(told.time_ms), ` ${told.state}: ${told.sentence}`));
  if (one.left_out) more.splice(1, 0, element("li", {}, `${count(one.left_out)} more in between`));
  return element("li", { class: `${one.severity} ${one.open ? "open" : "ended"}`, "data-incident": one.id, tabindex: "-1" },
    element("p", {}, element("strong", {}, one.open ? one.state : "resolved"), ` ${one.severity}, since `, moment(one.opened_ms), " ",
      element("a", { href: link, "data-focus": `link-${one.id}` }, `incident ${one.id}`)),
    element("p", { class: "sentence" }, first.sentence),
    last === first ? null : element("p", {}, "Last: ", last.sentence),
    ranges(one),
    one.members.length ? element("details", { "data-name": `members-${one.id}` }, element("summary", {}, `${count(one.members.length)} members`), element("ul", {}, ...one.members.map((name) => element("li", {}, name)))) : null,
    more.length ? element("details", { "data-name": `told-${one.id}` }, element("summary", {}, `${count(one.told.length + one.left_out)} events`), element("ol", {}, ...more)) : null);
}

let followed = null;
// Shows the incident that the address names, once it is there.
export function follow() {
  const named = location.hash.startsWith("#incident=") ? decoded(location.hash.slice(10)) : null;
  for (const one of byId("incident-list").children) one.classList.toggle("named", one.dataset.incident === named);
  if (named === null || followed === named) return;
  const found = [...byId("incident-list").children].find((one) => one.dataset.incident === named);
  if (!found) {
    text(byId("incident-note"), `Incident ${named} is not in the history that the monitoring topic keeps, or is not read yet.`);
    return;
  }
  followed = named;
  found.scrollIntoView({ block: "center" });
  found.focus({ preventScroll: true });
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

window.addEventListener("hashchange", () => {
  followed = null;
  follow();
});

const SPANS = [["15m", "15 minutes"], ["1d", "a day"], ["7d", "a week"]];
const listeners = [];
export const currentSpan = () => span;
export const clockFormat = () => ({ "15m": "%H:%M:%S", "1d": "%H:%M", "7d": "%b %d" })[span];
export function onSpan(listener) {
  listeners.push(listener);
}
export function spans() {
  byId("spans").replaceChildren(...SPANS.map(([name, label]) => {
    const button = element("button", { type: "button", "aria-pressed": String(name === span) }, label);
    button.addEventListener("click", () => {
      span = name;
      for (const other of byId("spans").children) other.setAttribute("aria-pressed", String(other === button));
      traffic(series);
      listeners.forEach((listener) => listener());
    });
    return button;
  }));
}

const times = (list) => list.map((ms) => new Date(ms));
const last = (list) => list[list.length - 1];

export function traffic(found) {
  series = found;
  if (!found) return;
  const now = found[span].traffic;
  const over = SPANS.find(([name]) => name === span)[1];
  const lines = (keys, names) => (colour) => ({
    traces: keys.map((key, at) => ({ type: "scatter", mode: "lines", name: names[at], x: times(now.time_ms), y: now[key], line: { color: colour(PALETTE[at]), width: 1.8, dash: at ? "dot" : "solid" } })),
    layout: { xaxis: { type: "date", nticks: 5, tickangle: 0, tickformat: clockFormat() }, yaxis: { rangemode: "tozero" } },
  });
  const empty = now.time_ms.length ? "" : " Nothing was observed in this time.";
  chart(byId("rate"), `Over ${over}: now ${number(last(now.records_per_s) ?? 0, 3)} events and ${number(last(now.dead_letters_per_s) ?? 0, 3)} dead letters per second.${empty}`, lines(["records_per_s", "dead_letters_per_s"], ["events", "dead letters"]));
  chart(byId("latency"), `Over ${over}: now typically ${duration(last(now.latency_typical_ms) ?? null)}, at most ${duration(last(now.latency_slowest_ms) ?? null)}.${empty}`, lines(["latency_typical_ms", "latency_slowest_ms"], ["typical", "slowest"]));
  const letters = Object.entries(found[span].letters);
  const totals = letters.map(([reason, one]) => `${reason} ${count(one.count.reduce((sum, n) => sum + n, 0))}`);
  chart(byId("letter-chart"), letters.length ? `Over ${over}: ${totals.join(", ")}.` : `Over ${over}: no dead letters.`, (colour) => ({
    traces: letters.map(([reason, one], at) => ({ type: "bar", name: plain(reason), x: times(one.time_ms), y: one.count, marker: { color: colour(PALETTE[at % PALETTE.length]) } })),
    layout: { barmode: "stack", showlegend: letters.length > 0, xaxis: { type: "date", nticks: 5, tickangle: 0, tickformat: clockFormat() }, yaxis: { rangemode: "tozero" } },
  }));
}

const METRICS = { accuracy: "accuracy", estimated_accuracy: "estimated accuracy", log_loss: "log loss", brier: "Brier score", mae: "mean absolute error", median_absolute_error: "median absolute error" };
const SHARES = new Set(["accuracy", "estimated_accuracy", "recall", "precision", "f1"]);

export function metrics(found) {
  const measured = (name, value) => (value === null ? "none yet" : SHARES.has(name) ? percent(value) : number(value));
  show(byId("metric-table"), found.versions.map((one) => [one.version, Object.entries(one.metrics).map(([name, m]) => [name, m.newest, m.overall, m.reference, m.labels, m.label_delay_ms, m.coverage])]), () => [
    element("caption", {}, found.versions.length ? "Metrics of each version" : "No metric was published: accuracy needs labels, or scores that are probabilities."),
    ...(found.versions.length ? [element("thead", {}, row("th", ["Version", "Metric", "Newest windows", "All windows", "First windows", "Labels", "Label delay", "Label coverage"]))] : []),
    element("tbody", {}, ...found.versions.flatMap((one) => Object.entries(one.metrics).map(([name, m]) => element("tr", {},
      element("th", { scope: "row" }, one.version), element("td", {}, METRICS[name] ?? name), element("td", {}, measured(name, m.newest)), element("td", {}, measured(name, m.overall)),
      element("td", {}, measured(name, m.reference)), element("td", {}, m.labels ? count(m.labels) : "none needed"), element("td", {}, m.label_delay_ms === null ? "none" : duration(m.label_delay_ms)),
      element("td", {}, m.coverage === null ? "not told" : percent(m.coverage)))))),
  ]);
  const lines = found.versions.flatMap((one) => ["accuracy", "estimated_accuracy"].filter((name) => one.metrics[name]).map((name) => [`${one.version} ${METRICS[name]}`, one.metrics[name], name]));
  byId("accuracy-figure").hidden = !lines.length;
  if (!lines.length) return;
  chart(byId("accuracy"), `${lines.map(([name, m]) => `${name} ${percent(m.newest)}`).join(", ")}.`, (colour) => ({
    traces: lines.map(([name, m, kind], at) => ({ type: "scatter", mode: "lines", name: plain(name), x: times(m.time_ms), y: m.value, line: { color: colour(PALETTE[at % PALETTE.length]), dash: kind === "accuracy" ? "solid" : "dot" } })),
    layout: { height: 240, showlegend: true, xaxis: { type: "date", nticks: 8 }, yaxis: { tickformat: ".0%" } },
  }));
}

export function letters(found) {
  const totals = Object.entries(found.by_class).map(([reason, n]) => `${reason} ${count(n)}`);
  text(byId("letter-note"), totals.length ? `In the history: ${totals.join(", ")}.` : "No dead letter in the history.");
  show(byId("letter-list"), found.newest, () => found.newest.map((one) => element("li", {},
    element("p", {}, moment(one.time_ms), ` ${one.topic}/${one.partition}/${one.offset}, ${one.value_bytes === null ? "no value" : `${count(one.value_bytes)} bytes`}`),
    element("details", { "data-name": `${one.topic}/${one.partition}/${one.offset}` },
      element("summary", {}, (one.headers.find(([name]) => name === "__dlq.errors.message") ?? [])[1] ?? "Headers"),
      element("dl", { class: "headers" }, ...[...one.headers, ...(one.key === null ? [] : [["key", one.key]]), ...(one.value === null ? [] : [["value", one.value]])]
        .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value ?? "null"))))))));
}
