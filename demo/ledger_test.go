package demo_test

import (
	"strings"
)

// The ledger says what must be in the gateway, from the text of the messages
// alone: it cuts at CR, bar, circumflex and nothing else, and knows neither our
// grammar nor our mapping. It is right for Simulated Hospital's stream, which
// has no escapes but in files, repeats no result within a message, and names every patient
// by the MRN that comes first in PID-3.

// result is one OBX of one order.
type result struct{ mrn, placer, filler, code string }

// told is the last word on a result: the one with the latest OBR-22, and among
// equals the one sent last.
type told struct{ value, unit, status, issued string }

type ledger struct {
	sent     int
	patients map[string]person  // by MRN
	into     map[string]string  // MRN to the MRN it was merged into
	results  map[result]told    //
	reports  map[result]string  // without code: status of the report, as OBR-25 last said
	orders   map[[2]string]bool // MRN, placer order number
	visits   map[[2]string]bool // MRN, visit number
	notes    map[[2]string]bool // MRN, document number
	allergic map[[2]string]bool // MRN, AL1-3 code
	files    map[result]string  // by report: what an OBX-5 holds that is a file
}

type person struct{ family, given, born, sex, stated string }

// field is field n of a segment, counted as HL7 does for all but MSH.
func field(segment string, n int) string {
	if f := strings.Split(segment, "|"); n < len(f) {
		return f[n]
	}
	return ""
}

// part is component n of field f.
func part(segment string, f, n int) string {
	if c := strings.Split(field(segment, f), "^"); n <= len(c) {
		return c[n-1]
	}
	return ""
}

func first(segments []string, name string) string {
	for _, s := range segments {
		if strings.HasPrefix(s, name+"|") {
			return s
		}
	}
	return ""
}

func segmentsOf(m []byte) []string { return strings.Split(strings.TrimRight(string(m), "\r"), "\r") }

// mrn is whose message it is.
func mrn(m []byte) string { return part(first(segmentsOf(m), "PID"), 3, 1) }

func newLedger(messages [][]byte) *ledger {
	l := &ledger{
		patients: map[string]person{}, into: map[string]string{}, results: map[result]told{}, reports: map[result]string{},
		orders: map[[2]string]bool{}, visits: map[[2]string]bool{}, notes: map[[2]string]bool{}, allergic: map[[2]string]bool{},
		files: map[result]string{},
	}
	latest := map[result]string{}
	for _, m := range messages {
		l.sent++
		segments := segmentsOf(m)
		pid, event, sent := first(segments, "PID"), field(segments[0], 8), field(segments[0], 6)
		who := part(pid, 3, 1)
		p := person{family: part(pid, 5, 1), given: part(pid, 5, 2), born: field(pid, 7), sex: field(pid, 8)}
		if strings.HasPrefix(event, "ADT") { // the others repeat what they know
			p.stated = sent
		}
		if p.stated >= l.patients[who].stated {
			l.patients[who] = p
		}
		var order result
		for _, s := range segments {
			switch s[:3] {
			case "MRG":
				l.into[part(s, 1, 1)] = who
			case "PV1":
				if v := part(s, 19, 1); v != "" {
					l.visits[[2]string{who, v}] = true
				}
			case "AL1":
				l.allergic[[2]string{who, part(s, 3, 1)}] = true
			case "TXA":
				l.notes[[2]string{who, part(s, 12, 1)}] = true
			case "ORC":
				if n := field(s, 2); n != "" {
					l.orders[[2]string{who, n}] = true
				}
			case "OBR":
				order = result{mrn: who, placer: field(s, 2), filler: field(s, 3)}
				if !strings.HasPrefix(event, "ORU") {
					continue
				}
				if issued := field(s, 22); issued >= latest[order] {
					latest[order] = issued
					l.reports[order] = field(s, 25)
				}
			case "OBX":
				if order.mrn == "" {
					continue // a note's text
				}
				if strings.HasPrefix(field(s, 5), "^^") { // the subtype, the encoding, the data
					l.files[order] = unescaped.Replace(part(s, 5, 5))
					continue
				}
				key := order
				key.code = part(s, 3, 1)
				issued := field(segmentOf(segments, "OBR", order.filler), 22)
				if issued >= l.results[key].issued {
					l.results[key] = told{field(s, 5), strings.Trim(part(s, 6, 1), `"`), field(s, 11), issued}
				}
			}
		}
	}
	return l
}

// unescaped undoes the escapes that the stream's files have.
var unescaped = strings.NewReplacer(`\E\`, `\`, `\.br\`, "\n")

// segmentOf is the OBR of a filler number.
func segmentOf(segments []string, name, filler string) string {
	for _, s := range segments {
		if strings.HasPrefix(s, name+"|") && field(s, 3) == filler {
			return s
		}
	}
	return ""
}

// now is the patient that mrn is known as after all merges.
func (l *ledger) now(mrn string) string {
	for l.into[mrn] != "" {
		mrn = l.into[mrn]
	}
	return mrn
}
