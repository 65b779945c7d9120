// Package conformance holds the gateway to what docs/conformance.md says of it.
// It is a test and nothing else.
//
// It drives a running demo as an outside client does: redirects are followed,
// forms submitted, tokens fetched by a signed assertion, everything over HTTP,
// on SQLite and on PostgreSQL. Each subtest is one claim and is named after it:
//
//	go test ./conformance -v
//
// What needs many generated requests is beside what it tests, in fhirapi; what
// needs a browser and other people's clients is in browser/.
package conformance
