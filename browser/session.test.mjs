// The end of a session, on a demo whose sessions end after 30 seconds unused:
// the strip then comes at 26.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { atWork, close, page, short, shot } from "./lib.mjs";

after(close);
const patient = { timeout: 60_000 };

test("the strip warns, one press stays, all pages agree, then nothing is left", async () => {
	const p = await page({ at: short });
	await atWork(p, "physician", short);
	const other = await p.context().newPage();
	await other.goto("/account");
	await p.waitForSelector("#strip:not([hidden])", patient);
	await other.waitForSelector("#strip:not([hidden])", patient);
	assert.match(await p.textContent("#strip p"), /^You will be signed out at \d\d:\d\d\.$/);
	assert.match(await p.title(), /^Signing out in 0:0\d$/);
	await shot(p, "13-time-out", false);
	await p.click("#stay");
	await p.waitForSelector("#strip", { state: "hidden" });
	await other.waitForSelector("#strip", { state: "hidden" }); // one press, on one page
	assert.equal(await p.title(), "Find a patient - Firebreak");
	await Promise.all([p.waitForURL("**/signed-out", patient), other.waitForURL("**/signed-out", patient)]);
	assert.match(await p.textContent("main"), /You are signed out/);
	await p.goto("/find");
	assert.ok(!(await p.locator("#number").count()), "the session still lives");
	await p.context().close();
});

test("use on one page keeps the session; looking at the clock does not", async () => {
	const p = await page({ at: short });
	await atWork(p, "physician", short);
	const asked = [];
	p.on("request", (r) => new URL(r.url()).pathname === "/session" && asked.push(r.method()));
	await p.mouse.move(10, 10);
	await p.mouse.move(200, 200);
	await p.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/session"), patient);
	assert.ok(await p.isHidden("#strip"));
	await p.waitForURL("**/signed-out", { timeout: 90_000 });
	assert.ok(asked.includes("GET"), "the page did not ask before it left");
	await p.context().close();
});

test("without a script the page leaves by itself", async () => {
	const p = await page({ at: short, javaScriptEnabled: false });
	await atWork(p, "physician", short);
	await p.waitForURL("**/signed-out", { timeout: 90_000 });
	assert.match(await p.textContent("main"), /You are signed out/);
	await p.context().close();
});
