// Cohere's rerank by aimock, whose command line serves no results of ours: every query ranks the second document before the first.
// It prints one JSON line when it listens. E2E_NODE_MODULES: where npm installed it.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { E2E_NODE_MODULES } = process.env;
const found = createRequire(`${E2E_NODE_MODULES}/`).resolve("@copilotkit/aimock");
const { LLMock } = await import(pathToFileURL(found));

const mock = new LLMock({ port: 0, host: "127.0.0.1" });
mock.onRerank(/.*/, [
  { index: 1, relevance_score: 0.9375 },
  { index: 0, relevance_score: 0.125 },
]);
console.log(JSON.stringify({ listen: await mock.start() }));
