// The page of a served model. Data becomes text only (textContent): nothing of it is read as markup.
"use strict";

const byId = (id) => document.getElementById(id);
let token = null;
let card = null;

// A JSON literal as it was typed: a number of JavaScript would cut whole numbers beyond 2^53.
class Literal {
  constructor(text) { this.text = text; }
}

function written(value) {
  if (value instanceof Literal) return value.text;
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const parts = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${written(one)}`);
    return `{${parts.join(", ")}}`;
  }
  return JSON.stringify(value);
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function notify(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

async function ask(path, options = {}) {
  const headers = { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  if (answer.status === 401) {
    byId("token-form").hidden = false;
    byId("token").focus();
    throw new Error(token ? "The token is not accepted." : "A token is needed.");
  }
  return answer;
}

// ---- what the model is

async function load() {
  try {
    const answer = await ask("v1/model");
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    card = found;
    // Two features may read one field.
    card.inputs = card.features.filter((one, at) => card.features.findIndex((other) => other.source === one.source) === at);
  } catch (error) {
    notify(error.message);
    return;
  }
  notify("");
  byId("token-form").hidden = true;
  document.title = `${card.name} ${card.version}`;
  byId("kind").textContent = `A ${card.output.kind}, served by ${card.server}`;
  byId("name").textContent = card.name;
  byId("version").textContent = card.version;
  byId("version").hidden = false;
  byId("digest").textContent = card.digest;
  showFields();
  showSamples();
  showFeatures();
  showAbout();
  byId("model").hidden = false;
}

// The policy of a feature for null, in words.
const NULLS = { reject: "refused", pass: "taken", impute: "imputed" };

const range = (feature) => {
  if (feature.choices) return feature.choices.join(", ");
  if (feature.logical || feature.minimum === null || feature.maximum === null) return "";
  return `${shown(feature.minimum)} to ${shown(feature.maximum)}`;
};

function shown(number) {
  return Number(Number(number).toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6, useGrouping: Math.abs(number) >= 1e5 });
}

function showFeatures() {
  byId("features").replaceChildren(...card.features.map((feature) => {
    const row = element("tr");
    const type = feature.logical ? `${feature.type} (${feature.logical})` : feature.type;
    const nulls = feature.nullable ? NULLS[feature.missing] : "none";
    row.append(element("td", feature.name), element("td"), element("td", type), element("td", range(feature)), element("td", nulls));
    row.children[1].append(element("code", feature.source));
    return row;
  }));
}

function showAbout() {
  const libraries = Object.entries(card.libraries).map(([name, version]) => `${name} ${version}`).join(", ");
  const output = [card.output.kind, card.output.classes.length ? `classes ${card.output.classes.join(", ")}` : ""];
  const facts = {
    Answers: output.filter(Boolean).join("; "),
    Score: card.output.score,
    Threshold: card.output.threshold,
    Values: card.output.values.join(", "),
    Events: card.event,
    "Serves since": card.serving_since,
    "Made with": `Python ${card.python}, ${libraries}`,
    Model: `${card.format}, run by ${card.runtime}`,
  };
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "");
  byId("about").replaceChildren(...known.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

// ---- the form

const isWhole = (feature) => (feature.type === "int" || feature.type === "long") && !feature.logical;
const isNumber = (feature) => ["int", "long", "float", "double"].includes(feature.type) && !feature.logical;

function input(feature, id) {
  const choices = feature.type === "boolean" ? ["true", "false"] : feature.choices && !isNumber(feature) ? feature.choices : null;
  if (choices) {
    const select = element("select", null, { id });
    select.append(element("option", feature.nullable ? "(null)" : "", { value: "" }));
    // A class may be the empty text: options are told apart by place.
    choices.forEach((choice, at) => select.append(element("option", choice, { value: `${at}` })));
    return select;
  }
  const made = element("input", null, { id, type: "text", autocomplete: "off", spellcheck: "false" });
  if (isNumber(feature)) made.setAttribute("inputmode", isWhole(feature) && feature.minimum >= 0 ? "numeric" : "text");
  if (feature.hint) made.setAttribute("placeholder", feature.hint);
  return made;
}

function showFields() {
  byId("fields").replaceChildren(...card.inputs.map((feature, at) => {
    const id = `feature-${at}`;
    const field = element("div", null, { class: "field" });
    const says = [];
    if (feature.decimals !== null) says.push(`decimal, ${feature.decimals} digits after the point`);
    else if (feature.logical) says.push("ISO 8601");
    else if (isNumber(feature)) says.push(isWhole(feature) ? "whole number" : "number");
    if (!feature.choices && range(feature)) says.push(`in training ${range(feature)}`);
    if (feature.nullable) says.push(`empty is null, which is ${NULLS[feature.missing]}`);
    const control = input(feature, id);
    control.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
    field.append(
      element("label", feature.name, { for: id }),
      control,
      element("p", says.join("; "), { class: "hint", id: `${id}-hint` }),
      element("p", "", { class: "problem", id: `${id}-problem` }),
    );
    return field;
  }));
}

function showSamples() {
  byId("samples-bar").hidden = card.samples.length === 0;
  byId("samples").replaceChildren(...card.samples.map((sample, at) => {
    const button = element("button", `${at + 1}: ${summary(sample.answer)}`, { type: "button" });
    button.addEventListener("click", () => fill(sample));
    return button;
  }));
}

function fill(sample) {
  card.inputs.forEach((feature, at) => {
    const control = byId(`feature-${at}`);
    const text = sample.inputs[feature.source];
    if (control.tagName === "SELECT") {
      const options = feature.type === "boolean" ? ["true", "false"] : feature.choices;
      const place = text === null ? -1 : options.indexOf(text);
      control.value = place < 0 ? "" : `${place}`;
    } else {
      control.value = text === null ? "" : text;
    }
    setProblem(at, "");
  });
  byId("score").requestSubmit();
}

function setProblem(at, text) {
  byId(`feature-${at}-problem`).textContent = text;
  byId(`feature-${at}`).setAttribute("aria-invalid", text ? "true" : "false");
}

// The value of a feature for the event. Throws what is wrong with it.
function read(feature, at) {
  const control = byId(`feature-${at}`);
  const text = control.value;
  if (control.tagName === "SELECT") {
    if (text === "") return absent(feature);
    return feature.type === "boolean" ? text === "0" : feature.choices[Number(text)];
  }
  if (text.trim() === "" && (feature.nullable || feature.type !== "string")) return absent(feature);
  // A point in time may be a whole number of its unit too.
  if (feature.logical && /^[+-]?\d+$/.test(text.trim())) return new Literal(BigInt(text.trim().replace("+", "")).toString());
  if (!isNumber(feature) || feature.decimals !== null) return text;
  if (isWhole(feature)) {
    if (!/^[+-]?\d+$/.test(text.trim())) throw new Error("This is not a whole number.");
    return new Literal(BigInt(text.trim().replace("+", "")).toString());
  }
  const number = Number(text.trim().replace(",", "."));
  if (!Number.isFinite(number)) throw new Error("This is not a number.");
  return new Literal(Number.isInteger(number) && Math.abs(number) < 1e15 ? `${number}.0` : `${number}`);
}

function absent(feature) {
  if (feature.nullable) return null;
  throw new Error("A value is needed.");
}

function put(event, path, value) {
  const [first, ...rest] = path.split(".");
  if (!rest.length) event[first] = value;
  else if (event[first] !== null || value !== null) {
    if (event[first] === null) event[first] = {};
    put(event[first], rest.join("."), value);
  }
}

async function score(submitted) {
  submitted.preventDefault();
  const event = structuredClone(card.empty_event);
  let first = null;
  card.inputs.forEach((feature, at) => {
    try {
      put(event, feature.source, read(feature, at));
      setProblem(at, "");
    } catch (error) {
      setProblem(at, error.message);
      first ??= byId(`feature-${at}`);
    }
  });
  if (first) {
    first.focus();
    return;
  }
  const body = written(event);
  byId("request").textContent = `POST ${new URL("v1/predictions", location.href)}\n\n${body}`;
  const button = byId("score").querySelector("[type=submit]");
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await ask("v1/predictions", { method: "POST", body, headers: { "content-type": "application/json" } });
    showAnswer(await answer.json());
  } catch (error) {
    showAnswer({ error: error.message });
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// ---- the answer

function summary(answer) {
  if (answer.error) return "refused";
  if (answer.label !== null) return answer.score === null ? answer.label : `${answer.label} (${shown(answer.score)})`;
  if (answer.value !== null) return shown(answer.value);
  return Object.values(answer.values ?? {}).map(shown).join(", ");
}

function showAnswer(answer) {
  const place = byId("answer");
  place.classList.toggle("failed", Boolean(answer.error));
  if (answer.error) {
    const error = answer.error;
    const parts = [element("p", "Refused", { class: "result" })];
    parts.push(element("p", typeof error === "string" ? error : error.message));
    if (error.stage) parts.push(element("p", `${error.class}, at ${error.stage}`, { class: "hint" }));
    place.replaceChildren(...parts);
    place.scrollIntoView({ block: "nearest" });
    return;
  }
  const parts = [element("p", answer.label === null ? "value" : "label", { class: "hint" })];
  if (answer.label === null && answer.value === null) parts.pop();
  else parts.push(element("p", answer.label ?? shown(answer.value), { class: "result" }));
  if (answer.score !== null) parts.push(element("p", `score ${answer.score}`));
  if (answer.class_scores) parts.push(numbers(answer.class_scores, true));
  if (answer.values) parts.push(numbers(answer.values, false));
  parts.push(element("p", `${answer.model_name} ${answer.model_version}`, { class: "hint" }));
  place.replaceChildren(...parts);
  place.scrollIntoView({ block: "nearest" });
  if (answer.model_digest !== card.digest) load().then(() => notify(`Version ${card.version} serves now.`));
}

function numbers(named, bars) {
  const table = element("table", null, { class: "scores" });
  for (const [name, value] of Object.entries(named)) {
    const row = element("tr");
    row.append(element("td", name), element("td"), element("td", shown(value)));
    if (bars) row.children[1].append(element("meter", shown(value), { min: "0", max: "1", value: `${value}`, "aria-label": name }));
    table.append(row);
  }
  return table;
}

byId("token-form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  token = byId("token").value;
  load();
});
byId("score").addEventListener("submit", score);
byId("score").addEventListener("reset", () => card.inputs.forEach((_, at) => setProblem(at, "")));
load();
