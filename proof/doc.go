// Package proof holds the product to its promise: nothing that is withheld can
// be learned from any answer. It is a test and nothing else.
//
// It builds worlds twice. One was told harmless things only; into the other the
// same things were told with sensitive ones woven in. Both are the real record,
// pipeline, policy, API and pages behind the real guard; clock, random source
// and the key of ids are the same. Then it asks both the same questions, as many
// audiences, and every answer must be the same: status, headers and bytes. What
// is sensitive is known by construction; no recogniser and no filter of the
// product is asked.
//
// The other half is that harmless things are shown, under every policy, and
// everything where nothing is withheld; otherwise an empty gateway would pass.
//
// When an answer differs, the world is cut down to one sensitive message and
// the questions to one, and the test prints the story. That the test would
// notice is tested too: leaks are planted into copies of the product's sources,
// and each must be caught.
//
// FIREBREAK_PROOF says how much is asked: "200x2000" is 200 worlds with 2,000
// questions each, "7" is the world of seed 7. With
// FIREBREAK_PROOF_DB=postgres all is told to PostgreSQL. docs/no-leak.md tells
// the rest.
package proof
