// Other people's clients, as npm has them: fhirclient in Chromium, by the flows of
// SMART App Launch, against a gateway whose people sign in at oidc-provider; a
// second FHIR client, and a third that orders an export, with a backend's token.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { MedplumClient } from "@medplum/core";
import { Client } from "fhir-kit-client";
import { close, demo, launch, noSecrets, open, person, shot } from "./lib.mjs";
import { start } from "./house.mjs";

let house;
before(async () => {
	house = await start();
});
after(async () => {
	await close();
	await house?.stop();
});

const scope = "launch/patient openid fhirUser patient/Patient.r patient/Observation.rs";

// browser is a window of its own at the app, complaining of errors. Nothing
// leaves this machine: the provider's pages ask for a font of another host.
async function browser() {
	const context = await (await open()).newContext();
	await context.route((url) => url.hostname !== "127.0.0.1", (route) => route.abort());
	const p = await context.newPage();
	p.setDefaultTimeout(15_000);
	p.complaints = [];
	p.on("pageerror", (e) => p.complaints.push(String(e)));
	p.asked = [];
	p.on("request", (r) => p.asked.push(`${r.method()} ${new URL(r.url()).origin + new URL(r.url()).pathname}`));
	await p.goto(house.app + "/");
	return p;
}

// authorize has the app ask, by GET as fhirclient does, or by POST with what
// fhirclient made.
async function authorize(p, options, method = "GET") {
	await p.evaluate(
		async ([options, method]) => {
			if (method === "GET") return FHIR.oauth2.authorize(options);
			const url = new URL(await FHIR.oauth2.authorize({ ...options, noRedirect: true }));
			const form = document.createElement("form");
			form.method = "post";
			form.action = url.origin + url.pathname;
			for (const [name, value] of url.searchParams) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
			document.documentElement.append(form);
			form.submit();
		},
		[{ iss: house.iss, redirectUri: house.app + "/", scope, ...options }, method],
	);
}

// signsIn is at the provider, and says where they are.
async function signsIn(p) {
	await p.waitForURL(house.provider + "/**");
	await p.fill("input[name=login]", "a.moreau");
	await p.fill("input[name=password]", "any");
	await p.click("button[type=submit]");
	await p.click("button:has-text('Continue')");
	await p.waitForURL("**/worksite");
	await p.click(".choices button");
}

// answers signs in, says for whom, and answers.
async function answers(p, answer) {
	await signsIn(p);
	await p.waitForURL("**/apps/consent");
	await p.fill("#number", "G1001");
	await p.click(".find .button");
	await p.click(".choices button:has-text('Roe')");
	await p.waitForURL("**/apps/consent");
	assert.match(await p.textContent("main"), /ROE, Jane, Born 31-Jan-1970/);
	await p.click(`button[value=${answer}]`);
	await p.waitForURL(house.app + "/**");
}

// chart is what the app reads with the client that it has: the patient and all
// results, over all pages, one to a page.
const chart = (p) =>
	p.evaluate(async () => {
		globalThis.client ??= await FHIR.oauth2.ready();
		const patient = await client.patient.read();
		const results = await client.patient.request("Observation?_count=1", { pageLimit: 0, flat: true });
		return { patient: patient.name[0].family, results: results.map((r) => r.code.coding[0].code).sort(), user: client.getIdToken().fhirUser, who: await client.user.read(), token: client.state.tokenResponse };
	});

const refresh = (p) =>
	p.evaluate(async () => {
		await client.refresh();
		return client.state.tokenResponse;
	});

const seen = { patient: "Roe", results: ["2823-3", "2951-2"] }; // and not the HIV result

for (const [name, method, options] of [
	["a public app with PKCE", "GET", () => ({ clientId: "public", scope: scope + " offline_access" })],
	["a public app that asks by POST, with scopes of version 1", "POST", () => ({ clientId: "public", scope: "launch/patient openid fhirUser patient/*.read online_access" })],
	["a confidential app with a secret", "GET", () => ({ clientId: "symmetric", clientSecret: house.secret, scope: scope + " offline_access" })],
	["a confidential app with a key", "POST", () => ({ clientId: "asymmetric", clientPrivateJwk: house.key })],
]) {
	test(`${name} reads the chart, and what is withheld is not there`, async () => {
		const p = await browser();
		const asked = options();
		await authorize(p, asked, method);
		await answers(p, "allow");
		const { user, who, token, ...got } = await chart(p);
		assert.deepEqual(got, seen);
		assert.ok(user.startsWith(house.iss + "/Practitioner/"), user);
		assert.equal(house.iss + "/" + who.resourceType + "/" + who.id, user);
		assert.ok(p.asked.includes(`${method} ${house.base}/oauth/authorize`));
		if (/_access/.test(asked.scope ?? "")) {
			const next = await refresh(p);
			assert.notEqual(next.access_token, token.access_token);
			assert.notEqual(next.refresh_token, token.refresh_token);
			const again = await chart(p);
			assert.deepEqual({ patient: again.patient, results: again.results }, seen);
		}
		await p.reload(); // the app comes back with what it keeps
		assert.deepEqual((await chart(p)).results, seen.results);
		assert.deepEqual(p.complaints, []);
		await p.context().close();
	});
}

test("an app that is not let in is told so; signing out ends at the provider too", async () => {
	const p = await browser();
	await authorize(p, { clientId: "public" });
	await answers(p, "deny");
	assert.match(await p.evaluate(() => FHIR.oauth2.ready().catch((e) => e.message)), /^access_denied/);
	await p.goto(house.base + "/account");
	await p.click("button[data-key='q q']");
	await p.click("button:has-text('Yes, sign me out')"); // the provider asks
	await p.waitForURL(house.base + "/signed-out*");
	await p.context().close();
});

test("one press on a chart opens an app with the patient and the visit; a launch that counts no more is told in words", async () => {
	const p = await browser();
	await p.goto(house.base + "/");
	await p.click("main a.button");
	await signsIn(p);
	await p.waitForURL("**/find");
	await p.fill("#number", "G1001");
	await p.click(".find .button");
	await p.click(".hits a");
	await p.click("nav a:has-text('Apps')");
	const [launched] = await Promise.all([p.waitForRequest(house.app + "/launch?*"), p.click(".choices button:has-text('Launched App')")]);
	await p.waitForURL("**/apps/consent");
	assert.match(await p.textContent("main"), /Launched App[^]*ROE, Jane, Born 31-Jan-1970/);
	await p.click("button[value=allow]");
	const told = p.locator("main:not(:empty)");
	await p.waitForURL(house.app + "/launched*");
	assert.equal(await told.textContent(), "Jane Roe, in-progress");
	for (const address of [launched.url(), `${house.app}/launch?iss=${encodeURIComponent(house.iss)}&launch=nobody-began-this-one`]) {
		await p.goto(address);
		await p.waitForURL(house.app + "/launched*");
		assert.match(await told.textContent(), /used already, or is older than five minutes. Open the app again from the chart./);
	}
	assert.deepEqual(p.complaints, []);
	await p.context().close();
});

const lines = (ndjson) => ndjson.trim().split("\n").map((line) => JSON.parse(line));
const codes = (all) => all.map((r) => r.code.coding[0].code).sort();

test("an independent client orders an export, and what is withheld is in no file", async () => {
	const client = new MedplumClient({ baseUrl: house.base + "/", fhirUrlPath: "fhir", accessToken: await house.service() });
	const done = await client.bulkExport("", "Patient,Observation,Encounter", undefined, { pollStatusOnAccepted: true, pollStatusPeriod: 20 });
	assert.ok(done.requiresAccessToken);
	const files = Object.fromEntries(await Promise.all(done.output.map(async ({ type, url }) => [type, lines(await (await client.download(url)).text())])));
	assert.deepEqual(codes(files.Observation), seen.results);
	assert.equal(files.Patient[0].name[0].family, seen.patient);
	assert.equal(files.Encounter.length, 1);
});

test("another independent client finds the endpoints, searches by a chain and pages, and follows references", async () => {
	const client = new Client({ baseUrl: house.iss });
	const { authorizeUrl, tokenUrl } = await client.smartAuthMetadata();
	assert.deepEqual([authorizeUrl.href ?? authorizeUrl, tokenUrl.href ?? tokenUrl], [house.base + "/oauth/authorize", house.base + "/oauth/token"]);
	client.bearerToken = await house.service();
	const found = [];
	for (let page = await client.search({ resourceType: "Observation", searchParams: { "subject.family": "roe", _count: 1 } }); page; page = await client.nextPage({ bundle: page })) found.push(...page.entry.map((e) => e.resource));
	assert.deepEqual(codes(found), seen.results);
	const patient = await client.resolve({ reference: found[0].subject.reference });
	const within = await client.compartmentSearch({ resourceType: "Observation", compartment: { resourceType: "Patient", id: patient.id } });
	assert.equal(within.total, 2);
	const history = await client.resourceHistory({ resourceType: "Patient", id: patient.id });
	const { versionId } = history.entry[0].resource.meta;
	assert.deepEqual(await client.vread({ resourceType: "Patient", id: patient.id, version: versionId }), patient);
	await assert.rejects(client.read({ resourceType: "Patient", id: "nobody" }), (e) => e.response.status === 404);
});

// The app of docs/apps.md, at an address that the demo has for it. Only the
// port on this machine is another: 3000 may be taken.
test("the example app opens a chart of the demo", async (t) => {
	const serve = spawn(process.execPath, [fileURLToPath(new URL("../docs/example/app/serve.mjs", import.meta.url)), "0"], { stdio: ["ignore", "pipe", "inherit"] });
	t.after(() => serve.kill());
	const [line] = await once(createInterface(serve.stdout), "line");
	const own = await launch(`--host-resolver-rules=MAP localhost:3000 ${new URL(line).host}`);
	t.after(() => own.close());
	const p = await own.newPage();
	p.setDefaultTimeout(15_000);
	const complaints = [];
	p.on("console", (m) => ["error", "warning"].includes(m.type()) && complaints.push(m.text()));
	await p.goto(`http://localhost:3000/?iss=${demo.fhir}`);
	await p.click("text=Open a chart");
	const who = person("physician");
	await p.fill("input[name=username]", who.username);
	await p.fill("input[type=password]", who.password);
	await p.keyboard.press("Enter");
	await p.click(`.choices button:has-text("${who.worksite}")`);
	await p.fill("#number", "9000000000");
	await p.click(".find .button");
	await p.click(".choices button:has-text('AYAN')");
	await p.waitForSelector("button[value=allow]");
	await shot(p, "20-app-consent");
	await p.click("details summary");
	await shot(p, "20-app-consent-some");
	await p.click("button[value=allow]");
	await p.waitForSelector("main td");
	assert.equal(p.url(), "http://localhost:3000/");
	assert.match(await p.textContent("h2"), /Ayan, born 1971-02-03/);
	assert.ok((await p.locator("main tr").count()) > 5);
	await noSecrets(p);
	await shot(p, "21-example-app");
	assert.deepEqual(complaints, []);
});
