// Package mapping turns one received message into FHIR R4 resources, by HL7's
// v2-to-FHIR tables. It is pure: it reads no clock, no network and no record.
// A file holds one message type or one segment; datatypes.go and codes.go what
// all of them share; keys.go makes every id.
//
// # What a message says, and what it does not
//
// Nothing is guessed. A value keeps its digits, a time its precision and offset,
// a code its letters and its system; a code outside the table that FHIR binds
// an element to is left out. Where FHIR requires what the message has not, the
// tables' condition decides, then the trigger event; else the resource is left
// out, which [Result].Notes says, or stands with R4's data-absent-reason. What
// cannot be mapped at all is an [*Error] that names segment and field, and the
// message is held.
//
// Each resource is what its message says of it, whole: a new version of the
// resource, not a change to it. An element that a later message leaves empty is
// therefore not in the later version, whether the sender left it empty or sent
// HL7's null (""). HL7 would have a receiver keep what is left empty. But then a
// version would depend on what arrived before it: a message that comes late
// would have to rewrite those after it, a replay would not give the same bytes,
// and what a withheld message said would show through the next one. ADT is sent
// as snapshots, so in practice little is lost, and every earlier version stays
// in history.
//
// That rule would let a result, whose PID often holds no more than a name, thin
// out what an admission told. So the patient and the visit that a message only
// repeats are reminders: versions dated 200 years back, below every version that
// a message states about them (ADT states; everything else repeats). A source
// that never states has its latest reminder on top.
//
// # Time
//
// Result.At is MSH-7, when the source said it (EVN-2, then the time of receipt,
// where that is missing). A time of day without an offset is read in the feed's
// zone, UTC when none is declared; see [Feed].
//
// # Whose it is
//
// A chart is named by one identifier of PID-3: of the declared assigning
// authority ([Feed].PatientAuthorities); without a declaration the medical
// record number (type MR or MRN), else an internal one (PI), else any other,
// account, visit and insurance numbers last; among equals the authority first by
// its name. PID-2, then PID-4, stand in where PID-3 has none. A source that
// sends different sets of identifiers for one patient needs the declaration:
// nothing else tells that they are one. A message without an identifier, or with
// two patients, is held.
//
// Practitioners, organizations and places come into being in the chart of the
// patient whose message names them, and stay there. A number without a name is
// kept as a reference by identifier, so that it never lies over the name.
//
// # Dialects
//
// What a site writes about a source's own ways ([Feed].Dialect) is applied to the
// message before anything reads it, so all of this package sees the standard's
// fields; a trace ([Explain]) takes fields out of the message as it came, and so
// names those. A Dialect's version stands in the Provenance. Another version is
// another mapping: it applies to what comes from then on, and to what came when
// that is replayed, which takes back what only the earlier one made.
//
// # Systems
//
// HL7 tables become http://terminology.hl7.org/CodeSystem/v2-NNNN, the systems
// of table 0396 their R4 URIs. A name that means something to its source alone
// becomes urn:hl7v2:<source>:<name> unless [Feed].Systems declares a URI. A code
// that names no system has none, but that of the field's own table when it is
// in it.
//
// Sources: HL7 v2.9 chapters 2, 2A, 3, 4, 4A, 6, 7, 9, 10; HL7/v2-to-fhir, commit
// 8c9b414be1 (Apache-2.0). TestGuide holds each row of its maps: implemented, or
// listed in testdata/coverage.tsv with the reason.
package mapping
