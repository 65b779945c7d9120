// Runs the browser tests: starts two demos from ../bin/firebreak, unless
// FIREBREAK_DEMO_JSON names one that runs already, and stops them afterwards.
// Nothing is skipped: what cannot run, fails.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const binary = process.env.FIREBREAK_BIN ?? join(here, "..", "bin", "firebreak");
const folder = mkdtempSync(join(tmpdir(), "firebreak-browser-"));
const running = [];

// demo starts one and resolves to the path of its demo.json.
function demo(name, ...more) {
	const data = join(folder, name);
	const child = spawn(binary, ["demo", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data, ...more], { stdio: ["ignore", "ignore", "pipe"] });
	running.push(child);
	let said = "";
	child.stderr.on("data", (b) => { said = (said + b).slice(-4000); });
	const file = join(data, "demo.json");
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("exit", (code) => reject(new Error(`the demo ended with ${code}: ${said}`)));
		const look = setInterval(() => {
			if (existsSync(file)) {
				clearInterval(look);
				resolve(file);
			}
		}, 100);
	});
}

async function stop(child) {
	if (child.exitCode !== null) return;
	const ended = new Promise((resolve) => child.on("exit", resolve));
	child.kill("SIGTERM");
	await ended;
}

let code = 1;
try {
	const brief = join(folder, "brief.json");
	// The short demo also sends to an EHR that knows no patient, and so refuses.
	const ehr = createServer((r, w) => r.resume().on("end", () => w.end('{"resourceType":"Bundle","type":"searchset"}')));
	await new Promise((resolve) => ehr.listen(0, "127.0.0.1", resolve));
	ehr.unref();
	const systems = { BCPHN: "https://fhir.infoway-inforoute.ca/NamingSystem/ca-bc-patient-healthcare-id" };
	writeFileSync(brief, JSON.stringify({ session: { idle: "30s" }, feeds: [
		{ name: "general-hospital", display: "General Hospital", systems },
		{ name: "clinic-ehr", display: "Clinic EHR", send: { from: ["demo-backend"], fhir: { base: `http://127.0.0.1:${ehr.address().port}` } } },
	] }));
	const [full, short] = await Promise.all([process.env.FIREBREAK_DEMO_JSON ?? demo("full"), demo("short", "--empty", "--config", brief)]);
	const env = { ...process.env, FIREBREAK_DEMO_JSON: full, FIREBREAK_SHORT_JSON: short };
	const tests = spawn(process.execPath, ["--test", "--test-concurrency=2", "--test-reporter=spec", ...process.argv.slice(2)], { cwd: here, env, stdio: "inherit" });
	code = await new Promise((resolve) => tests.on("exit", (c) => resolve(c ?? 1)));
} catch (err) {
	console.error(String(err));
} finally {
	await Promise.all(running.map(stop));
	rmSync(folder, { recursive: true, force: true });
}
process.exit(code);
