package proof_test

import (
	"bytes"
	"context"
	"strings"
	"time"

	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/record"
)

// What turns out to be sensitive later. From then on nothing may be known of it
// or from it, as if that had been known at once: neither of what the first
// message was about, nor of the patient, visit, ward and people that it brought.

var lateMessages = []form{
	{"late coding", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order("PROC^Lab procedure^L", true)
		g.state = "P"
		l := f.letter(p, "ORU^R01^ORU_R01", true)
		g.at, g.results = l.at, []result{f.secretResult(k, "ST", "RESULT^Result^L", "pending "+f.canary())}
		if f.IntN(2) == 0 { // the correction leaves it out
			g.results = append(g.results, f.secretResult(k, "ST", "OTHER^Other result^L", "pending "+f.canary()))
		}
		l.groups = []group{g}
		first := f.hl7(p, "a result that says nothing yet", l, true)
		l = f.letter(p, "ORU^R01^ORU_R01", true)
		r := f.secretResult(k, "ST", "RESULT^Result^L", k.value+" "+f.canary())
		if r.notes = []string{k.says}; len(g.results) > 1 {
			g.service = "PROC^" + k.panel + "^L"
		}
		g.at, g.state, g.results = l.at, "F", []result{r}
		l.groups = []group{g}
		opening(first, f.hl7(p, "it turns out to be about "+k.name, l, true))
	}},
	{"late reason of a visit", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A04^ADT_A01", true)
		l.before = []string{"EVN|A04|" + hl7Time(l.at)}
		l.visit = f.visit(f.canary(), true)
		first := f.hl7(p, "a visit that says nothing yet", l, true)
		l.typ, l.control, l.at = "ADT^A08^ADT_A01", f.canary(), f.tick()
		l.before = []string{"EVN|A08|" + hl7Time(l.at)}
		l.middle = []string{"PV2|||X^" + k.reason + " " + f.canary() + "^L"}
		opening(first, f.hl7(p, "it turns out to be about "+k.name, l, true))
	}},
	{"late reason of an appointment", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SIU^S12^SIU_S12", true)
		said := f.booking("", "X^Review^L", "Booked", true)
		l.before = []string{said}
		l.lines = []line{{"RGS|#|A", false}, {"AIP|#|A|" + f.doctor(true), false}, {"AIL|#|A|" + f.canary() + "^" + f.canary(), false}}
		first := f.hl7(p, "an appointment that says nothing yet", l, true)
		l.typ, l.control, l.at = "SIU^S14^SIU_S12", f.canary(), f.tick()
		l.before = []string{strings.Replace(said, "X^Review^L", "X^"+k.reason+" "+f.canary()+"^L", 1)}
		opening(first, f.hl7(p, "it turns out to be for "+k.name, l, true))
	}},
	{"late text of a letter", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "MDM^T02^MDM_T02", true)
		txa := "TXA|#|X^Letter^L|TX|" + hl7Time(l.at) + "|" + f.doctor(true) + "|" + hl7Time(l.at) + "||||||" + f.canary() + "|||||"
		form := f.IntN(4)
		text := func(typ, value string) line {
			return line{"OBX|#|" + typ + "|LETTER^Letter^L||" + value + "||||||F", false}
		}
		l.before = []string{"EVN|T02|" + hl7Time(l.at)}
		l.lines = []line{{txa + "IP||AV", false}, text(file(form, "Dear colleague", f.canary()))}
		l.visit = or(l.visit, "PV1|1|N")
		first := f.hl7(p, "a letter that says nothing yet", l, true)
		l.typ, l.control, l.at = "MDM^T08^MDM_T02", f.canary(), f.tick()
		l.before = []string{"EVN|T08|" + hl7Time(l.at)}
		l.lines = []line{{txa + "AU||AV", false}, text(file(form, "Dear colleague", k.says, f.canary()))}
		opening(first, f.hl7(p, "it turns out to be about "+k.name, l, true))
	}},
	{"late coding of who was joined", "", func(f *forge, p *person) {
		k := f.kind()
		q := *p
		q.number, q.hidden = f.number("H"), true
		f.people = append(f.people, &q)
		g := f.order("PROC^Lab procedure^L", true)
		l := f.letter(&q, "ORU^R01^ORU_R01", true)
		g.at, g.state, g.results = l.at, "P", []result{f.secretResult(k, "ST", "RESULT^Result^L", "pending "+f.canary())}
		l.groups = []group{g}
		first := f.hl7(&q, "a result that says nothing yet, of somebody who is known from nothing else", l, true)
		from, into := p, &q
		if f.IntN(2) == 0 {
			from, into = into, from
		}
		f.join(from, into)
		l = f.letter(&q, "ORU^R01^ORU_R01", true)
		r := f.secretResult(k, "ST", "RESULT^Result^L", k.value+" "+f.canary())
		r.notes = []string{k.says}
		g.at, g.state, g.results = l.at, "F", []result{r}
		l.groups = []group{g}
		opening(first, f.hl7(&q, "it turns out to be about "+k.name, l, true))
	}},
	{"late decision", "", func(f *forge, p *person) {
		code := f.canary()
		g := f.order(code+"^"+code+"^L", true)
		l := f.letter(p, "ORU^R01^ORU_R01", true)
		g.at, g.results = l.at, []result{f.secretResult(f.kind(), "ST", code+"^"+code+"^L", f.canary())}
		l.groups = []group{g}
		first := f.hl7(p, "a result of a code that nobody knows", l, true)
		opening(first, f.decide(p, code))
	}},
}

var latePushes = []form{
	{"late coding", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o := f.new(p, "Observation", true, obj{"status": "preliminary", "code": text("Result"), "valueString": "pending " + f.canary()})
		first := f.hide(p, "a result that says nothing yet", o)
		o["status"], o["code"] = "final", coded(loinc, k.code, k.test)
		opening(first, f.hide(p, "it turns out to be about "+k.name, o))
	}},
	{"late coding of what came with the patient", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o := f.new(p, "Observation", true, obj{"status": "preliminary", "code": text("Result"), "valueString": "pending " + f.canary()})
		v := f.new(p, "Encounter", true, obj{"status": "finished", "class": obj{"code": "AMB"}})
		r := f.new(p, "DiagnosticReport", true, obj{"status": "preliminary", "code": text("Lab procedure"), "result": arr{to(o)}, "encounter": to(v)})
		first := f.bundle("a patient with a result that says nothing yet", entry{f.patient(p, true), true}, entry{v, true}, entry{o, true}, entry{r, true})
		o["status"], o["code"] = "final", coded(loinc, k.code, k.test)
		opening(first, f.hide(p, "it turns out to be about "+k.name, o))
	}},
}

// join adds that an operator decided that two charts are of one person.
func (f *forge) join(from, into *person) { f.add(f.joining(from, into, f.tick())) }

func (f *forge) joining(from, into *person, at time.Time) *event {
	m, err := inbox.Joining{From: from.id(), Into: into.id(), Author: "An operator"}.Message(f.canary(), "", at)
	if err != nil {
		panic(err)
	}
	return &event{what: "an operator decides that two records are one person's", source: m.Source, kind: m.Kind, control: m.ControlID, fact: at, at: at, whole: m.Body}
}

// decision is the kind of what a person decides on a local code: the body names it.
const decision inbox.Kind = "decision"

// decide has somebody decide that a code is about HIV.
func (f *forge) decide(p *person, code string) *event {
	return f.add(&event{what: "a decision", source: p.source, kind: decision, control: f.canary(), whole: []byte("the code " + code + " is about HIV")})
}

// decide is what the privacy officer does with the codes that wait.
func (h *house) decide(body []byte) error {
	ctx := context.Background()
	all, err := h.record.Codes(ctx)
	if err != nil {
		return err
	}
	var decisions []record.Decision
	for _, c := range all {
		if c.Code.Code != "" && bytes.Contains(body, []byte(" "+c.Code.Code+" ")) {
			decisions = append(decisions, record.Decision{Code: c.Code, Labels: []label.Label{label.HIV}})
		}
	}
	if err := h.record.Classify(ctx, audit.Event{Subject: "the privacy officer"}, decisions); err != nil {
		return err
	}
	_, err = h.record.Relabel(ctx)
	return err
}
