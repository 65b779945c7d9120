// The operator's pages: what is held is found, mended and replayed in three
// presses, with and without script, on a desk and on a telephone.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, test } from "node:test";
import { atWork, axe, close, page, shot, short, signIn } from "./lib.mjs";

after(close);
const clean = async (p, name) => assert.deepEqual(await axe(p), [], name);

// tell sends one message by MLLP and resolves to the answer's code.
const tell = (id, type, pid) => new Promise((resolve, reject) => {
	const [host, port] = short.mllp.split(":");
	const s = connect(Number(port), host, () => s.write(`\x0bMSH|^~\\&|LAB|SFAC|GW|B|20260301120000||${type}|${id}|P|2.5.1\rPID|1||${pid}\r\x1c\r`));
	s.on("error", reject);
	s.on("data", (b) => { s.end(); resolve(/MSA\|(\w\w)/.exec(b)[1]); });
});

// atOps is an operator at the first page, who counts presses.
async function atOps(javaScriptEnabled) {
	const p = await page({ at: short, javaScriptEnabled, colorScheme: "light" });
	await signIn(p, "operator", short);
	await Promise.all([p.waitForURL("**/ops"), p.click(".choices button")]);
	p.presses = 0;
	p.press = async (what) => {
		p.presses++;
		await Promise.all([p.waitForEvent("framenavigated"), p.click(what)]);
		await p.waitForLoadState();
	};
	return p;
}

// look holds the page to what every page must be, in each of its forms, and takes
// its picture.
async function look(p, name) {
	await clean(p, name);
	await shot(p, name);
	await p.setViewportSize({ width: 390, height: 800 });
	await shot(p, name + "-390");
	assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name + " is wider than a telephone");
	await p.setViewportSize({ width: 1280, height: 860 });
	await p.emulateMedia({ colorScheme: "dark" });
	await clean(p, name + ", dark");
	await shot(p, name + "-dark");
	await p.emulateMedia({ colorScheme: "light" });
}

// seeHeld waits until the first page tells of something held.
async function seeHeld(p) {
	for (let i = 0; i < 50 && !(await p.$(".list a[href$=held]")); i++) await p.goto("/ops");
}

for (const script of [false, true]) {
	test(`found, mended and replayed in three presses, script ${script}`, async () => {
		assert.equal(await tell("ops-" + script, "ADT^A08", "^^^SIMULATOR MRN^MRN||Testfall^Anna||19700101|F"), "AA");
		const p = await atOps(script);
		const maybe = script ? (name) => look(p, name) : async () => {};
		await seeHeld(p);
		await maybe("40-ops-feeds");
		await p.press(".list a[href$=held]");
		await maybe("41-ops-held");
		await p.press(`tr:has-text("ops-${script}") button`);
		assert.match(await p.textContent("main"), /Testfall/);
		await maybe("43-ops-in-clear");
		await p.fill("#copy", (await p.inputValue("#copy")).replace("||^^^", `||77000${Number(script)}^^^`));
		await p.press("form:has(#copy) button");
		assert.match(await p.textContent(".facts"), /applied/);
		assert.equal(p.presses, 3);
		assert.match(await p.textContent("main"), /Patient\//);
		assert.match(await p.textContent("tr:has-text('birthDate')"), /9999-99-99.*PID-7/, "a value is not traced, or not masked");
		await maybe("44-ops-copy");
		await p.press("button[name=why][value=sender]");
		assert.match(await p.textContent("tr:has-text('birthDate')"), /1970-01-01/, "a value is masked though the text is not");
		await p.press(".facts a");
		assert.match(await p.textContent(".facts"), /superseded/);
		p.clean();
		await p.context().close();
	});
}

test("a message is masked, and held again while its cause is not mended", async () => {
	assert.equal(await tell("ops-again", "ADT^A08", "^^^SIMULATOR MRN^MRN||Testfall^Anna||19700101|F"), "AA");
	const p = await atOps(true);
	await seeHeld(p);
	await p.press(".list a[href$=held]");
	await p.press(`tr:has-text("ops-again") th a`);
	await look(p, "42-ops-message");
	assert.doesNotMatch(await p.content(), /Testfall|Anna/, "the message is not masked");
	await p.press("form[action$=replay] button");
	assert.match(await p.textContent(".facts"), /held/);
	assert.equal(p.presses, 3);
	await p.goto("/ops");
	await p.press(".list a[href$=held]");
	await p.press("form[action='/ops/replay'] button >> nth=0");
	assert.match(await p.textContent("main"), /ops-again/, "replayed with others for the same reason, it is not held again");
	p.clean();
	await p.context().close();
});

test("what can never be applied is set aside with a reason, found, and taken back", async () => {
	assert.equal(await tell("ops-aside", "ADT^A08", "^^^SIMULATOR MRN^MRN||Testfall^Anna||19700101|F"), "AA");
	const p = await atOps(true);
	await seeHeld(p);
	await p.press(".list a[href$=held]");
	await p.press(`tr:has-text("ops-aside") th a`);
	await p.fill("#reason", "a test of the sender");
	await look(p, "53-ops-aside");
	await p.press("form[action$=aside] button");
	assert.match(await p.textContent(".facts"), /set aside.*a test of the sender/s);
	assert.equal(p.presses, 3);
	await look(p, "54-ops-set-aside");
	await p.goto("/ops/messages?state=held");
	assert.doesNotMatch(await p.textContent("main"), /ops-aside/);
	await p.selectOption("#state", "aside");
	await p.press("form.seek button");
	await p.press(`tr:has-text("ops-aside") th a`);
	await p.press("form[action$=back] button");
	assert.match(await p.textContent(".facts"), /held/);
	p.clean();
	await p.context().close();
});

test("an app that registered itself is let in, limited and stopped with a reason", async () => {
	const made = await fetch(short.base + "/oauth/register", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({
		client_name: "Bedside & Co", redirect_uris: ["https://bedside.test/back"], token_endpoint_auth_method: "none", scope: "launch/patient openid patient/*.rs", contacts: ["mail@bedside.test"] }) });
	assert.equal(made.status, 201);
	const id = (await made.json()).client_id;
	const p = await atOps(true);
	await p.press("nav a[href='/ops/clients']");
	assert.match(await p.textContent("main"), /Waiting for approval\s*Bedside & Co/);
	await look(p, "58-ops-clients");
	await p.fill("#reason-" + id, "known to us");
	await p.press("form:has(#reason-" + id + ") button[value=approve]");
	assert.match(await p.textContent("main"), /Nobody waits/);
	await p.fill("#api-" + id, "600");
	await p.press("form:has(#api-" + id + ") button");
	assert.match(await p.textContent("main"), /600 requests a minute/);
	await p.fill("#reason-" + id, "asks at night");
	await p.press("form:has(#reason-" + id + ") button[value=suspend]");
	assert.match(await p.textContent("main"), /Suspended.*asks at night/s);
	await shot(p, "59-ops-clients-suspended");
	await p.context().close();
});

test("what a system refused is found in the outbox, sent again, and dropped with a reason", async () => {
	const app = short.clients.find((c) => c.id === "demo-backend");
	const conf = await (await fetch(short.issuer + "/.well-known/openid-configuration")).json();
	const token = await (await fetch(conf.token_endpoint, { method: "POST", headers: { authorization: "Basic " + btoa(app.id + ":" + app.secret) },
		body: new URLSearchParams({ grant_type: "client_credentials", scope: app.scope }) })).json();
	const put = await fetch(short.fhir + "/Communication/ops-letter", { method: "PUT", headers: { authorization: "Bearer " + token.access_token, "content-type": "application/fhir+json" },
		body: JSON.stringify({ resourceType: "Communication", id: "ops-letter", meta: { tag: [{ system: "urn:firebreak:send", code: "clinic-ehr" }] }, status: "completed",
			subject: { reference: "Patient/zz", identifier: { system: "urn:mrn", value: "4711" } }, payload: [{ contentString: "Testfall calls back" }] }) });
	assert.equal(put.status, 201);
	const p = await atOps(true);
	for (let i = 0; i < 50 && !(await p.$(".list a[href$=refused]")); i++) await p.goto("/ops");
	await p.press(".list a[href$=refused]");
	assert.match(await p.textContent("table"), /Clinic EHR.*Communication.*refused.*patient/s);
	await look(p, "55-ops-outbox");
	await p.press("tbody th a");
	assert.doesNotMatch(await p.content(), /Testfall|4711/, "the letter is not masked");
	await look(p, "56-ops-letter");
	await p.press("button[name=why][value=fault]");
	assert.match(await p.textContent("main"), /Testfall calls back/);
	await shot(p, "57-ops-letter-clear");
	await p.fill("#reason", "the patient is known now");
	await p.press("button[value=retry]");
	for (let i = 0; i < 50 && !/Attempts\s*2/.test(await p.textContent(".facts")); i++) await p.goto(p.url());
	assert.match(await p.textContent(".facts"), /refused.*Attempts\s*2/s);
	await p.fill("#reason", "told by telephone");
	await p.press("button[value=drop]");
	assert.match(await p.textContent("main"), /dropped.*told by telephone/s);
	assert.equal(await p.$("form[action$=decide]"), null);
	p.clean();
	await p.context().close();
});

test("a doubtful identity is compared and decided in three presses", async () => {
	assert.equal(await tell("doubt-a", "ADT^A08", "880001^^^SIMULATOR MRN^MRN||Zweifel^Bea||19620202|F"), "AA");
	assert.equal(await tell("doubt-b", "ADT^A01", "880001^^^SIMULATOR MRN^MRN||Zweifel^Bea||19900909|F"), "AA");
	const p = await atOps(true);
	await seeHeld(p);
	await p.press(".list a[href$=held]");
	await p.press(`tr:has-text("doubt-b") button`);
	const asked = await p.textContent("table:has-text('Whose is it?')");
	assert.match(asked, /The message\s*Zweifel Bea\s*1990-09-09/);
	assert.match(asked, /Known for its number\s*Zweifel Bea\s*1962-02-02/);
	await look(p, "45-ops-doubt");
	await p.press("form[action$=same] button");
	assert.match(await p.textContent(".facts"), /applied/);
	assert.equal(p.presses, 3);
	p.clean();
	await p.context().close();
});

test("a probable duplicate is warned of on both charts, linked, undone and kept apart by pressing", async () => {
	const jane = "|Doppel^Jane||19710203|F|||1 Main St^^Town^BC^V6B 1A1||604-555-0199";
	assert.equal(await tell("twin-a", "ADT^A08", `990001^^^SIMULATOR MRN^MRN|${jane}`), "AA");
	assert.equal(await tell("twin-b", "ADT^A08", `990002^^^SIMULATOR MRN^MRN|${jane}`), "AA");
	const p = await page({ at: short, colorScheme: "light" });
	await atWork(p, "physician", short);
	const open = async (number) => {
		await p.goto("/find");
		if (!(await p.$("#number"))) await atWork(p, "physician", short); // signed out meanwhile
		await p.fill("#number", number);
		await Promise.all([p.waitForURL("**/find?n=*"), p.click(".find .button")]);
		await Promise.all([p.waitForURL("**/p/*"), p.click(".hits a")]);
		return (await p.textContent(".banner")).replace(/\s+/g, " ");
	};
	assert.match(await open("990001"), /Possible duplicate.*Open the other record/);
	await look(p, "46-double");
	await Promise.all([p.waitForEvent("framenavigated"), p.click(".banner >> text=Open the other record")]);
	assert.match(await p.textContent(".banner"), /990002/);
	assert.match(await p.textContent(".banner"), /Possible duplicate/);

	const o = await atOps(true);
	await o.press(".tabs a[href$=duplicates]");
	assert.match(await o.textContent("main"), /a number|the telephone number/);
	assert.doesNotMatch(await o.content(), /Doppel/, "the pair is not masked");
	await shot(o, "48-ops-duplicates");
	await o.press("button[name=why][value=safety]");
	assert.match(await o.textContent("main"), /Doppel/);
	await look(o, "49-ops-duplicates-clear");
	await o.press("button[value=same]");
	await shot(o, "50-ops-duplicates-linked");
	let said = await open("990001");
	assert.match(said, /Joined from 2 records/);
	assert.doesNotMatch(said, /Possible duplicate/);
	await o.press("button[value=undone]");
	assert.match(await open("990002"), /Possible duplicate/);
	await o.press("button[name=why][value=safety]");
	await o.press("button[value=different]");
	said = await open("990002");
	assert.doesNotMatch(said, /Possible duplicate|Joined/, "two people are still warned of");
	p.clean();
	o.clean();
	await p.context().close();
	await o.context().close();
});
