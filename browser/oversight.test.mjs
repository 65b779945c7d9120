// Emergency access and the privacy officer's pages: with and without script,
// clean by axe, and nobody's name where none belongs.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { axe, atWork, chart, close, find, noSecrets, page, shot, signIn } from "./lib.mjs";

after(close);
const clean = async (p, name) => assert.deepEqual(await axe(p), [], name);

async function officer(p) {
	await signIn(p, "privacy-officer");
	await Promise.all([p.waitForURL("**/officer"), p.click(".choices button")]);
}

test("a chart is opened in an emergency, says so on every page, and is closed; an officer closes the alert", async () => {
	const p = await page({ javaScriptEnabled: true });
	const base = await chart(p);
	await noSecrets(p);
	await Promise.all([p.waitForURL("**/glass"), p.click(".banner .glass a")]);
	await clean(p, "the form");
	await shot(p, "20-emergency-access");
	await p.check("input[value=emergency]");
	await p.fill("#words", "Found unconscious on the ward");
	await Promise.all([p.waitForURL("**" + base), p.click(".find .button")]);
	await p.goto(base + "/results");
	assert.match(await p.textContent(".banner"), /Emergency access to this chart until \d\d:\d\d/);
	assert.match(await p.content(), /HIV/i, "nothing more is shown");
	await clean(p, "an open chart");
	await shot(p, "21-emergency-open");
	// Another patient's chart, and another person's pages, are as they were.
	const other = await page();
	await chart(other, "nurse").catch(async () => {});
	await noSecrets(other);
	await other.context().close();
	await Promise.all([p.waitForURL("**" + base), p.click("form.glass button")]);
	await p.goto(base + "/results");
	await noSecrets(p);
	p.clean();
	await p.context().close();

	for (const javaScriptEnabled of [false, true]) {
		const o = await page({ javaScriptEnabled });
		await officer(o);
		assert.doesNotMatch(await o.textContent("main"), /AYAN/i, "the alert names the patient");
		if (javaScriptEnabled) {
			await clean(o, "alerts");
			await shot(o, "22-alerts");
			await o.fill("section textarea", "Spoke with her, all in order");
			await Promise.all([o.waitForURL("**/officer"), o.click("section .button")]);
			assert.match(await o.textContent("main"), /Spoke with her/);
		}
		await o.goto("/officer/policy");
		await o.selectOption("#as", "provider nurse");
		await o.fill("#patient", "9000000000");
		await o.click(".filter button");
		await o.waitForSelector("table");
		assert.match(await o.textContent("main"), /withheld/);
		if (javaScriptEnabled) await clean(o, "the policy");
		if (javaScriptEnabled) await shot(o, "23-policy");
		await o.goto("/officer/log");
		await o.fill("#patient", "9000000000");
		await o.click(".filter button");
		await o.waitForSelector("table");
		assert.match(await o.textContent("main"), /break-glass/);
		if (javaScriptEnabled) await clean(o, "the log");
		if (javaScriptEnabled) await shot(o, "24-log");
		await o.goto("/officer/looked");
		await o.fill("#patient", "9000000000");
		await o.click(".filter button");
		await o.waitForSelector("table");
		assert.match(await o.textContent("main"), /summary/);
		assert.doesNotMatch(await o.textContent("main"), /glass|emergency:/i, "the list tells of emergency access");
		if (javaScriptEnabled) await clean(o, "who looked");
		if (javaScriptEnabled) await shot(o, "26-looked");
		await o.goto("/officer/codes");
		if (javaScriptEnabled) await clean(o, "local codes");
		if (javaScriptEnabled) await shot(o, "25-codes");
		o.clean();
		await o.context().close();
	}
});

test("an officer writes down that a patient was told, and sees what waits for its review", async () => {
	for (const javaScriptEnabled of [true, false]) {
		const o = await page({ javaScriptEnabled });
		await officer(o);
		await o.goto("/officer/waiting");
		const result = `tr.form input[name=ref][value="${await o.getAttribute("tr.form input[name=ref]", "value")}"]`;
		assert.match(await o.textContent("tbody th"), /^GH\d{7}$/, "the hospital's number of a patient");
		assert.doesNotMatch(await o.textContent("main"), /AYAN|immunodeficiency|reactive/i, "a name or a value");
		await o.click("tr.form summary");
		await o.fill("tr.form input[name=by]", "Dr Haddad");
		await o.fill("tr.form input[name=on]", new Date().toLocaleDateString("en-CA", { timeZone: "America/Vancouver" })); // the facility's day
		await o.selectOption("tr.form select", "telephone");
		await o.fill("tr.form textarea", "Understood, comes on Monday.");
		if (javaScriptEnabled) {
			await clean(o, "what patients were not told");
			await shot(o, "27-waiting");
			await o.setViewportSize({ width: 390, height: 844 });
			await clean(o, "the same on a telephone");
			await shot(o, "28-waiting-phone");
			await o.emulateMedia({ colorScheme: "dark" });
			await clean(o, "the same in the dark");
			await shot(o, "29-waiting-dark");
			await o.setViewportSize({ width: 1280, height: 860 });
		}
		await Promise.all([o.waitForResponse((r) => r.request().method() === "POST" && r.status() === 303), o.click("tr.form .button")]);
		await o.waitForSelector("h1");
		assert.equal(await o.locator(result).count(), 0, "what was told is still on the list");
		await o.goto("/officer/waiting?list=overdue");
		if (javaScriptEnabled) await clean(o, "what waits for its review");
		if (javaScriptEnabled) await shot(o, "30-overdue");
		o.clean();
		await o.context().close();
	}
	const p = await page();
	await chart(p);
	await noSecrets(p);
	await p.context().close();
});

test("nobody else oversees", async () => {
	const p = await page();
	await atWork(p);
	for (const path of ["/officer", "/officer/policy", "/officer/waiting", "/officer/log", "/officer/looked", "/officer/codes"]) {
		const answer = await p.goto(path);
		assert.equal(answer.status(), 403, path);
	}
	await find(p);
	await p.context().close();
});
