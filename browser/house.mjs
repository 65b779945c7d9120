// A gateway as serve runs it, with what is around it from elsewhere: sign-in at
// an independent OpenID provider (npm oidc-provider, its own pages and keys),
// and an app that is npm's fhirclient as it is published, at an address of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import Provider from "oidc-provider";

const here = dirname(fileURLToPath(import.meta.url));
const binary = process.env.FIREBREAK_BIN ?? join(here, "..", "bin", "firebreak");
const fhirclient = readFileSync(join(dirname(createRequire(import.meta.url).resolve("fhirclient/package.json")), "build", "fhir-client.min.js"));

async function listening(handler) {
	const server = createServer(handler);
	await once(server.listen(0, "127.0.0.1"), "listening");
	return { server, base: `http://127.0.0.1:${server.address().port}` };
}

// free is a port that nothing listens on: the gateway's address is part of its
// configuration, and known to the provider before it runs. It lies below those
// that the system gives away.
async function free() {
	for (;;) {
		const server = createServer();
		const port = 10_000 + Math.floor(Math.random() * 20_000);
		const opened = await new Promise((resolve) => {
			server.once("error", () => resolve(false));
			server.listen(port, "127.0.0.1", () => resolve(true));
		});
		if (!opened) continue;
		server.close();
		await once(server, "close");
		return port;
	}
}

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title><script src="/fhir-client.js"></script>`;

// pages of the app at other addresses: where it is launched from a chart, and where
// it comes back then and says what it was told.
const pages = {
	"/launch": page + `<script>FHIR.oauth2.authorize({ clientId: "launched", scope: "launch openid fhirUser patient/Patient.r patient/Encounter.r patient/Observation.rs", redirectUri: "/launched" })</script>`,
	"/launched": page + `<main></main><script>
		const tell = (text) => document.querySelector("main").textContent = text;
		FHIR.oauth2.ready().then(async (client) => {
			const [patient, visit] = await Promise.all([client.patient.read(), client.encounter.read()]);
			tell(patient.name[0].given[0] + " " + patient.name[0].family + ", " + visit.status);
		}).catch((e) => tell(e.message));
	</script>`,
};

const visit = [
	"MSH|^~\\&|EHR|GENERAL|FB|FB|20260301080000+0000||ADT^A01^ADT_A01|V1|P|2.5.1", "EVN|A01|20260301080000+0000", "PID|1||G1001^^^GENERAL^MR||Roe^Jane^^^^^L||19700131|F",
	"PV1|1|I|W1||||||||||||||||V1001|||||||||||||||||||||||||20260301080000+0000", "",
].join("\n");

// told is a story's file of that name: messages that are tested elsewhere too.
function told(story, name) {
	const text = readFileSync(join(here, "..", "testdata", "stories", story + ".txtar"), "utf8");
	const found = text.split(/^-- (.+) --\n/m);
	const at = found.indexOf(name);
	assert.ok(at > 0, `${story} has no ${name}`);
	return found[at + 1];
}

// start gives the house: where the gateway, the provider and the app are, the
// app's secret and key, a backend's token, and stop. Its one patient is G1001,
// with results that may be seen, an HIV result, and a visit that is under way.
export async function start() {
	const folder = mkdtempSync(join(tmpdir(), "firebreak-clients-"));
	const file = (name, content) => (writeFileSync(join(folder, name), content), name);
	const base = `http://127.0.0.1:${await free()}`;

	const app = await listening((r, w) => {
		const script = r.url === "/fhir-client.js";
		w.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" }).end(script ? fhirclient : (pages[r.url.split("?")[0]] ?? page));
	});
	const secret = randomBytes(24).toString("hex");
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
	const named = { kid: "app", alg: "ES384" };
	const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), ...named, use: "sig" }] };

	const upstream = randomBytes(24).toString("hex");
	const provider = await listening();
	const oidc = new Provider(provider.base, {
		clients: [{ client_id: "firebreak", client_secret: upstream, redirect_uris: [base + "/sign-in/callback"], post_logout_redirect_uris: [base + "/signed-out"] }],
		claims: { profile: ["name"] },
	});
	provider.server.on("request", oidc.callback());

	const redirects = [app.base + "/"];
	const scopes = "patient/*.rs user/*.rs";
	file("firebreak.json", JSON.stringify({
		listen: new URL(base).host, base, data: "data", metrics: "127.0.0.1:0",
		signIn: { issuer: provider.base, clientId: "firebreak", clientSecret: { file: file("secret", upstream) } },
		registry: file("registry.json", JSON.stringify({
			clients: [{ id: "backend", name: "Backend", scopes: "system/*.rs" }],
			worksites: [{ id: "oak", name: "Oak Street Clinic" }],
			people: [{ id: "moreau", subject: "a.moreau", name: "Dr Anne Moreau", memberships: [{ worksite: "oak", role: "physician" }] }],
		})),
		feeds: [{ name: "general", listen: "127.0.0.1:0", facilities: ["GENERAL"], zone: "America/Vancouver" }],
		apps: [
			{ id: "public", name: "Public App", redirects, scopes },
			{ id: "symmetric", name: "Secret App", redirects, scopes, secretHash: createHash("sha256").update(secret).digest("hex") },
			{ id: "asymmetric", name: "Signing App", redirects, scopes, keys },
			{ id: "launched", name: "Launched App", redirects: [app.base + "/launched"], scopes, launch: app.base + "/launch" },
			{ id: "backend", name: "Backend", scopes: "system/*.rs", keys },
		],
	}));

	const gateway = spawn(binary, ["serve", "--config", join(folder, "firebreak.json")], { stdio: ["ignore", "ignore", "pipe"] });
	const stop = async () => {
		if (gateway.exitCode === null && gateway.signalCode === null) {
			gateway.kill("SIGTERM");
			await once(gateway, "exit");
		}
		for (const s of [app.server, provider.server]) {
			s.closeAllConnections();
			s.close();
		}
		rmSync(folder, { recursive: true, force: true });
	};
	try {
		const { feeds, metrics } = await new Promise((resolve, reject) => {
			let said = "";
			gateway.on("error", reject);
			gateway.on("exit", (code) => reject(new Error(`the gateway ended with ${code}: ${said}`)));
			createInterface(gateway.stderr).on("line", (line) => {
				said = (said + line + "\n").slice(-4000);
				const entry = line.startsWith("{") ? JSON.parse(line) : {};
				if (entry.feeds) resolve(entry);
			});
		});
		const messages = ["registration.hl7", "electrolytes.hl7", "hiv-by-code.hl7"].map((name) => told("withheld-is-absent", name)).concat(visit);
		file("messages.hl7", messages.join("\n"));
		const send = spawn(binary, ["send", "--to", feeds[0], join(folder, "messages.hl7")], { stdio: ["ignore", "ignore", "inherit"] });
		const [code] = await once(send, "exit");
		assert.equal(code, 0, "the messages were not taken");
		for (let applied = 0; applied < messages.length; ) {
			const figures = await (await fetch(`http://${metrics}/metrics`)).text();
			assert.match(figures, /^firebreak_inbox_held 0$/m, "a message was held");
			applied = Number(/^firebreak_pipeline_applied_total (\d+)$/m.exec(figures)[1]);
		}
	} catch (err) {
		await stop();
		throw err;
	}
	// service is a backend's token, which it proves itself for by a signed assertion.
	const service = async () => {
		const part = (x) => Buffer.from(JSON.stringify(x)).toString("base64url");
		const claims = { iss: "backend", sub: "backend", aud: base + "/oauth/token", jti: randomBytes(16).toString("hex"), exp: Math.floor(Date.now() / 1000) + 60 };
		const signed = part({ ...named, typ: "JWT" }) + "." + part(claims);
		const assertion = signed + "." + sign("sha384", signed, { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url");
		const form = { grant_type: "client_credentials", scope: "system/*.rs", client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", client_assertion: assertion };
		const answer = await fetch(base + "/oauth/token", { method: "POST", body: new URLSearchParams(form) });
		assert.equal(answer.status, 200);
		return (await answer.json()).access_token;
	};
	return { base, iss: base + "/fhir", app: app.base, provider: provider.base, secret, key: { ...privateKey.export({ format: "jwk" }), ...named }, service, stop };
}
