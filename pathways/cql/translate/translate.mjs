// Turns CQL texts into ELM: node translate.mjs ANSWER < {"texts": [...], "included": {name: text}, "locators": false},
// writes [{"elm": ...} | {"errors": [...]}].
//
// The answer goes to a file because the translator writes greetings of its own to standard output.
// Reading and writing files, hashes and phrases are the caller's (__init__.py): this file only translates.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

// The translator is CommonJS inside an ES module and asks for `require` when it first meets a date.
globalThis.require = createRequire(import.meta.url);
const cql = await import("@cqframework/cql/cql-to-elm");

const systemModel = readFileSync(new URL("system-modelinfo.xml", import.meta.url), "utf8");
const fhirModel = readFileSync(
  globalThis.require.resolve("cql-exec-fhir/lib/modelInfos/fhir-modelinfo-4.0.1.xml"),
  "utf8",
);

// The engine knows FHIRHelpers natively; the translator only needs to know what takes what to what.
// The model lists every conversion, so the library can be declared from it, with empty bodies.
function helpersDeclaration() {
  const conversions = [...fhirModel.matchAll(/<conversionInfo functionName="FHIRHelpers\.(\w+)" fromType="([^"]+)" toType="([^"]+)"/g)]
    .map(([, name, from, to]) => [name, from, to.replace("&lt;", "<").replace("&gt;", ">")]);
  conversions.push(["ToQuantityIgnoringComparator", "FHIR.Quantity", "System.Quantity"]);
  conversions.push(["ToInterval", "FHIR.Quantity", "Interval<System.Quantity>"]);
  const quoted = (type) => type.replace(/FHIR\.(.+)$/, (_, name) => `FHIR."${name}"`);
  const functions = conversions.map(([name, from, to]) => `define function ${name}(value ${quoted(from)}): null as ${to}`);
  return `library FHIRHelpers version '4.0.1'\nusing FHIR version '4.0.1'\n${functions.join("\n")}\n`;
}

const helpers = helpersDeclaration();

const models = new cql.ModelManager(undefined, false);
models.modelInfoLoader.registerModelInfoProvider(
  cql.createModelInfoProvider((id) => cql.stringAsSource(id === "System" ? systemModel : fhirModel)),
);

// Units are the engine's to judge: it refuses at load what its table lacks.
const units = cql.createUcumService((value) => value, () => null, (left) => left, (left) => left);

const wanted = JSON.parse(readFileSync(0, "utf8"));

function source(name) {
  const text = name === "FHIRHelpers" ? helpers : wanted.included[name];
  return text === undefined ? null : cql.stringAsSource(text);
}

function options() {
  const { Options } = cql.CqlCompilerOptions;
  const chosen = new cql.CqlCompilerOptions();
  // Strict: a list is never quietly taken for one element, nor one element for a list.
  chosen.setOptions([
    Options.EnableResultTypes,
    Options.DisableListDemotion,
    Options.DisableListPromotion,
    ...(wanted.locators ? [Options.EnableLocators] : []),
  ]);
  return chosen.withSignatureLevel(cql.LibraryBuilder.SignatureLevel.All);
}

function translate(text) {
  const libraries = new cql.LibraryManager(models, options(), undefined, units);
  libraries.librarySourceLoader.registerProvider(cql.createLibrarySourceProvider(source));
  try {
    const elm = JSON.parse(cql.CqlTranslator.fromText(text, libraries).toJson());
    const errors = (elm.library.annotation ?? [])
      .filter((note) => note.errorSeverity === "error")
      .map((note) => `line ${note.startLine}: ${note.message}`);
    return errors.length ? { errors } : { elm };
  } catch (error) {
    return { errors: [`the translator failed: ${error.message ?? error}`] };
  }
}

writeFileSync(process.argv[2], JSON.stringify(wanted.texts.map(translate)));
