// Shows /openapi.json as a page: what each operation takes and returns, and a form to try it.

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEEPEST = 5;

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function resolve(api, schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? { title: name, ...api.components.schemas[name] } : schema ?? {};
}

function variants(schema) {
  return schema.anyOf ?? schema.oneOf ?? null;
}

function typeOf(api, schema) {
  const found = resolve(api, schema);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = variants(found);
  if (choices) return [...new Set(choices.map((choice) => typeOf(api, choice)))].join(" | ");
  if (found.type === "array") return `list of ${typeOf(api, found.items)}`;
  if (found.properties) return found.title ?? "object";
  return found.format ?? found.type ?? "any";
}

function objectsIn(api, schema) {
  const found = resolve(api, schema);
  if (found.properties) return [found];
  if (found.type === "array") return objectsIn(api, found.items);
  return (variants(found) ?? []).flatMap((choice) => objectsIn(api, choice));
}

function fields(api, object, depth = 1) {
  const list = element("dl", { className: "fields" });
  for (const [name, schema] of Object.entries(object.properties ?? {})) {
    const required = object.required?.includes(name);
    list.append(element("dt", {},
      element("span", { className: "name", textContent: name }),
      element("span", { className: "type", textContent: typeOf(api, schema) }),
      required ? element("span", { className: "required", textContent: "required" }) : null));
    const says = schema.description ?? (schema.default !== undefined && schema.default !== null
      ? `Default ${JSON.stringify(schema.default)}` : null);
    if (says) list.append(element("dd", { textContent: says }));
    if (depth >= DEEPEST) continue;
    for (const inner of objectsIn(api, schema)) {
      const more = element("details", {}, element("summary", { textContent: inner.title ?? "object" }));
      more.addEventListener("toggle", () => {
        if (more.open && more.children.length === 1) more.append(fields(api, inner, depth + 1));
      });
      list.append(element("dd", {}, more));
    }
  }
  return list;
}

function shape(api, heading, schema) {
  if (!schema) return null;
  const section = element("section", {}, element("h3", { textContent: heading }),
    element("span", { className: "type", textContent: typeOf(api, schema) }));
  for (const object of objectsIn(api, schema)) section.append(fields(api, object));
  return section;
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function form(path, method, operation) {
  const inputs = operation.parameters.map((parameter) => {
    const input = element("input", { name: parameter.name, placeholder: parameter.in });
    return { parameter, input };
  });
  const body = operation.requestBody ? element("textarea", { value: "{\n  \n}", spellcheck: false }) : null;
  const answer = element("pre", { hidden: true });

  function request() {
    let url = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.append(parameter.name, input.value);
    }
    const headers = {};
    const password = document.getElementById("password").value;
    if (password) headers.Authorization = `Bearer ${password}`;
    if (body) headers["Content-Type"] = "application/json";
    return [query.size ? `${url}?${query}` : url, { method: method.toUpperCase(), headers, body: body?.value }];
  }

  async function send() {
    const [url, options] = request();
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const response = await fetch(url, options);
      const head = `${response.status} ${response.statusText}\n\n`;
      if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        answer.textContent = head;
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          answer.textContent += part.value;
        }
        return;
      }
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* plain text stays as it is */ }
      answer.textContent = head + shown;
    } catch (error) {
      answer.textContent = String(error);
    }
  }

  function copy() {
    const [url, options] = request();
    const parts = [`curl -X ${options.method} ${quote(location.origin + url)}`];
    for (const [name, value] of Object.entries(options.headers)) parts.push(`-H ${quote(`${name}: ${value}`)}`);
    if (options.body) parts.push(`-d ${quote(options.body)}`);
    answer.hidden = false;
    answer.textContent = parts.join(" \\\n  ");
  }

  return element("section", {}, element("h3", { textContent: "Try it" }),
    ...inputs.map(({ parameter, input }) => element("label", { className: "parameter" },
      element("span", { className: "name", textContent: parameter.name }), input)),
    body,
    element("p", {}, element("button", { textContent: "Send", onclick: send }),
      element("button", { textContent: "As curl", onclick: copy })),
    answer);
}

function operationPanel(api, path, method, operation) {
  const panel = element("details", { className: "operation", id: operation.operationId },
    element("summary", {},
      element("span", { className: "method", textContent: method.toUpperCase() }),
      element("span", { className: "path", textContent: path }),
      element("span", { className: "summary", textContent: operation.summary })));
  panel.dataset.words = `${method} ${path} ${operation.summary} ${operation.tags}`.toLowerCase();
  panel.addEventListener("toggle", () => {
    if (!panel.open || panel.children.length > 1) return;
    const good = Object.entries(operation.responses).find(([status]) => status.startsWith("2"))[1];
    panel.append(element("div", {},
      operation.description ? element("p", { textContent: operation.description }) : null,
      operation.parameters.length ? shape(api, "Parameters", {
        properties: Object.fromEntries(operation.parameters.map((each) => [each.name, each.schema])),
        required: operation.parameters.filter((each) => each.required).map((each) => each.name),
      }) : null,
      shape(api, "Body", operation.requestBody?.content["application/json"].schema),
      shape(api, "Answer", good.content?.["application/json"]?.schema),
      good.content?.["text/event-stream"] ? element("p", { textContent: "Or a stream of server-sent events." }) : null,
      form(path, method, operation)));
  });
  return panel;
}

function show(api) {
  document.getElementById("about").textContent = `${api.info.version} · ${api.info.description}`;
  const main = document.getElementById("operations");
  main.replaceChildren();
  for (const { name } of api.tags) {
    const section = element("section", { className: "tag" }, element("h2", { textContent: name }));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((each) => methods[each]?.tags.includes(name))) {
        section.append(operationPanel(api, path, method, methods[method]));
      }
    }
    main.append(section);
  }
  const wanted = location.hash && document.getElementById(location.hash.slice(1));
  if (wanted) wanted.open = true;
}

const search = document.getElementById("search");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const section of document.querySelectorAll("section.tag")) {
    const panels = [...section.querySelectorAll("details.operation")];
    for (const panel of panels) panel.hidden = !words.every((word) => panel.dataset.words.includes(word));
    section.hidden = panels.every((panel) => panel.hidden);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

const response = await fetch("/openapi.json");
show(await response.json());
