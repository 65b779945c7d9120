// Serves the example app: node docs/example/app/serve.mjs [PORT]. An app is
// files on some web server, and this is the smallest.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const files = {
	"/": ["index.html", "text/html; charset=utf-8"],
	"/app.js": ["app.js", "text/javascript; charset=utf-8"],
};
const server = createServer((request, response) => {
	const found = files[new URL(request.url, "http://app").pathname];
	if (!found) {
		response.writeHead(404).end();
		return;
	}
	response.writeHead(200, { "content-type": found[1], "cache-control": "no-store", "referrer-policy": "no-referrer" });
	response.end(readFileSync(new URL(found[0], import.meta.url)));
});
server.listen(Number(process.argv[2] ?? 3000), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
