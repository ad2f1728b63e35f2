// Follows the server's events and gives each section its document. Nothing is asked of any other place.
import { begin, columns } from "./columns.js";
import { byId, text } from "./draw.js";
import { head, incidents, letters, metrics, spans, timeline, traffic, workers } from "./sections.js";

const SECTIONS = { head, workers, timeline, incidents, metrics, letters, columns, series: traffic };
let token = sessionStorage.getItem("token");

class Refused extends Error {}

async function get(path, accept = "application/json") {
  const headers = { accept, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { headers, cache: "no-store" });
  if (answer.status === 401) throw new Refused();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer;
}

function take(event) {
  const name = /^event: (\w+)$/m.exec(event)?.[1];
  const data = /^data: (.*)$/m.exec(event)?.[1];
  if (name in SECTIONS && data) SECTIONS[name](JSON.parse(data));
}

// EventSource cannot send a token; this reads the same stream.
async function follow() {
  const answer = await get("v1/stream", "text/event-stream");
  byId("ask-token").hidden = true;
  text(byId("connection"), "Live");
  document.body.dataset.state = "live";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    events.forEach(take);
  }
}

function askForToken() {
  byId("ask-token").hidden = false;
  text(byId("connection"), "A token is needed");
  document.body.dataset.state = "token";
  text(byId("token-refused"), token ? "This token was refused." : "");
  token = null;
  sessionStorage.removeItem("token");
  return new Promise((resolve) => {
    byId("ask-token").addEventListener("submit", (event) => {
      event.preventDefault();
      token = byId("token").value.trim();
      sessionStorage.setItem("token", token);
      resolve();
    }, { once: true });
  });
}

async function run() {
  for (;;) {
    try {
      await follow();
    } catch (error) {
      if (error instanceof Refused) {
        await askForToken();
        continue;
      }
    }
    text(byId("connection"), "The dashboard does not answer: the figures below are old");
    document.body.dataset.state = "away";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

spans();
begin(async (path) => (await get(path)).json());
run();
