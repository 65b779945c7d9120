// A SMART app without a library: it asks to be let in, makes a token of the code
// that comes back, and shows the patient and the newest results. The steps are
// those of SMART App Launch 2.2, standalone launch of a public app.
const client = "example-app";
const scope = "launch/patient openid fhirUser patient/Patient.rs patient/Observation.rs";
const back = location.origin + "/"; // as registered, letter by letter

const asked = new URLSearchParams(location.search);
const main = document.querySelector("main");

const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
const random = () => base64(crypto.getRandomValues(new Uint8Array(32)));

async function json(address, options) {
	const answer = await fetch(address, options);
	const body = await answer.json();
	if (!answer.ok) throw new Error(body.error_description ?? body.issue?.[0]?.diagnostics ?? `status ${answer.status}`);
	return body;
}

// 1. Find out where to ask, keep a secret of this browser's, and go there.
async function begin() {
	const iss = asked.get("iss") ?? "http://127.0.0.1:8080/fhir";
	const found = await json(iss + "/.well-known/smart-configuration");
	const kept = { iss, issuer: found.issuer, token: found.token_endpoint, verifier: random(), state: random() };
	sessionStorage.setItem("launch", JSON.stringify(kept));
	const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(kept.verifier));
	location.href = found.authorization_endpoint + "?" + new URLSearchParams({
		response_type: "code", client_id: client, redirect_uri: back, scope, aud: iss, state: kept.state,
		code_challenge: base64(new Uint8Array(digest)), code_challenge_method: "S256",
	});
}

// 2. The person said yes or no. Only the answer to what was asked here counts.
async function finish() {
	const kept = JSON.parse(sessionStorage.getItem("launch"));
	sessionStorage.removeItem("launch");
	history.replaceState(null, "", back); // the code does not stay in the address
	if (kept?.state !== asked.get("state") || kept.issuer !== asked.get("iss")) throw new Error("this is no answer to what was asked");
	if (asked.has("error")) throw new Error(asked.get("error_description") ?? asked.get("error"));
	const token = await json(kept.token, {
		method: "POST",
		body: new URLSearchParams({ grant_type: "authorization_code", code: asked.get("code"), redirect_uri: back, client_id: client, code_verifier: kept.verifier }),
	});
	const read = (path) => json(`${kept.iss}/${path}`, { headers: { authorization: `Bearer ${token.access_token}`, accept: "application/fhir+json" } });
	show(await read(`Patient/${token.patient}`), await read(`Observation?patient=${token.patient}&_sort=-date&_count=20`));
}

// 3. Text goes in as text: what a record says is never a page's code.
function show(patient, results) {
	const name = patient.name?.[0];
	const head = document.createElement("h2");
	head.textContent = [[name?.given?.join(" "), name?.family].filter(Boolean).join(" "), patient.birthDate && `born ${patient.birthDate}`].filter(Boolean).join(", ");
	const table = document.createElement("table");
	for (const { resource: r } of results.entry ?? []) {
		const value = r.valueQuantity ? [r.valueQuantity.value, r.valueQuantity.unit].filter((x) => x !== undefined).join(" ") : (r.valueString ?? r.valueCodeableConcept?.text ?? r.valueCodeableConcept?.coding?.[0]?.display ?? "");
		const row = table.insertRow();
		for (const text of [r.effectiveDateTime?.slice(0, 10) ?? "", r.code.text ?? r.code.coding?.[0]?.display ?? "", value]) row.insertCell().textContent = text;
	}
	main.replaceChildren(head, table);
}

const problem = (e) => (main.textContent = e.message);
if (asked.has("state")) finish().catch(problem);
else {
	const button = document.querySelector("#begin");
	button.hidden = false;
	button.onclick = () => begin().catch(problem);
}
