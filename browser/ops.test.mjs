// The operator's pages: a held message is found, replayed and corrected, with
// and without script, on a desk and on a telephone.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, test } from "node:test";
import { axe, close, page, shot, short, signIn } from "./lib.mjs";

after(close);
const clean = async (p, name) => assert.deepEqual(await axe(p), [], name);

// tell sends one message by MLLP and resolves to the answer's code.
const tell = (id) => new Promise((resolve, reject) => {
	const [host, port] = short.mllp.split(":");
	const s = connect(Number(port), host, () => s.write(`\x0bMSH|^~\\&|LAB|SFAC|GW|B|20260301120000||ADT^A08|${id}|P|2.5.1\rPID|1||^^^SIMULATOR MRN^MRN||Testfall^Anna||19700101|F\r\x1c\r`));
	s.on("error", reject);
	s.on("data", (b) => { s.end(); resolve(/MSA\|(\w\w)/.exec(b)[1]); });
});

for (const javaScriptEnabled of [false, true]) {
	test(`three presses from the feeds to a replay, script ${javaScriptEnabled}`, async () => {
		assert.equal(await tell("ops-" + javaScriptEnabled), "AA");
		const p = await page({ at: short, javaScriptEnabled, colorScheme: "light" });
		await signIn(p, "operator", short);
		await Promise.all([p.waitForURL("**/ops"), p.click(".choices button")]);
		for (let i = 0; i < 50 && !(await p.$(".list a[href$=held]")); i++) await p.goto("/ops");
		const look = async (name) => {
			if (!javaScriptEnabled) return;
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
		};
		await look("40-ops-feeds");
		await Promise.all([p.waitForURL("**/ops/messages?**"), p.click(".list a[href$=held]")]);
		await look("41-ops-held");
		await Promise.all([p.waitForURL(/\/ops\/messages\/\d+$/), p.click("th a")]);
		await look("42-ops-message");
		assert.doesNotMatch(await p.content(), /Testfall|Anna/, "the message is not masked");
		await Promise.all([p.waitForResponse((r) => r.request().method() === "POST"), p.click("form[action$=replay] button")]);
		await p.waitForURL(/\/ops\/messages\/\d+$/);
		assert.match(await p.textContent(".facts"), /held/, "without the cause mended it is held again");

		await p.click("button[name=why][value=fault]");
		assert.match(await p.textContent("main"), /Testfall/);
		await look("43-ops-in-clear");
		await p.fill("#copy", (await p.inputValue("#copy")).replace("||^^^", `||77000${Number(javaScriptEnabled)}^^^`));
		const held = p.url();
		await Promise.all([p.waitForURL((u) => /\/ops\/messages\/\d+$/.test(u) && String(u) !== held), p.click("form:has(#copy) button")]);
		assert.match(await p.textContent(".facts"), /applied/);
		assert.match(await p.textContent("main"), /Patient\//);
		assert.match(await p.textContent("tr:has-text('birthDate')"), /9999-99-99.*PID-7/, "a value is not traced, or not masked");
		await look("44-ops-copy");
		await p.click(".facts a");
		assert.match(await p.textContent(".facts"), /superseded/);
		p.clean();
		await p.context().close();
	});
}
