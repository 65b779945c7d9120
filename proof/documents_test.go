package proof_test

import (
	"fmt"
	"strings"
	"time"

	"firebreak/inbox"
	"firebreak/mapping"
)

// spoken is the dialect of a source: what its own segment tells stands in an
// extension of the visit, in observations, or where the standard has diagnoses.
func spoken(name string) *mapping.Dialect {
	d, err := mapping.ReadDialect("dialect " + name + `
ZZ1-1 -> Encounter.extension(https://hospital.example.org/note).valueString
ZZ1-2 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)
ZZ1-3 -> Observation(http://loinc.org|29463-7|Body weight).valueQuantity(kg)
ZZ1-4 -> Observation(http://loinc.org|48767-8|Annotation comment).valueString
`)
	if err != nil {
		panic(err)
	}
	return d
}

// mrn is the OID of the numbers that messages call MRN.
const mrn = "2.16.840.1.113883.19.5"

// document is a C-CDA document on its way to text.
type document struct {
	id, set  string
	number   int
	replaces string
	at       time.Time
	title    string
	author   string // family name
	given    string // of the patient
	problems []problem
	words    []string // a section of each
}

type problem struct{ id, code, name string }

func (d document) text(p *person) []byte {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	at := d.at.UTC().Format("20060102150405+0000")
	add(`<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>`)
	add(`<id root="2.16.840.1.113883.19.6" extension="%s"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1" displayName="Summarization of episode note"/><title>%s</title><effectiveTime value="%s"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>`, d.id, d.title, at)
	if d.set != "" {
		add(`<setId root="2.16.840.1.113883.19.7" extension="%s"/><versionNumber value="%d"/>`, d.set, d.number)
	}
	add(`<recordTarget><patientRole><id root="%s" extension="%s"/><patient><name><given>%s</given><family>%s</family></name><administrativeGenderCode code="%s" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="%s"/></patient></patientRole></recordTarget>`, mrn, p.number, d.given, p.family, p.sex, p.born)
	add(`<author><time value="%s"/><assignedAuthor><id root="2.16.840.1.113883.19.8" extension="%s"/><assignedPerson><name><family>%s</family></name></assignedPerson></assignedAuthor></author>`, at, d.author, d.author)
	if d.replaces != "" {
		add(`<relatedDocument typeCode="RPLC"><parentDocument><id root="2.16.840.1.113883.19.6" extension="%s"/></parentDocument></relatedDocument>`, d.replaces)
	}
	add(`<component><structuredBody>`)
	if len(d.problems) > 0 {
		add(`<component><section><templateId root="2.16.840.1.113883.10.20.22.2.5.1"/><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><title>Problems</title><text><list>`)
		for _, x := range d.problems {
			add(`<item>%s</item>`, x.name)
		}
		add(`</list></text>`)
		for _, x := range d.problems {
			add(`<entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3"/><id root="2.16.840.1.113883.19.9" extension="%s"/><code code="CONC" codeSystem="2.16.840.1.113883.5.6"/><statusCode code="active"/><entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="2.16.840.1.113883.19.10" extension="%s"/><code code="55607006" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/><effectiveTime><low value="20250101"/></effectiveTime><value xsi:type="CD" code="%s" codeSystem="2.16.840.1.113883.6.90" displayName="%s"/></observation></entryRelationship></act></entry>`, x.id, x.id, x.code, x.name)
		}
		add(`</section></component>`)
	}
	for _, w := range d.words {
		add(`<component><section><code code="10164-2" codeSystem="2.16.840.1.113883.6.1"/><title>History of present illness</title><text><paragraph>%s</paragraph></text></section></component>`, w)
	}
	add(`</structuredBody></component></ClinicalDocument>`)
	return []byte(b.String())
}

// document adds a document to the world, all of which is secret or nothing.
func (f *forge) document(p *person, what string, d document, secret bool) *event {
	e := &event{what: what, source: p.source, kind: inbox.CCDA, control: d.id, fact: d.at, whole: d.text(p)}
	if !secret {
		e.harmless = e.whole
	}
	return f.add(e)
}

// replaces says that a document takes the place of others, in whatever world it is told.
func (e *event) replaces(all ...*event) {
	for _, x := range all {
		x.replaced[with] = true
		x.replaced[without] = x.replaced[without] || !e.secret()
	}
}

// summary is a harmless document.
func (f *forge) summary(p *person) document {
	return document{id: f.number("C"), at: f.tick(), title: "Summary of care", author: "Osler", given: p.given,
		problems: []problem{{f.number("E"), "I10", "Essential hypertension"}, {"asthma-" + p.number, "J45.909", "Unspecified asthma"}},
		words:    []string{one(f, "Feels well and walks daily.", "Sleeps well.")}}
}

// secretly is one that is about k in each of its parts.
func (f *forge) secretly(p *person, k kind) document {
	d := document{id: f.canary(), at: f.tick(), title: "Summary " + f.canary(), author: f.canary(), given: p.given,
		problems: []problem{{f.canary(), k.icd, k.disease + " " + f.canary()}}, words: []string{k.says + " " + f.canary()}}
	if f.IntN(2) == 0 {
		d.given = f.canary()
	}
	switch f.IntN(3) {
	case 0:
		d.problems = nil
	case 1:
		d.words = nil
	}
	return d
}

var harmlessDocuments = []form{
	{"summary", "", func(f *forge, p *person) {
		f.document(p, "a summary of care", f.summary(p), false)
	}},
	{"summary in versions", "", func(f *forge, p *person) {
		d := f.summary(p)
		d.set = f.number("S")
		var before []*event
		for d.number = 1; d.number <= 2+f.IntN(2); d.number++ {
			e := f.document(p, fmt.Sprint("a summary of care, version ", d.number), d, false)
			e.replaces(before...)
			before = append(before, e)
			d.id, d.at = f.number("C"), f.tick()
			d.problems = []problem{{d.problems[0].id, "I15.9", "Secondary hypertension"}, d.problems[1]}
		}
	}},
	{"summary replaced by name", "", func(f *forge, p *person) {
		d := f.summary(p)
		before := f.document(p, "a summary of care", d, false)
		d.id, d.at, d.replaces, d.problems = f.number("C"), f.tick(), d.id, d.problems[1:]
		f.document(p, "a summary in its place", d, false).replaces(before)
	}},
}

var sensitiveDocuments = []form{
	{"summary", "", func(f *forge, p *person) {
		k := f.kind()
		f.document(p, "a summary about "+k.name, f.secretly(p, k), true)
	}},
	{"versions of a summary", "", func(f *forge, p *person) {
		k := f.kind()
		set, id := f.canary(), ""
		var before []*event
		for n := range 2 + f.IntN(2) {
			d := f.secretly(p, k)
			if d.set, d.number = set, n+1; f.IntN(3) == 0 {
				d.replaces = id
			}
			id = d.id
			e := f.document(p, fmt.Sprint("a summary about ", k.name, ", version ", n+1), d, true)
			e.replaces(before...)
			before = append(before, e)
		}
	}},
	{"own segment", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A04^ADT_A01", true)
		l.before, l.visit = []string{"EVN|A04|" + hl7Time(l.at)}, f.visit(f.canary(), true)
		l.lines = []line{{"ZZ1|" + k.says + " " + f.canary(), false}}
		f.hl7(p, "a visit about "+k.name+", by a segment of the source's own", l, true)
	}},
}

var mixedDocuments = []form{
	{"summary whose next version is secret", "", func(f *forge, p *person) {
		k := f.kind()
		d := f.summary(p)
		if d.set, d.number = f.number("S"), 1; f.IntN(3) == 0 {
			d.set = ""
		}
		first := f.document(p, "a summary of care", d, false)
		s := f.secretly(p, k)
		s.set, s.number, s.replaces = d.set, 2, d.id
		second := f.document(p, "a summary about "+k.name+" in its place", s, true)
		second.replaces(first)
		if d.set != "" && f.IntN(2) == 0 {
			d.id, d.at, d.number, d.problems = f.number("C"), f.tick(), 3, d.problems[1:]
			f.document(p, "a summary of care in the place of both", d, false).replaces(first, second)
		}
	}},
	{"own segment", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A08^ADT_A01", false)
		l.before, l.visit = []string{"EVN|A08|" + hl7Time(l.at)}, f.visit(f.number("V"), false)
		l.lines = []line{{"ZZ1|Brought a dog||61", false}}
		secret := "ZZ1|||| " + k.says + " " + f.canary()
		if f.IntN(2) == 0 {
			secret = "ZZ1||73911." + fmt.Sprint(f.IntN(1000))
		}
		l.lines = append(l.lines, line{secret, true})
		f.hl7(p, "a visit with something about "+k.name+" in a segment of the source's own", l, false)
	}},
}
