// A provider's day in Chromium, against a running demo.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { artefacts, atWork, axe, chart, chartPages, close, demo, find, noSecrets, openPages, otherPages, page, person, shot, signIn, slowly } from "./lib.mjs";

after(close);

test("from sign-in to trend and print, with few presses", async () => {
	const p = await page();
	await p.goto("/");
	await shot(p, "01-front");
	await p.click("main a.button");
	await shot(p, "02-provider");
	await signIn(p);
	await shot(p, "03-worksite");
	await Promise.all([p.waitForURL("**/find"), p.click(".choices button")]);
	await shot(p, "04-find");
	await p.fill("#family", "Ayan");
	await p.fill("#born", "3 Feb 1971");
	await Promise.all([p.waitForURL("**/find?n=*"), p.click(".find .button")]); // the search; then, to the trend:
	assert.match(await p.textContent(".hits"), /AYAN, Test\s+Born 03-Feb-1971/);
	await shot(p, "05-found");
	await Promise.all([p.waitForURL("**/p/*"), p.click(".hits a")]); // one
	assert.match(await p.textContent(".banner"), /AYAN, Test\s+Born 03-Feb-1971 \(\d+ y\)\s+Female\s+PHN 9000000000/);
	await shot(p, "06-summary");
	const value = (await p.textContent(".tests tr:has(a:text-is('Potassium')) td.val b")).trim();
	await Promise.all([p.waitForURL("**/results/*"), p.click(".tests a:text-is('Potassium')")]); // two
	assert.equal((await p.textContent("tbody tr:first-child td.val b")).trim(), value, "summary and trend disagree");
	assert.ok(await p.isVisible(".chart .big svg"));
	await shot(p, "07-trend");
	await p.click("a:text-is('1 year')");
	await p.waitForURL("**?period=1y");
	await p.click(".tabs a:has-text('Results')");
	assert.ok((await p.locator(".grid .sp").count()) > 5, "the grid has no sparklines");
	await shot(p, "08-results");

	await p.click("label:has-text('Flagged only')");
	await p.click(".filter button");
	await p.waitForURL("**flagged=1**");
	assert.match(await p.textContent(".sentence"), /tests: flagged only\.\s+Clear filter\./);
	await p.goBack();
	assert.ok(!p.url().includes("flagged"), "Back does not undo a filter");
	await p.click(".tabs a:has-text('Print')");
	assert.match(await p.textContent(".origin"), /Printed by Dr .* \(Physician\), .*May not be complete\./);
	await shot(p, "09-print-view");
	await p.pdf({ path: join(artefacts, "10-paper.pdf"), preferCSSPageSize: true, format: "Letter" });
	p.clean();
	await p.context().close();
});

test("every page: axe finds nothing, in both themes, and nothing withheld is told", async () => {
	const p = await page();
	const found = [];
	const look = async (path, name) => {
		await p.goto(path);
		await noSecrets(p);
		for (const colorScheme of ["light", "dark"]) {
			await p.emulateMedia({ colorScheme });
			for (const f of await axe(p)) found.push(`${name ?? path} ${colorScheme}: ${f}`);
		}
	};
	for (const path of openPages) await look(path);
	const base = await chart(p);
	const pages = await chartPages(p, base);
	assert.ok(pages.length >= 18);
	for (const path of [...pages, ...otherPages]) await look(path, path.replace(base, "/p"));
	await find(p, "12345678");
	for (const f of await axe(p)) found.push(`no match: ${f}`);
	await p.goto("/find");
	await p.click(".find .button");
	for (const f of await axe(p)) found.push(`a wrong search: ${f}`);
	assert.deepEqual(found, []);
	p.clean();
	await p.context().close();
});

test("pictures of every page, light, dark and on a phone", async () => {
	for (const [name, options] of [["light", {}], ["dark", { colorScheme: "dark" }], ["phone", { viewport: { width: 320, height: 640 } }]]) {
		const p = await page(options);
		const base = await chart(p);
		for (const path of await chartPages(p, base)) {
			await p.goto(path);
			const words = path.replace(base, "chart").replace(/\/([a-z2-9]{16})$/, "-one").replace(/[^a-z0-9]+/g, "-");
			await shot(p, `${name}-${words}`);
		}
		p.clean();
		await p.context().close();
	}
});

test("from 320 to 1280 pixels wide nothing scrolls sideways but tables", async () => {
	const p = await page();
	const tooWide = [];
	const widths = [1280, 1200, 1199, 701, 320]; // around where the layout changes
	const look = async (path) => {
		await p.goto(path);
		for (const width of widths) {
			await p.setViewportSize({ width, height: 640 });
			const drawn = await p.evaluate(() => document.documentElement.scrollWidth);
			if (drawn > width) tooWide.push(`${path} at ${width}: ${drawn}`);
		}
	};
	for (const path of openPages) await look(path);
	const base = await chart(p);
	for (const path of [...(await chartPages(p, base)), ...otherPages]) await look(path);
	assert.deepEqual(tooWide, []);
	p.clean();
	await p.context().close();
});

test("text at 200 %: nothing is cut off sideways, and the page still fits", async () => {
	const p = await page({ viewport: { width: 1280, height: 860 } });
	const base = await chart(p);
	for (const path of ["", "/results", "/people", "/print"]) {
		await p.goto(base + path);
		await p.evaluate(() => { document.documentElement.style.fontSize = "30px"; });
		const width = await p.evaluate(() => [...document.body.children].filter((e) => e.tagName !== "MAIN").map((e) => e.scrollWidth).reduce((a, b) => Math.max(a, b), 0));
		assert.ok(width <= 1280, `${path}: ${width} wide`);
	}
	await p.context().close();
});

test("without a script: sign in, find, read, filter, print view, sign out", async () => {
	const p = await page({ javaScriptEnabled: false });
	const base = await chart(p);
	assert.match(await p.content(), /<noscript><meta http-equiv="refresh" content="\d+;url=\/signed-out"><\/noscript>/);
	assert.match(await p.locator(".later").evaluate((e) => getComputedStyle(e).animation), /780s/, "the warning does not come by itself");
	await p.click(".tabs a:has-text('Results')");
	await p.click(".grid th a");
	assert.ok(await p.isVisible(".chart svg"));
	await p.goBack();
	await p.selectOption("select[name=period]", "1y");
	await p.click(".filter button");
	assert.match(await p.textContent(".sentence"), /last year/);
	await p.click(".tabs a:has-text('Documents')");
	await p.click("tbody th a");
	await p.click(".tabs a:has-text('Print')");
	assert.match(await p.textContent(".origin"), /Printed by/);
	await p.goto(base);
	await p.click("button:has-text('Sign out')");
	await p.waitForURL("**/signed-out");
	assert.match(await p.textContent("main"), /You are signed out\. Anything you were writing is kept until you sign in again\./);
	await p.goto(base);
	assert.doesNotMatch(await p.content(), /AYAN/);
	await p.context().close();
});

test("with the keyboard alone", async () => {
	const p = await page();
	const focused = () => p.evaluate(() => document.activeElement.textContent.trim());
	const tabTo = async (words) => {
		for (let i = 0; i < 60; i++) {
			await p.keyboard.press("Tab");
			if ((await focused()).startsWith(words)) return;
		}
		assert.fail(`no way to ${words} by Tab`);
	};
	await p.goto("/");
	await tabTo("Sign in");
	await p.keyboard.press("Enter");
	const who = person("physician");
	await p.waitForSelector("input[name=username]");
	await p.focus("input[name=username]");
	await p.keyboard.type(who.username);
	await p.keyboard.press("Tab");
	await p.keyboard.type(who.password);
	await p.keyboard.press("Enter");
	await p.waitForURL("**/worksite");
	await tabTo(who.worksite);
	await p.keyboard.press("Enter");
	await p.waitForURL("**/find");
	await p.keyboard.press("/");
	await p.keyboard.type("9000000000");
	await p.keyboard.press("Enter");
	await p.waitForURL("**/find?n=*");
	await tabTo("AYAN");
	await p.keyboard.press("Enter");
	await p.waitForURL("**/p/*");
	const go = async (keys, url) => {
		for (const k of keys) await p.keyboard.press(k);
		await p.waitForURL(url);
	};
	await go("gr", "**/results");
	await tabTo("Potassium");
	await go("t", "**/results/*");
	assert.match(await p.textContent("h1"), /Potassium/);
	const first = p.url();
	await p.keyboard.press("]");
	await p.waitForFunction((u) => location.href !== u, first);
	await go("[", first);
	await go("gd", "**/documents");
	await go("gs", /\/p\/[^/]+$/);
	await go("t", "**/results/*");
	await go("p", "**/print**");
	await go("?", "**/help#keys");
	await p.goBack();
	await p.keyboard.press("h");
	assert.ok(await p.isVisible("#hidden"), "h does not hide the screen");
	await shot(p, "hidden-screen", false);
	assert.equal(await p.evaluate(() => document.querySelector("main").inert), true);
	await p.keyboard.press("h");
	assert.ok(!(await p.isVisible("#hidden")));
	await p.keyboard.press("/");
	await p.waitForURL("**/find");
	await p.focus("#family");
	await p.keyboard.type("grqq?h"); // keys are text in a field
	assert.equal(await p.inputValue("#family"), "grqq?h");
	await p.focus("main");
	await go("qq", "**/signed-out");
	p.clean();
	await p.context().close();
});

test("nothing sticky covers what has the focus", async () => {
	const p = await page({ viewport: { width: 1280, height: 600 } });
	const base = await chart(p);
	for (const path of ["/results", "/timeline"]) {
		await p.goto(base + path);
		await p.keyboard.press("End");
		for (let i = 0; i < 80; i++) {
			await p.keyboard.press(i < 50 ? "Tab" : "Shift+Tab");
			const covered = await p.evaluate(async () => {
				// A key may scroll over several frames: what counts is where the page comes to rest.
				for (let y = NaN, still = 0; still < 3; still = y === scrollY ? still + 1 : 0) {
					y = scrollY;
					await new Promise(requestAnimationFrame);
				}
				const e = document.activeElement;
				if (e === document.body || e.closest(".banner, .top, .skip")) return "";
				const r = e.getBoundingClientRect();
				const top = document.elementFromPoint(r.left + Math.min(8, r.width / 2), r.top + r.height / 2);
				return top && (e.contains(top) || top.contains(e) || top.closest("th, td") === e.closest("th, td")) ? "" : `${e.textContent} under ${top?.className || top?.tagName}`;
			});
			assert.equal(covered, "", path);
		}
	}
	await p.context().close();
});

test("Back shows nothing after signing out", async () => {
	const p = await page();
	const base = await chart(p);
	await p.goto(base + "/results");
	await p.click("button:has-text('Sign out')");
	await p.waitForURL("**/signed-out");
	await shot(p, "11-signed-out");
	for (let i = 0; i < 3; i++) {
		await p.goBack().catch(() => {}); // a page that may not be shown may also not load
		assert.doesNotMatch(await p.content(), /AYAN|9000000000|mmol/, "Back shows a chart");
	}
	await p.context().close();
});

test("a first view is three requests, without a shift of what was drawn", async (t) => {
	const p = await page();
	const base = await chart(p);
	const slow = await slowly(demo.base);
	t.after(slow.close);
	for (const path of ["", "/results"]) {
		const fresh = await (await p.context().browser().newContext({ storageState: await p.context().storageState(), viewport: { width: 1280, height: 860 } })).newPage();
		const asked = [];
		fresh.on("request", (r) => !r.url().startsWith("data:") && asked.push(new URL(r.url()).pathname));
		await fresh.addInitScript(() => {
			window.shifted = [];
			const drawn = (n) => n.nodeType !== Node.TEXT_NODE || n.data.trim() !== "";
			const told = (n) => (n.outerHTML ?? `${n.data} in ${n.parentNode?.outerHTML}`).slice(0, 120);
			const look = (list) => list.getEntries().forEach((e) => window.shifted.push(...e.sources.filter((s) => !s.node || drawn(s.node)).map((s) => s.node ? told(s.node) : "a part that is gone")));
			new PerformanceObserver(look).observe({ type: "layout-shift", buffered: true });
		});
		await fresh.goto(slow.base + new URL(base + path, demo.base).pathname, { waitUntil: "networkidle" });
		assert.equal(asked.length, 3, asked.join(" "));
		assert.deepEqual(await fresh.evaluate(() => window.shifted), []);
		await fresh.context().close();
	}

	await p.context().close();
});

test("a PDF is shown in the page, in a sandbox", async () => {
	const p = await page();
	const base = await chart(p);
	await p.goto(base + "/documents");
	let shown = false;
	for (const href of await p.$$eval("tbody th a", (as) => as.map((a) => a.getAttribute("href")))) {
		const answers = [];
		p.on("response", (r) => answers.push(r));
		await p.goto(href);
		if (!(await p.locator("iframe.pdf").count())) continue;
		await p.waitForFunction(() => document.querySelector("iframe.pdf").contentDocument === null || document.querySelector("iframe.pdf").contentDocument.readyState === "complete");
		const src = await p.getAttribute("iframe.pdf", "src");
		const answer = await p.context().request.get(src);
		const headers = answer.headers();
		assert.equal(headers["content-type"], "application/pdf");
		assert.equal(headers["cache-control"], "no-store");
		assert.match(headers["content-security-policy"], /default-src 'none'; sandbox;.*frame-ancestors 'self'/);
		assert.equal((await answer.body()).subarray(0, 5).toString(), "%PDF-");
		await shot(p, "12-pdf", false);
		shown = true;
		break;
	}
	assert.ok(shown, "no document of the chart is a PDF");
	p.clean();
	await p.context().close();
});

test("on paper: the banner on every sheet, and other pages leave only a line", async () => {
	const p = await page();
	const base = await chart(p);
	await p.goto(base + "/print");
	await p.emulateMedia({ media: "print", colorScheme: "dark" });
	assert.equal(await p.locator(".paper-page > thead").evaluate((e) => getComputedStyle(e).display), "table-header-group");
	assert.equal(await p.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light");
	assert.ok(await p.isVisible(".paper-page .banner"));
	assert.ok(!(await p.isVisible(".screen-only")));
	await p.goto(base + "/results");
	assert.deepEqual(await p.evaluate(() => [...document.body.children].filter((e) => e.offsetHeight > 0).map((e) => e.textContent.trim())), ["To print, open the print view (key p), so that the print is written down."]);
	await p.context().close();
});

test("colours, spacing and keys are a person's own, kept by the server", async () => {
	const p = await page();
	await atWork(p, "pharmacist");
	await p.goto("/account");
	await p.check("input[value=dark]");
	await p.check("input[value=roomy]");
	await p.check("input[name=keys][value=off]");
	await p.click("main .button");
	await p.waitForURL("**/account?saved");
	assert.equal(await p.getAttribute("html", "class"), "dark roomy");
	await p.keyboard.press("/");
	assert.ok(p.url().includes("/account"), "keys work though they are off");
	assert.equal(await p.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 24, 28)");
	await p.check("input[name=theme][value='']");
	await p.check("input[value=compact]");
	await p.check("input[name=keys][value=on]");
	await p.click("main .button");
	p.clean();
	await p.context().close();
});

test("an assistant's pages name both, and administrators read no charts", async () => {
	let p = await page();
	await chart(p, "assistant");
	assert.match(await p.textContent(".banner .at"), / for Dr /);
	await p.context().close();
	for (const [role, home] of [["privacy-officer", "officer"], ["operator", "ops"]]) {
		p = await page();
		await signIn(p, role);
		assert.equal(await p.locator(".choices button").count(), 1, `where ${role} may act`);
		await Promise.all([p.waitForURL("**/" + home), p.click(".choices button")]);
		await p.goto("/find");
		assert.ok(!(await p.locator("#number").count()), `${role} may search`);
		await p.context().close();
	}
});
