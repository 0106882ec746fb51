// Requests to the server that the page came from.

/** The browser cannot read a file, such as a folder that was dropped; the message is its name. */
export class UnreadableFile extends Error {}

async function request(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(`/page/api/${path}`, options);
  } catch {
    throw new Error("");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.error || `HTTP ${response.status}`);
  }
  return response;
}

export async function listModels() {
  return (await (await request("models")).json()).models;
}

/** Mentions of each text by one version of a model. */
export async function annotate(source, texts) {
  const body = {texts, model: source.model, version: source.version};
  const answer = await (await request("annotate", body)).json();
  return answer.entities.map((mentions) =>
    mentions.map(([start, end, label, score]) => ({start, end, label, score})));
}

export async function readFiles(files, options) {
  const contents = await Promise.all(Array.from(files, async (file) => ({
    name: file.name,
    content: await base64(file),
  })));
  return (await request("read", {files: contents, ...options})).json();
}

export async function writeRecords(documents, format) {
  return (await request("write", {documents, format})).blob();
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new UnreadableFile(file.name));
    reader.readAsDataURL(file);
  });
}
