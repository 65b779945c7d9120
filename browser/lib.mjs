// What the tests share: a browser, the demo's people, the way to a chart.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
export const artefacts = join(dirname(fileURLToPath(import.meta.url)), "..", ".build", "screenshots");
mkdirSync(artefacts, { recursive: true });

function read(name) {
	const file = process.env[name];
	assert.ok(file, `${name} must name the demo.json of a running demo; npm test starts one`);
	return JSON.parse(readFileSync(file, "utf8"));
}
export const demo = read("FIREBREAK_DEMO_JSON");
export const short = read("FIREBREAK_SHORT_JSON");

// Words that stand in AYAN's chart only inside what is withheld; see hospital.Secrets.
const secrets = /56888-1|CANARY|immunodeficiency|\bHIV\b|gonadotropin|\bhCG\b|carcinoma/i;

// launch starts a Chromium with more flags than usual.
export const launch = (...more) => chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...more],
});
let browser;
export async function open() {
	browser ??= await launch();
	return browser;
}
export const close = () => browser?.close();

// page gives a fresh browser window. Whatever it complains of, or asks of
// another host, fails the test that calls its check.
export async function page(options = {}) {
	const { at = demo, ...rest } = options;
	const context = await (await open()).newContext({ viewport: { width: 1280, height: 860 }, baseURL: at.base, ...rest });
	const p = await context.newPage();
	p.setDefaultTimeout(15_000);
	p.complaints = [];
	p.asked = [];
	context.on("page", (other) => other !== p && p.complaints.push("a new window was opened"));
	p.on("console", (m) => ["error", "warning"].includes(m.type()) && !/status of 4\d\d/.test(m.text()) && p.complaints.push(m.text()));
	p.on("pageerror", (e) => p.complaints.push(String(e)));
	p.on("request", (r) => {
		p.asked.push(r.url());
		const url = new URL(r.url());
		if (!["data:", "blob:", "chrome:", "chrome-extension:", "about:"].includes(url.protocol) && url.origin !== at.base) p.complaints.push(`asked ${url.origin}`);
	});
	p.clean = () => assert.deepEqual(p.complaints, []);
	return p;
}

export const person = (role, at = demo) => {
	const found = at.people.find((x) => x.role === role);
	assert.ok(found, `the demo has no ${role}`);
	return found;
};

// signIn goes from the front page to the choice of a worksite.
export async function signIn(p, role = "physician", at = demo) {
	const who = person(role, at);
	await p.goto("/");
	await p.click("main a.button");
	await p.fill("input[name=username]", who.username);
	await p.fill("input[type=password]", who.password);
	await Promise.all([p.waitForURL("**/worksite"), p.keyboard.press("Enter")]);
	return who;
}

// atWork is signed in, with the worksite chosen.
export async function atWork(p, role = "physician", at = demo) {
	const who = await signIn(p, role, at);
	await Promise.all([p.waitForURL("**/find"), p.click(`.choices button:has-text("${who.worksite}")`)]);
	return who;
}

export async function find(p, number = "9000000000") {
	await p.goto("/find");
	await p.fill("#number", number);
	await Promise.all([p.waitForURL("**/find?n=*"), p.click(".find .button")]);
}

// chart opens AYAN's chart and gives its address.
export async function chart(p, role = "physician") {
	await atWork(p, role);
	await find(p);
	await Promise.all([p.waitForURL("**/p/*"), p.click(".hits a")]);
	return new URL(p.url()).pathname;
}

// every page of a chart that has one address, and those one press further in.
export async function chartPages(p, base) {
	const all = ["", "/results", "/results?flagged=1", "/results?text=nothing-is-called-this", "/reports", "/documents", "/visits", "/appointments", "/medications", "/people", "/timeline", "/print", "/print?part=results"].map((x) => base + x);
	for (const [list, pick] of [["/results", ".grid th a"], ["/reports", "tbody th a"], ["/documents", "tbody th a"]]) {
		await p.goto(base + list);
		const links = await p.$$eval(pick, (as) => as.map((a) => a.getAttribute("href")));
		assert.ok(links.length > 0, `${list} is empty`);
		all.push(links[0], links[links.length - 1]);
	}
	return [...new Set(all)];
}
export const otherPages = ["/find", "/recent", "/account", "/worksite", "/help", "/status", "/nowhere"];
export const openPages = ["/", "/help", "/status", "/signed-out", "/nowhere"];

export const shot = (p, name, full = true) => p.screenshot({ path: join(artefacts, name + ".png"), fullPage: full });

// axe gives what axe finds on the page, one line to a finding. All rules are
// on, best practice too. It is put in by the test, not the page, so the page's
// policy stays as it is.
export async function axe(p) {
	await p.evaluate(axeSource);
	const found = await p.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
	return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary.replace(/\s+/g, " ")}`));
}

export async function noSecrets(p) {
	const said = await p.content();
	assert.doesNotMatch(said, secrets, `${p.url()} tells what is withheld`);
}

// slowly serves base again as a slow line would: each page in small pieces, a
// frame or more apart.
export async function slowly(base) {
	const { hostname } = new URL(base);
	const server = createServer(async (r, w) => {
		const answer = await fetch(base + r.url, { redirect: "manual", headers: { cookie: r.headers.cookie ?? "" } });
		const headers = Object.fromEntries(answer.headers);
		for (const h of ["content-encoding", "content-length", "transfer-encoding"]) delete headers[h];
		w.writeHead(answer.status, headers);
		const body = Buffer.from(await answer.arrayBuffer());
		const page = headers["content-type"]?.startsWith("text/html");
		for (let i = 0; i < body.length; i += 500) {
			w.write(body.subarray(i, i + 500));
			if (page) await pause(30);
		}
		w.end();
	});
	await new Promise((listening) => server.listen(0, hostname, listening));
	return { base: `http://${hostname}:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) };
}
