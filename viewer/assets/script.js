// Comfort only: every page is whole without this. Keys, the time-out strip,
// hiding the screen. The server owns the clock; this asks it.
"use strict";
(() => {
	const body = document.body;
	const $ = (q) => document.querySelector(q);

	// A page that comes back from the browser's memory shows nothing until the
	// server has sent it again.
	addEventListener("pageshow", (e) => {
		if (e.persisted) {
			body.replaceChildren();
			location.reload();
		}
	});

	const print = $("#print");
	if (print) {
		print.hidden = false;
		print.onclick = () => window.print();
	}
	if (!body.dataset.left) return;

	// --- The session ---
	const idle = Number(body.dataset.left); // seconds; a page that was just asked for has them all
	const warn = Math.min(120, (idle * 2) / 15); // seconds before the end at which the strip appears
	const between = Math.min(30, idle / 4); // seconds between telling the server of use
	const strip = $("#strip");
	const text = strip.querySelector("p");
	const title = document.title;
	let ends = Date.now() + idle * 1000;
	let used = false; // since the server was last told
	let told = Date.now();
	let asking = false;

	const tabs = "BroadcastChannel" in window ? new BroadcastChannel("firebreak") : null;
	const heard = (end) => {
		ends = end;
		draw();
	};
	if (tabs) tabs.onmessage = (e) => (e.data.over ? leave() : heard(e.data.ends));

	const leave = () => {
		body.replaceChildren();
		location.replace("/signed-out");
	};

	// ask asks the server how long the session has left. As POST it is a use.
	const ask = async (method) => {
		if (asking) return;
		asking = true;
		try {
			const r = await fetch("/session", { method, cache: "no-store", redirect: "error" });
			const left = (await r.json()).left;
			if (left <= 0) {
				if (tabs) tabs.postMessage({ over: true });
				leave();
				return;
			}
			if (method === "POST") {
				told = Date.now();
				used = false;
			}
			heard(Date.now() + left * 1000);
			if (tabs) tabs.postMessage({ ends });
		} catch {
			if (Date.now() > ends) leave(); // no answer and time is up: show nothing
		} finally {
			asking = false;
		}
	};

	const draw = () => {
		const left = Math.ceil((ends - Date.now()) / 1000);
		const due = left <= warn;
		if (due && strip.hidden) {
			const at = new Date(ends).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
			text.textContent = text.dataset.text.replace("%s", at);
		}
		strip.hidden = !due;
		const clock = Math.floor(Math.max(left, 0) / 60) + ":" + String(Math.max(left, 0) % 60).padStart(2, "0");
		document.title = due ? text.dataset.title.replace("%s", clock) : title;
	};

	const tick = () => {
		const now = Date.now();
		if (now >= ends) ask("GET");
		else if (used && strip.hidden && now - told > between * 1000) ask("POST");
		else if (strip.hidden && ends - now <= warn * 1000) ask("GET"); // another tab may have kept it alive
		draw();
	};
	setInterval(tick, 1000);
	document.addEventListener("visibilitychange", () => document.hidden || ask("GET"));
	for (const kind of ["input", "pointermove", "pointerdown", "keydown", "scroll", "touchstart"]) {
		addEventListener(kind, () => { used = true; }, { passive: true, capture: true });
	}
	$("#stay").onclick = () => ask("POST");

	// --- Hiding the screen ---
	const cover = $("#hidden");
	const hide = $("#hide");
	let before = null;
	const show = (covered) => {
		if (covered) before = document.activeElement;
		cover.hidden = !covered;
		for (const e of body.children) if (e !== cover) e.inert = covered;
		if (covered) cover.querySelector("button").focus();
		else if (before) before.focus();
	};
	hide.hidden = false;
	hide.onclick = () => show(true);
	cover.querySelector("button").onclick = () => show(false);

	// --- Keys: each one presses a link or button that is on the page ---
	if (!body.dataset.keys) return;
	let last = "";
	let when = 0;
	addEventListener("keydown", (e) => {
		if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.repeat) return;
		if (e.target.closest("input, select, textarea, [contenteditable]") && e.target.type !== "checkbox" && e.target.type !== "radio") return;
		const now = Date.now();
		const pair = now - when < 1500 ? last + " " + e.key : "";
		last = e.key;
		when = now;
		if (!cover.hidden) {
			if (e.key === "h" || e.key === "Escape") show(false);
			return;
		}
		if (e.key === "/" && $("#number")) {
			e.preventDefault();
			$("#number").focus();
			return;
		}
		const keys = [...document.querySelectorAll("[data-key]")];
		const pick = (k) => k && keys.find((x) => x.dataset.key === k && !x.hidden);
		let target = pick(pair) || pick(e.key);
		if (e.key === "t") {
			const row = document.activeElement.closest("tr");
			target = (row && row.querySelector("[data-trend], .tests a")) || $("[data-trend]") || $(".tests a");
		}
		if (target) {
			e.preventDefault();
			last = "";
			target.click();
		}
	});
})();
