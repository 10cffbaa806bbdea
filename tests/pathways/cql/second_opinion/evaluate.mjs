// Evaluates ELM with cql-execution: node evaluate.mjs ANSWER < {"libraries": {...}, "helpers": {...}, "cases": [...]},
// writes of each case what it took, and each definition's value or error, types that JSON has not spelled out.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { performance } from "node:perf_hooks";

const require = createRequire(import.meta.url);
const cql = require("cql-execution");
const fhir = require("cql-exec-fhir");

const asked = JSON.parse(readFileSync(0, "utf8"));
const repository = new cql.Repository({ FHIRHelpers: asked.helpers });
const libraries = Object.fromEntries(
  Object.entries(asked.libraries).map(([name, elm]) => [name, new cql.Library(elm, repository)]),
);
const noCodes = new cql.CodeService({});

function given({ type, value }) {
  switch (type) {
    case "DateTime": return cql.DateTime.parse(value);
    case "Date": return cql.Date.parse(value);
    case "Quantity": return new cql.Quantity(Number(value.value), value.unit);
    case "Code": return new cql.Code(value.code, value.system, value.version, value.display);
    case "Decimal": return Number(value);
    case "List": return value.map(given);
    default: return value;
  }
}

function told(value) {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map(told);
  if (typeof value === "number") return { number: value };
  if (typeof value !== "object") return value;
  if (value.isDateTime || value.isDate) return { date: value.toString() };
  if (value.isQuantity) return { quantity: value.value, unit: value.unit ?? "1" };
  if (value.isCode) return { code: value.code, system: value.system ?? null };
  if (value.isConcept) return { concept: (value.codes ?? []).map(told) };
  if (value.isInterval) return { low: told(value.low), high: told(value.high), closed: [value.lowClosed, value.highClosed] };
  if (value.isUncertainty) return { from: told(value.low), to: told(value.high) };
  // A part of a record is compared by what it is read for, not by its own shape, which is each engine's.
  if (typeof value.getTypeInfo === "function") return { element: value.id?.value ?? null };
  return { tuple: Object.fromEntries(Object.entries(value).map(([name, part]) => [name, told(part)])) };
}

async function evaluated({ library, moment, resources, parameters }) {
  const values = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, given(value)]));
  const source = fhir.PatientSource.FHIRv401();
  source.loadBundles([{ resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) }]);
  const begun = performance.now();
  const context = new cql.PatientContext(
    libraries[library], source.currentPatient(), noCodes, values, cql.DateTime.parse(moment), undefined,
  );
  const found = {};
  // One by one, as its Executor does it, so that a definition that fails does not take the others with it.
  for (const [name, expression] of Object.entries(libraries[library].expressions)) {
    if (expression.context !== "Patient") continue;
    try {
      found[name] = { value: told(await expression.execute(context)) };
    } catch (error) {
      found[name] = { error: String(error.message ?? error).split("\n")[0] };
    }
  }
  return { ms: performance.now() - begun, values: found };
}

const answers = [];
for (const each of asked.cases) answers.push(await evaluated(each));
writeFileSync(process.argv[2], JSON.stringify(answers));
