package pipeline

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
)

// version is one version of a document about Ann Ash.
type version struct {
	id, set  string
	number   int
	day      int    // of January 2026, when it was made
	replaces string // id of another
	problem  string // code and name of the one problem that it lists
	words    string // of its other section
	mdm      bool   // it comes in an MDM message, which names it, and what it replaces
}

func (v version) message() inbox.Message {
	var b strings.Builder
	fmt.Fprintf(&b, `<ClinicalDocument xmlns="urn:hl7-org:v3"><templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/><id root="1.2.3.9" extension="%s"/>`, v.id)
	fmt.Fprintf(&b, `<code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Summary</title><effectiveTime value="202601%02d1200+0000"/><confidentialityCode code="N"/>`, v.day)
	if v.set != "" {
		fmt.Fprintf(&b, `<setId root="1.2.3.8" extension="%s"/><versionNumber value="%d"/>`, v.set, v.number)
	}
	b.WriteString(`<recordTarget><patientRole><id root="1.2.3.4" extension="100"/><patient><name><given>Ann</given><family>Ash</family></name><administrativeGenderCode code="F"/><birthTime value="19710203"/></patient></patientRole></recordTarget>`)
	b.WriteString(`<author><time value="20260101"/><assignedAuthor><id root="2.16.840.1.113883.4.6" extension="99"/><assignedPerson><name><given>Ola</given><family>Rowan</family></name></assignedPerson></assignedAuthor></author>`)
	if v.replaces != "" && !v.mdm {
		fmt.Fprintf(&b, `<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2.3.9" extension="%s"/></parentDocument></relatedDocument>`, v.replaces)
	}
	b.WriteString(`<component><structuredBody>`)
	if code, name, ok := strings.Cut(v.problem, " "); ok {
		fmt.Fprintf(&b, `<component><section><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><title>Problems</title><text>%s</text><entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3"/><id root="1.2.3.7" extension="a1"/><code code="CONC" codeSystem="2.16.840.1.113883.5.6"/><statusCode code="active"/><entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="1.2.3.7" extension="o1"/><code code="55607006" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/><effectiveTime><low value="20250101"/></effectiveTime><value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CD" code="%s" codeSystem="2.16.840.1.113883.6.96" displayName="%s"/></observation></entryRelationship></act></entry></section></component>`, name, code, name)
	}
	if v.words != "" {
		fmt.Fprintf(&b, `<component><section><code code="10164-2" codeSystem="2.16.840.1.113883.6.1"/><title>History</title><text>%s</text></section></component>`, v.words)
	}
	b.WriteString(`</structuredBody></component></ClinicalDocument>`)
	if v.mdm {
		trigger := "T02"
		if v.replaces != "" {
			trigger = "T10"
		}
		text := fmt.Sprintf("MSH|^~\\&|EHR|OAK|FB|FB|202601%02d120000+0000||MDM^%s|m%s%d|P|2.5.1\rPID|1||100^^^&1.2.3.4&ISO||Ash^Ann||19710203|F\rTXA|1|CN||202601%02d120000+0000||||||||%s|%s|||||AV\rOBX|1|ED|34133-9^Summary^LN||^text^xml^Base64^%s||||||F\r",
			v.day, trigger, v.id, v.number, v.day, v.id, v.replaces, base64.StdEncoding.EncodeToString([]byte(b.String())))
		return inbox.Message{Source: "clinic", Kind: inbox.HL7v2, ControlID: v.id + fmt.Sprint(v.number), Received: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Body: []byte(text)}
	}
	return inbox.Message{Source: "clinic", Kind: inbox.CCDA, ControlID: v.id + fmt.Sprint(v.number), Received: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Body: []byte(b.String())}
}

// told applies documents in an order and gives what is shown of the problems and the
// documents: each with its status, names and words.
func told(t *testing.T, all []version, order []int) string {
	t.Helper()
	s := start(t, t.TempDir()+"/record.db", nil)
	for _, i := range order {
		s.put(t, all[i].message())
	}
	chart, err := mapping.PatientKey(mapping.NewKeys([]byte("keys of this test")), all[0].message())
	must(t, err)
	reader, ask := s.ask(t)
	v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chart})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, r := range v.All() {
		res := r.Content()
		switch res.Type() {
		case "Condition":
			for n := range res.All("code.coding.display") {
				fmt.Fprintf(&b, "problem %s\n", n.Text())
			}
		case "DocumentReference":
			name := res.Get("description").Text()
			for n := range res.All("masterIdentifier.value") {
				name += " " + n.Text()
			}
			fmt.Fprintf(&b, "%s, %s\n", name, res.Get("status").Text())
		}
	}
	return b.String()
}

// A newer version of a document replaces what the older alone said, in whatever order
// they come: a corrected code leaves nothing behind, the older document stays as it
// came and is superseded. Of a version that is withheld whole nothing can be seen, not
// even by what it replaces.
func TestADocumentIsReplaced(t *testing.T) {
	const asthma, copd = "195967001 Asthma", "13645005 COPD"
	for _, c := range []struct {
		name string
		all  []version
		want string
	}{
		{"one", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma}}, "Problems, current\nSummary d1, current\nproblem Asthma\n"},
		{"the next of its series, a code corrected", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma, words: "Smokes."}, {id: "d2", set: "s", number: 2, day: 2, problem: copd}},
			"Problems, current\nSummary d1, superseded\nSummary d2, current\nproblem COPD\n"},
		{"another series", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma}, {id: "d2", set: "x", number: 2, day: 2, problem: copd}},
			"Problems, current\nProblems, current\nSummary d1, current\nSummary d2, current\nproblem Asthma\nproblem COPD\n"},
		{"by its name", []version{{id: "d1", day: 1, problem: asthma}, {id: "d2", day: 2, replaces: "d1", problem: copd}, {id: "d3", day: 3, words: "Smokes."}},
			"History, current\nProblems, current\nSummary d1, superseded\nSummary d2, current\nSummary d3, current\nproblem COPD\n"},
		{"three, and the number counts before the time", []version{{id: "d1", set: "s", number: 1, day: 9, problem: asthma}, {id: "d2", set: "s", number: 2, day: 2, problem: copd, replaces: "d1"}, {id: "d3", set: "s", number: 3, day: 2, problem: asthma}},
			"Problems, current\nSummary d1, superseded\nSummary d2, superseded\nSummary d3, current\nproblem Asthma\n"},
		{"what both say stays", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma, words: "Smokes."}, {id: "d2", set: "s", number: 2, day: 2, problem: asthma}},
			"Problems, current\nSummary d1, superseded\nSummary d2, current\nproblem Asthma\n"},
		{"two that replace each other", []version{{id: "d1", day: 1, replaces: "d2", problem: asthma}, {id: "d2", day: 1, replaces: "d1", problem: copd}},
			"Problems, current\nProblems, current\nSummary d1, current\nSummary d2, current\nproblem Asthma\nproblem COPD\n"},
		{"the newer is withheld whole", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma}, {id: "d2", set: "s", number: 2, day: 2, words: "HIV positive since May."}},
			"Problems, current\nSummary d1, current\nproblem Asthma\n"},
		{"a part of the newer is withheld", []version{{id: "d1", set: "s", number: 1, day: 1, problem: asthma}, {id: "d2", set: "s", number: 2, day: 2, problem: copd, words: "HIV positive since May."}},
			"Problems, current\nSummary d1, superseded\nproblem COPD\n"},
		{"in messages, by the parent's number", []version{{id: "d1", day: 1, mdm: true, problem: asthma, words: "Smokes."}, {id: "d2", day: 2, mdm: true, replaces: "d1", problem: copd}}, " d1, superseded\n d2, current\nProblems, current\nproblem COPD\n"},
		{"in messages, one that is no replacement", []version{{id: "d1", day: 1, mdm: true, problem: asthma}, {id: "d2", day: 2, mdm: true, problem: copd}}, " d1, current\n d2, current\nProblems, current\nProblems, current\nproblem Asthma\nproblem COPD\n"},
		{"in messages, edited", []version{{id: "d1", day: 1, mdm: true, problem: asthma}, {id: "d1", number: 2, day: 2, mdm: true, problem: copd}}, " d1, current\nProblems, current\nproblem COPD\n"},
		{"in messages, the newer is withheld whole", []version{{id: "d1", day: 1, mdm: true, problem: asthma}, {id: "d2", day: 2, mdm: true, replaces: "d1", words: "HIV positive since May."}}, " d1, current\nProblems, current\nproblem Asthma\n"},
		{"what is pushed is not replaced by a message", []version{{id: "d1", day: 1, problem: asthma}, {id: "d2", day: 2, mdm: true, replaces: "d1", problem: copd}}, " d1, \n d2, current\nProblems, current\nProblems, current\nSummary d1, current\nproblem Asthma\nproblem COPD\n"},
		{"in a message, withheld whole, what it replaces is not known", []version{{id: "d2", day: 2, mdm: true, replaces: "d1", words: "HIV positive since May."}}, "fhir: not-found: There is nothing to show at this address."},
		{"the older was withheld", []version{{id: "d1", set: "s", number: 1, day: 1, problem: "86406008 HIV infection"}, {id: "d2", set: "s", number: 2, day: 2, problem: asthma}},
			"Problems, current\nSummary d2, current\nproblem Asthma\n"},
	} {
		r := rand.New(rand.NewPCG(1, uint64(len(c.name))))
		for range 2 {
			order := r.Perm(len(c.all))
			if got := strings.Join(sorted(told(t, c.all, order)), ""); got != c.want {
				t.Errorf("%s, in the order %v:\n%swant\n%s", c.name, order, got, c.want)
			}
		}
	}
}

func sorted(lines string) []string {
	all := strings.SplitAfter(lines, "\n")
	slices.Sort(all)
	return all
}
