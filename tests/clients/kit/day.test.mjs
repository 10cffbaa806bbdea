// A day with fhir-kit-client, the client of Vermonster for JavaScript.
// https://github.com/Vermonster/fhir-kit-client
//
//     HIPWAY_BASE=http://127.0.0.1:8000/fhir HIPWAY_PLAN=<id of a CarePlan> node --test day.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.env.HIPWAY_BASE });
const plan = process.env.HIPWAY_PLAN;

const WHO = 'kit';
const MRN = 'https://hospital.example.org/mrn';
const FACTS = 7;
const PAGE = 3;

const person = (who, more = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: MRN, value: who }],
  name: [{ family: who, given: ['Ada'] }],
  ...more,
});
const fact = (n) => ({
  resourceType: 'Observation',
  id: `${WHO}-${n}`,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '72514-3' }] },
  subject: { reference: `Patient/${WHO}` },
  effectiveDateTime: '2026-01-05T08:40:00Z',
  valueInteger: n,
});
const put = (resource) => ({
  resource,
  request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
});
const visit = {
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [put({ ...person(`${WHO}-visit`), id: WHO }), ...Array.from({ length: FACTS }, (_, n) => put(fact(n)))],
};
const stored = client.transaction({ body: visit });
const create = (body, headers = {}) => client.create({ resourceType: 'Patient', body, options: { headers } });
const answer = (found) => Client.httpFor(found).response;
const refusal = async (asked) => {
  try {
    await asked;
  } catch (error) {
    return error.response;
  }
  return assert.fail('it was not refused');
};

test('the capability statement is read, also where others look for authorization first', async () => {
  const found = await client.capabilityStatement();

  assert.equal(found.fhirVersion, '4.0.1');
  assert.deepEqual(await client.smartAuthMetadata(), {});
});

test('a resource is created, changed, read in each version and deleted', async () => {
  const made = await create(person(`${WHO}-life`));
  assert.equal(answer(made).status, 201);
  const one = { resourceType: 'Patient', id: made.id };

  const changed = await client.update({ ...one, body: { ...made, active: true } });
  assert.equal(answer(changed).headers.get('etag'), 'W/"2"');
  assert.equal((await client.read(one)).active, true);
  assert.equal((await client.vread({ ...one, version: '1' })).active, undefined);
  assert.equal((await client.history(one)).total, 2);
  assert.ok((await client.history({ resourceType: 'Patient' })).entry.length > 1);
  assert.ok((await client.history()).entry.length > 1);

  assert.equal(answer(await client.delete(one)).status, 204);
  const gone = await refusal(client.read(one));
  assert.deepEqual([gone.status, gone.data.issue[0].code], [410, 'deleted']);
});

test('a condition creates once and updates the same', async () => {
  const who = `${WHO}-once`;
  const condition = { 'If-None-Exist': `identifier=${MRN}|${who}` };
  const [first, second] = [await create(person(who), condition), await create(person(who), condition)];
  assert.deepEqual([answer(first).status, answer(second).status], [201, 200]);
  assert.equal(first.id, second.id);

  const searchParams = { identifier: `${MRN}|${who}` };
  const body = person(who, { active: true });
  const changed = await client.update({ resourceType: 'Patient', searchParams, body });
  assert.deepEqual([changed.id, changed.active], [first.id, true]);
});

test('an update of an old version is refused', async () => {
  const made = await create(person(`${WHO}-lost`));
  const options = { headers: { 'If-Match': 'W/"1"' } };
  const update = (active) =>
    client.update({ resourceType: 'Patient', id: made.id, body: { ...made, active }, options });

  await update(true);
  const refused = await refusal(update(false));

  assert.deepEqual([refused.status, refused.data.issue[0].code], [412, 'conflict']);
});

test('a JSON Patch is carried out', async () => {
  await stored;
  const jsonPatch = [{ op: 'replace', path: '/valueInteger', value: 9 }];

  const changed = await client.patch({ resourceType: 'Observation', id: `${WHO}-0`, jsonPatch });

  assert.deepEqual([changed.valueInteger, changed.meta.versionId], [9, '2']);
});

test('searches chain, include and page, by GET and by POST', async () => {
  await stored;
  const searchParams = { 'subject:Patient.family': `${WHO}-visit`, _count: PAGE };
  for (const options of [{}, { postSearch: true }]) {
    const found = new Set();
    let bundle = await client.search({ resourceType: 'Observation', searchParams, options });
    while (bundle) {
      bundle.entry.forEach((each) => found.add(each.resource.id));
      bundle = await client.nextPage({ bundle });
    }
    assert.equal(found.size, FACTS);
  }

  const along = { 'code': 'http://loinc.org|72514-3', subject: `Patient/${WHO}`, _include: 'Observation:patient' };
  const bundle = await client.search({ resourceType: 'Observation', searchParams: along });
  const modes = bundle.entry.map((each) => each.search.mode);
  assert.equal(modes.filter((mode) => mode === 'include').length, 1);
  const reference = bundle.entry[0].resource.subject.reference;
  assert.equal((await client.resolve({ reference })).id, WHO);
});

test('the compartment of a patient is searched by GET and by POST', async () => {
  await stored;
  const asked = { resourceType: 'Observation', compartment: { resourceType: 'Patient', id: WHO } };

  for (const options of [{}, { postSearch: true }]) {
    assert.equal((await client.search({ ...asked, searchParams: { status: 'final' }, options })).total, FACTS);
  }
});

test('a transaction is stored once and a batch entry by entry', async () => {
  const locations = (bundle) => bundle.entry.map((each) => each.response.location.split('/_history')[0]);
  assert.deepEqual(locations(await client.transaction({ body: visit })), locations(await stored));

  const bad = put({ ...person(WHO), id: `${WHO}-bad`, gender: 'm' });
  const good = put({ ...person(WHO), id: `${WHO}-good` });
  const answers = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry: [good, bad] } });
  assert.deepEqual(answers.entry.map((each) => each.response.status.slice(0, 3)), ['201', '422']);
  assert.equal(answers.entry[1].response.outcome.issue[0].code, 'code-invalid');
});

test('operations answer, by POST without a body and by GET', async () => {
  await stored;
  for (const method of ['GET', 'POST']) {
    const record = await client.operation({ name: 'everything', resourceType: 'Patient', id: WHO, method });
    assert.equal(record.total, FACTS + 1);
    const why = await client.operation({ name: 'why', resourceType: 'CarePlan', id: plan, method });
    assert.ok(why.parameter.some((each) => each.name === 'way'));
  }
  const input = person(WHO, { gender: 'm' });
  const outcome = await client.operation({ name: 'validate', resourceType: 'Patient', input });
  assert.equal(outcome.issue[0].code, 'code-invalid');
});

test('a refusal is an OperationOutcome', async () => {
  const refused = await refusal(create(person(WHO, { gender: 'm' })));
  assert.deepEqual([refused.status, refused.data.issue[0].expression], [422, ['Patient.gender']]);

  const missing = await refusal(client.read({ resourceType: 'Patient', id: 'nobody' }));
  assert.deepEqual([missing.status, missing.data.resourceType], [404, 'OperationOutcome']);

  const everywhere = await refusal(client.search({ searchParams: { _id: WHO } }));
  assert.deepEqual([everywhere.status, everywhere.data.resourceType], [405, 'OperationOutcome']);
});
