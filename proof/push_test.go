package proof_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"firebreak/adapters/rest"
	"firebreak/inbox"
)

type (
	obj = map[string]any
	arr = []any
)

func (f *forge) patient(p *person, secret bool) obj {
	given, phone := p.given, p.phone
	if secret {
		given, phone = f.canary(), f.canary()
	}
	return obj{"resourceType": "Patient", "id": p.number, "identifier": arr{obj{"system": "urn:oid:2.16.840.1.113883.4.50", "value": p.phn}, obj{"system": "urn:ehr", "value": p.number}},
		"name": arr{obj{"family": p.family, "given": arr{given}}}, "birthDate": p.born[:4] + "-" + p.born[4:6] + "-" + p.born[6:],
		"gender": map[string]string{"F": "female", "M": "male"}[p.sex], "telecom": arr{obj{"system": "phone", "value": phone}}}
}

func body(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// put is one resource as it is pushed.
func (f *forge) put(request string, r obj) []byte {
	return rest.Interaction{Method: http.MethodPut, Path: fmt.Sprint(r["resourceType"], "/", r["id"]), Request: request, Base: base + "/fhir", Resource: body(r)}.Encode()
}

// push adds a harmless resource to the world.
func (f *forge) push(p *person, what string, r obj) *event {
	request := f.number("R")
	b := f.put(request, r)
	return f.add(&event{what: what, source: "ehr", kind: inbox.FHIR, control: request, harmless: b, whole: b})
}

// hide adds a sensitive one.
func (f *forge) hide(p *person, what string, r obj) *event {
	request := f.canary()
	return f.add(&event{what: what, source: "ehr", kind: inbox.FHIR, control: request, whole: f.put(request, r)})
}

// entry is one part of a pushed transaction.
type entry struct {
	resource obj
	secret   bool
}

// bundle adds a transaction, from which what is secret can be left out.
func (f *forge) bundle(what string, entries ...entry) *event {
	request := f.number("R")
	make := func(secrets bool) []byte {
		var all arr
		for _, e := range entries {
			if e.secret && !secrets {
				continue
			}
			url := fmt.Sprint(e.resource["resourceType"], "/", e.resource["id"])
			all = append(all, obj{"fullUrl": base + "/fhir/" + url, "resource": e.resource, "request": obj{"method": "PUT", "url": url}})
		}
		if all == nil {
			return nil
		}
		b := body(obj{"resourceType": "Bundle", "type": "transaction", "entry": all})
		return rest.Interaction{Method: http.MethodPost, Request: request, Base: base + "/fhir", Resource: b}.Encode()
	}
	e := &event{what: what, source: "ehr", kind: inbox.FHIR, control: request, whole: make(true), harmless: make(false)}
	if e.harmless == nil {
		e.control = f.canary()
	}
	return f.add(e)
}

// byNumber adds a transaction that creates what is not there: its source knows
// numbers, and no ids. What is created gets the id that the resource has.
func (f *forge) byNumber(what string, secret bool, all ...obj) *event {
	request := f.number("R")
	i := rest.Interaction{Method: http.MethodPost, Request: request, Base: base + "/fhir", Looks: true}
	var entries arr
	for _, r := range all {
		n := r["identifier"].(arr)[len(r["identifier"].(arr))-1].(obj) // of a Patient the number that no other record has
		i.Assigned = append(i.Assigned, r["id"].(string))
		entries = append(entries, obj{"fullUrl": fmt.Sprint(base, "/fhir/", r["resourceType"], "/", r["id"]), "resource": r,
			"request": obj{"method": "POST", "url": r["resourceType"], "ifNoneExist": fmt.Sprint("identifier=", n["system"], "|", n["value"])}})
	}
	i.Resource = body(obj{"resourceType": "Bundle", "type": "transaction", "entry": entries})
	e := &event{what: what, source: "ehr", kind: inbox.FHIR, control: request, whole: i.Encode()}
	if !secret {
		e.harmless = e.whole
	}
	return f.add(e)
}

// drop adds a deletion.
func (f *forge) drop(what string, r obj, secret bool) *event {
	request := f.number("R")
	b := rest.Interaction{Method: http.MethodDelete, Path: fmt.Sprint(r["resourceType"], "/", r["id"]), Request: request, Base: base + "/fhir"}.Encode()
	e := &event{what: what, source: "ehr", kind: inbox.FHIR, control: request, harmless: b, whole: b}
	if secret {
		e.harmless = nil
	}
	return f.add(e)
}

func to(r obj) obj      { return obj{"reference": fmt.Sprint(r["resourceType"], "/", r["id"])} }
func text(s string) obj { return obj{"text": s} }
func of(p *person) obj  { return obj{"reference": "Patient/" + p.number} }
func narrative(s string) obj {
	return obj{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml">` + s + `</div>`}
}

func coded(system, code, display string) obj {
	return obj{"coding": arr{obj{"system": system, "code": code, "display": display}}}
}

// new is a resource about a patient, with what every such type needs.
func (f *forge) new(p *person, typ string, secret bool, more obj) obj {
	r := obj{"resourceType": typ}
	if secret {
		r["id"] = f.canary()
	} else {
		r["id"] = f.number(typ[:3] + "-")
	}
	switch typ {
	case "Immunization", "AllergyIntolerance", "Coverage", "Device", "FamilyMemberHistory":
	case "Binary", "Medication", "Practitioner", "Organization", "Location", "Provenance", "Appointment", "Task", "Group":
	default:
		r["subject"] = of(p)
	}
	for k, v := range more {
		r[k] = v
	}
	return r
}

const (
	loinc    = "http://loinc.org"
	icd      = "http://hl7.org/fhir/sid/icd-10-cm"
	local    = "urn:oid:2.16.840.1.113883.19.7"
	observed = "http://terminology.hl7.org/CodeSystem/observation-category"
)

func (f *forge) day() string { return f.clock.Format("2006-01-02") }

func (f *forge) sodium(p *person) obj {
	return f.new(p, "Observation", false, obj{"status": "final", "category": arr{coded(observed, "laboratory", "Laboratory")},
		"code": coded(loinc, "2951-2", "Sodium"), "effectiveDateTime": f.day(), "valueQuantity": obj{"value": 130 + f.IntN(20), "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}})
}

// secretTest is an Observation that is sensitive by one of its parts.
func (f *forge) secretTest(p *person, k kind) (obj, string) {
	o := f.new(p, "Observation", true, obj{"status": "final", "code": text("Result"), "effectiveDateTime": "1994-02-1" + fmt.Sprint(f.IntN(10)),
		"valueString": f.canary(), "identifier": arr{obj{"system": local, "value": f.canary()}}})
	switch f.IntN(8) {
	case 0:
		o["code"] = obj{"coding": arr{obj{"system": loinc, "code": k.code}}}
		return o, "by its code alone"
	case 1:
		o["code"] = text(k.test + " " + f.canary())
		return o, "by its name"
	case 2:
		o["note"] = arr{obj{"text": k.says + " " + f.canary()}}
		return o, "in a note"
	case 3:
		o["valueString"] = k.says + " " + f.canary()
		return o, "in its value"
	case 4:
		o["component"] = arr{obj{"code": coded(loinc, k.code, k.test), "valueString": f.canary()}}
		return o, "by a component"
	case 5:
		o["text"] = narrative(k.says + " " + f.canary())
		return o, "in its narrative"
	case 6:
		o["contained"] = arr{obj{"resourceType": "Specimen", "id": "s", "type": text(k.specimen)}}
		o["specimen"] = obj{"reference": "#s"}
		return o, "by its contained specimen"
	}
	o["extension"] = arr{obj{"url": "http://example.org/comment", "valueString": k.says + " " + f.canary()}}
	return o, "in an extension"
}

var harmlessPushes = []form{
	{"result", "ehr", func(f *forge, p *person) {
		o := f.sodium(p)
		f.push(p, "a sodium result", o)
		for range f.IntN(3) {
			o["valueQuantity"] = obj{"value": 120 + f.IntN(20), "unit": "mmol/L"}
			o["status"] = "corrected"
			f.push(p, "the sodium result, corrected", o)
		}
		if f.IntN(6) == 0 {
			f.drop("the sodium result is deleted", o, false)
		}
	}},
	{"report", "ehr", func(f *forge, p *person) {
		a, b := f.sodium(p), f.sodium(p)
		order := f.new(p, "ServiceRequest", false, obj{"status": "active", "intent": "order", "code": coded(loinc, "24321-2", "Basic metabolic panel")})
		who := f.new(p, "Practitioner", false, obj{"name": arr{obj{"family": "Osler", "given": arr{"Will"}}}})
		r := f.new(p, "DiagnosticReport", false, obj{"status": "final", "code": coded(loinc, "24321-2", "Basic metabolic panel"), "result": arr{to(a), to(b)},
			"basedOn": arr{to(order)}, "performer": arr{to(who)}, "conclusion": "Normal electrolytes", "issued": f.clock.Format("2006-01-02T15:04:05Z")})
		proof := f.new(p, "Provenance", false, obj{"target": arr{to(r), to(a), to(b)}, "recorded": f.clock.Format("2006-01-02T15:04:05Z"), "agent": arr{obj{"who": to(who)}}})
		f.bundle("a report with two results", entry{a, false}, entry{b, false}, entry{order, false}, entry{who, false}, entry{r, false}, entry{proof, false})
	}},
	{"problem", "ehr", func(f *forge, p *person) {
		f.push(p, "a diagnosis of hypertension", f.new(p, "Condition", false, obj{"code": coded(icd, "I10", "Essential hypertension"), "onsetDateTime": f.day(),
			"clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active")}))
	}},
	{"medication", "ehr", func(f *forge, p *person) {
		m := f.new(p, "Medication", false, obj{"code": text("Lisinopril 10 mg tablet")})
		r := f.new(p, "MedicationRequest", false, obj{"status": "active", "intent": "order", "medicationReference": to(m), "authoredOn": f.day()})
		f.bundle("a prescription", entry{m, false}, entry{r, false})
	}},
	{"vaccine", "ehr", func(f *forge, p *person) {
		f.push(p, "an influenza vaccination", f.new(p, "Immunization", false, obj{"patient": of(p), "status": "completed", "vaccineCode": coded("http://hl7.org/fhir/sid/cvx", "140", "Influenza, seasonal"), "occurrenceDateTime": f.day()}))
	}},
	{"allergy", "ehr", func(f *forge, p *person) {
		f.push(p, "an allergy to penicillin", f.new(p, "AllergyIntolerance", false, obj{"patient": of(p), "code": text("Penicillin")}))
	}},
	{"appointment", "ehr", func(f *forge, p *person) {
		place := f.new(p, "Location", false, obj{"name": "Room 2"})
		a := f.new(p, "Appointment", false, obj{"status": "booked", "reasonCode": arr{text("Blood pressure check")}, "start": f.clock.Add(500 * 60 * 60 * 1e9).Format("2006-01-02T15:04:05Z"),
			"end": f.clock.Add(501 * 60 * 60 * 1e9).Format("2006-01-02T15:04:05Z"), "participant": arr{obj{"actor": of(p), "status": "accepted"}, obj{"actor": to(place), "status": "accepted"}}})
		f.bundle("an appointment", entry{place, false}, entry{a, false})
	}},
	{"document", "ehr", func(f *forge, p *person) {
		_, value := file(f.IntN(3), "Cardiology consultation", "Blood pressure is well controlled.")
		typ, data := mime(value)
		b := f.new(p, "Binary", false, obj{"contentType": typ, "data": data})
		d := f.new(p, "DocumentReference", false, obj{"status": "current", "type": text("Cardiology consultation"), "date": f.clock.Format("2006-01-02T15:04:05Z"),
			"content": arr{obj{"attachment": obj{"contentType": typ, "url": "Binary/" + b["id"].(string)}}}})
		f.bundle("a letter", entry{b, false}, entry{d, false})
	}},
	{"message", "ehr", func(f *forge, p *person) {
		o := f.sodium(p)
		m := f.new(p, "Communication", false, obj{"status": "completed", "about": arr{to(o)}, "payload": arr{obj{"contentString": "Please repeat the sodium next week"}}})
		f.bundle("a message about a sodium result", entry{o, false}, entry{m, false})
	}},
	{"visit", "ehr", func(f *forge, p *person) {
		f.push(p, "a visit", f.new(p, "Encounter", false, obj{"status": "finished", "class": obj{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
			"reasonCode": arr{text("Blood pressure check")}, "period": obj{"start": f.day(), "end": f.day()}}))
	}},
	{"demographics", "ehr", func(f *forge, p *person) {
		p.phone = fmt.Sprintf("604-556-%04d", f.n)
		f.push(p, "a new telephone number", f.patient(p, false))
	}},
	{"by number", "ehr", func(f *forge, p *person) {
		o := but(f.sodium(p), obj{"identifier": arr{obj{"system": local, "value": f.number("S")}}})
		for range 1 + f.IntN(2) {
			f.byNumber("a sodium result of whoever has the number", false, f.patient(p, false), o)
		}
	}},
	{"directory", "ehr", func(f *forge, p *person) {
		f.push(p, "a clinic in the directory", f.new(p, "Organization", false, obj{"name": "Oak Street Clinic"}))
	}},
	{"roster", "ehr", func(f *forge, p *person) {
		r := f.roster(false, f.known())
		for range 1 + f.IntN(3) {
			f.push(p, "a roster", r)
			r = but(r, obj{"member": f.members(f.known())})
		}
		if f.IntN(6) == 0 {
			f.drop("the roster is deleted", r, false)
		}
	}},
	{"family history", "ehr", func(f *forge, p *person) {
		f.push(p, "a father's heart", f.family(p, false, coded(icd, "I21.9", "Acute myocardial infarction")))
	}},
}

// mime is the type and data of an OBX-5 of type ED.
func mime(ed string) (typ, data string) {
	for _, m := range []struct{ begins, typ string }{{"LAB^application^pdf^Base64^", "application/pdf"}, {"LAB^text^rtf^Base64^", "text/rtf"}, {"LAB^text^plain^Base64^", "text/plain"}} {
		if len(ed) > len(m.begins) && ed[:len(m.begins)] == m.begins {
			return m.typ, ed[len(m.begins):]
		}
	}
	panic("not a file")
}

// roster is a Group of people, of whatever source.
func (f *forge) roster(secret bool, of []*person) obj {
	r := f.new(nil, "Group", secret, obj{"type": "person", "actual": true, "name": "Panel of Oak Street", "identifier": arr{obj{"system": local, "value": f.number("G")}},
		"code": text("Panel"), "characteristic": arr{obj{"code": text("Followed by"), "valueCodeableConcept": text("Oak Street Clinic"), "exclude": false}}})
	f.rosters = append(f.rosters, r["id"].(string))
	return but(r, obj{"member": f.members(of)})
}

// known are some of those who are known for harmless reasons.
func (f *forge) known() (some []*person) {
	for _, p := range f.people {
		if !p.hidden && f.IntN(3) > 0 {
			some = append(some, p)
		}
	}
	return some
}

// members are nil for nobody: no array is empty.
func (f *forge) members(of []*person) any {
	var all arr
	for _, p := range of {
		m := obj{"entity": obj{"reference": "Patient/" + p.id()}}
		switch f.IntN(5) {
		case 0:
			m["inactive"] = true
		case 1:
			m["period"] = obj{"start": "2025-01-01", "end": one(f, "2025-06", "2031")}
		}
		all = append(all, m)
	}
	if all == nil {
		return nil
	}
	return all
}

// among puts somebody among the members of a roster: who is known from sensitive
// things alone, or from nothing; or is in it for a sensitive reason.
func (f *forge) among(r obj) obj {
	secret := obj{"entity": obj{"reference": "Patient/" + f.canary(), "display": f.canary()}}
	switch hidden := slices.DeleteFunc(slices.Clone(f.people), func(p *person) bool { return !p.hidden }); {
	case len(hidden) > 0 && f.IntN(4) > 0:
		secret = obj{"entity": obj{"reference": "Patient/" + hidden[f.IntN(len(hidden))].id()}, "period": obj{"start": "1994-02-11"}}
	case f.IntN(2) == 0:
		secret = obj{"entity": obj{"reference": "Patient/" + f.people[0].id()}, "period": obj{"start": "1994-02-11"}, "extension": arr{obj{"url": "http://example.org/why", "valueString": f.kind().says + " " + f.canary()}}}
	}
	members, _ := r["member"].(arr)
	at := f.IntN(len(members) + 1)
	return but(r, obj{"member": slices.Insert(slices.Clone(members), at, any(secret)), "quantity": len(members) + 1, "text": narrative("Among others " + f.canary())})
}

// family is what a father had.
func (f *forge) family(p *person, secret bool, had obj) obj {
	return f.new(p, "FamilyMemberHistory", secret, obj{"patient": of(p), "status": "completed", "relationship": coded("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "FTH", "father"),
		"condition": arr{obj{"code": had, "onsetAge": obj{"value": 57, "system": "http://unitsofmeasure.org", "code": "a"}}}})
}

var sensitivePushes = []form{
	{"roster", "ehr", func(f *forge, p *person) {
		k := f.kind()
		r := f.roster(true, f.people)
		switch f.IntN(3) {
		case 0:
			r["name"] = k.clinic + " " + f.canary()
		case 1:
			r["code"] = text(k.disease + " " + f.canary())
		case 2:
			r["characteristic"] = arr{obj{"code": text("Diagnosis"), "valueCodeableConcept": coded(icd, k.icd, k.disease), "exclude": false}}
		}
		f.hide(p, "a roster of "+k.name, r)
	}},
	{"result", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, how := f.secretTest(p, k)
		f.hide(p, k.name+" test, "+how, o)
		if f.IntN(3) == 0 {
			o["status"] = "corrected"
			f.hide(p, "it is corrected", o)
		}
		if f.IntN(4) == 0 {
			f.drop("it is deleted", o, true)
		}
	}},
	{"report", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o := f.new(p, "Observation", true, obj{"status": "final", "code": text("Result"), "valueString": f.canary()})
		order := f.new(p, "ServiceRequest", true, obj{"status": "active", "intent": "order", "code": text("Lab procedure")})
		who := f.new(p, "Practitioner", true, obj{"name": arr{obj{"family": f.canary()}}})
		r := f.new(p, "DiagnosticReport", true, obj{"status": "final", "code": text("Lab procedure"), "result": arr{to(o)}, "basedOn": arr{to(order)}, "performer": arr{to(who)}})
		how := ""
		switch f.IntN(5) {
		case 0:
			r["code"], how = text(k.panel+" "+f.canary()), "by its name"
		case 1:
			order["code"], how = text(k.panel+" "+f.canary()), "by its order"
		case 2:
			o["code"], how = text(k.test+" "+f.canary()), "by its one result"
		case 3:
			s := f.new(p, "Specimen", true, obj{"type": text(k.specimen)})
			r["specimen"], o["specimen"], how = arr{to(s)}, to(s), "by its specimen"
			f.bundle(k.name+" report, "+how, entry{o, true}, entry{order, true}, entry{who, true}, entry{s, true}, entry{r, true})
			return
		case 4:
			how = "in its PDF"
			r["presentedForm"] = arr{obj{"contentType": "application/pdf", "data": pdf("Report", k.says, f.canary())}}
		}
		f.bundle(k.name+" report, "+how, entry{o, true}, entry{order, true}, entry{who, true}, entry{r, true})
	}},
	{"problem", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a diagnosis of "+k.name, f.new(p, "Condition", true, obj{"code": one(f, coded(icd, k.icd, ""), text(k.disease+" "+f.canary())), "onsetDateTime": "1994-02-17", "note": arr{obj{"text": f.canary()}}}))
	}},
	{"what the patient masked", "ehr", func(f *forge, p *person) {
		r := f.new(p, "Condition", true, obj{"code": coded(icd, "I10", "Essential hypertension"), "note": arr{obj{"text": f.canary()}}})
		form := f.new(p, "DocumentReference", true, obj{"status": "current", "type": text("Form"), "content": arr{obj{"attachment": obj{"url": "https://example.org/" + f.canary()}}}})
		c := f.new(p, "Consent", true, obj{"status": "active", "scope": coded("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", ""),
			"sourceReference": to(form), "provision": obj{"type": "deny", "data": arr{obj{"meaning": one(f, "instance", "related"), "reference": to(r)}}}})
		delete(c, "subject")
		c["patient"] = of(p)
		task := f.new(p, "Task", true, obj{"status": "requested", "intent": "order", "for": of(p), "focus": to(one(f, r, c)), "description": f.canary()})
		f.bundle("a diagnosis that the patient asked to be masked", entry{r, true}, entry{form, true}, entry{c, true}, entry{task, true})
	}},
	{"medication", "ehr", func(f *forge, p *person) {
		k := f.kind()
		m := f.new(p, "Medication", true, obj{"code": text(k.drug + " " + f.canary())})
		r := f.new(p, "MedicationRequest", true, obj{"status": "active", "intent": "order", "medicationReference": to(m), "dosageInstruction": arr{text(f.canary())}})
		f.bundle("a prescription for "+k.name, entry{m, true}, entry{r, true})
	}},
	{"medication taken", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a drug for "+k.name, f.new(p, "MedicationStatement", true, obj{"status": "active", "medicationCodeableConcept": text(k.drug + " " + f.canary())}))
	}},
	{"appointment", "ehr", func(f *forge, p *person) {
		k := f.kind()
		place := f.new(p, "Location", true, obj{"name": f.canary()})
		a := f.new(p, "Appointment", true, obj{"status": "booked", "description": f.canary(), "participant": arr{obj{"actor": of(p), "status": "accepted"}, obj{"actor": to(place), "status": "accepted"}}})
		a["reasonCode"] = arr{text(k.reason)}
		if f.IntN(2) == 0 {
			place["name"] = k.clinic + " " + f.canary()
			delete(a, "reasonCode")
		}
		f.bundle("an appointment for "+k.name, entry{place, true}, entry{a, true})
	}},
	{"document", "ehr", func(f *forge, p *person) {
		k := f.kind()
		_, value := file(f.IntN(3), "Dear colleague", k.says, f.canary())
		typ, data := mime(value)
		b := f.new(p, "Binary", true, obj{"contentType": typ, "data": data})
		d := f.new(p, "DocumentReference", true, obj{"status": "current", "type": text("Letter"), "description": f.canary(),
			"content": arr{obj{"attachment": obj{"contentType": typ, "url": "Binary/" + b["id"].(string), "title": f.canary()}}}})
		f.bundle("a letter about "+k.name+", in its text alone", entry{b, true}, entry{d, true})
	}},
	{"message", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o := f.new(p, "Observation", true, obj{"status": "final", "code": text(k.test), "valueString": f.canary()})
		m := f.new(p, "Communication", true, obj{"status": "completed", "about": arr{to(o)}, "payload": arr{obj{"contentString": "Please call the clinic " + f.canary()}}})
		task := f.new(p, "Task", true, obj{"status": "requested", "intent": "order", "for": of(p), "focus": to(o), "description": f.canary()})
		f.hide(p, k.name+" test", o)
		f.hide(p, "a message about it", m)
		f.hide(p, "a task about it", task)
	}},
	{"visit", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a visit for "+k.name, f.new(p, "Encounter", true, obj{"status": "finished", "class": obj{"code": "AMB"}, "reasonCode": arr{text(k.reason + " " + f.canary())}}))
	}},
	{"procedure", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a procedure for "+k.name, f.new(p, "Procedure", true, obj{"status": "completed", "code": text("Counselling"), "reasonCode": arr{text(k.disease)}, "note": arr{obj{"text": f.canary()}}}))
	}},
	{"plan", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a plan about "+k.name, f.new(p, "CarePlan", true, obj{"status": "active", "intent": "plan", "title": k.reason + " " + f.canary()}))
	}},
	{"claim", "ehr", func(f *forge, p *person) {
		k := f.kind()
		c := f.new(p, "ExplanationOfBenefit", true, obj{"patient": of(p), "status": "active", "use": "claim", "outcome": "complete", "created": "1994-02-11",
			"type": text("Pharmacy"), "insurer": obj{"display": f.canary()}, "provider": obj{"display": f.canary()}, "insurance": arr{obj{"focal": true, "coverage": obj{"display": f.canary()}}},
			"diagnosis": arr{obj{"sequence": 1, "diagnosisCodeableConcept": coded(icd, k.icd, k.disease)}}})
		delete(c, "subject")
		f.hide(p, "a bill for "+k.name, c)
	}},
	{"tagged by its source", "ehr", func(f *forge, p *person) {
		o := f.new(p, "Observation", true, obj{"status": "final", "code": text("Sodium"), "valueString": f.canary(),
			"meta": obj{"security": arr{obj{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}}}})
		f.hide(p, "a result tagged HIV by its source", o)
	}},
	{"by number", "ehr", func(f *forge, p *person) {
		k := f.kind()
		c := f.new(p, "Condition", true, obj{"code": coded(icd, k.icd, k.disease), "identifier": arr{obj{"system": local, "value": f.canary()}}})
		for range 1 + f.IntN(2) {
			f.byNumber("a diagnosis of "+k.name+" of whoever has the number", true, f.patient(p, true), c)
		}
	}},
	{"demographics with it", "ehr", func(f *forge, p *person) {
		k := f.kind()
		if !p.hidden {
			return
		}
		c := f.new(p, "Condition", true, obj{"code": coded(icd, k.icd, k.disease)})
		f.bundle("a patient with a diagnosis of "+k.name, entry{f.patient(p, true), true}, entry{c, true})
	}},
	{"family history", "ehr", func(f *forge, p *person) {
		k := f.kind()
		f.hide(p, "a father's "+k.name, f.family(p, true, but(coded(icd, k.icd, k.disease), obj{"text": f.canary()})))
	}},
}

// host is a harmless resource that names a sensitive one; without secrets it
// does not, nor has it words that might speak of it.
func (f *forge) host(what string, p *person, secret obj, whole, harmless obj) {
	named := f.hide(p, "what it names", secret)
	request := f.number("R")
	e := &event{what: what, source: "ehr", kind: inbox.FHIR, control: request, whole: f.put(request, whole), harmless: f.put(request, harmless)}
	f.add(e)
	if f.IntN(2) == 0 { // the reference comes before what it leads to, which is not known yet
		named.fact = f.tick()
		opening(e, named)
	}
}

// but is a resource with something changed.
func but(r, change obj) obj {
	out := obj{}
	for k, v := range r {
		out[k] = v
	}
	for k, v := range change {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

var mixedPushes = []form{
	{"roster", "ehr", func(f *forge, p *person) {
		r := f.roster(false, f.known())
		for range 1 + f.IntN(3) {
			request := f.number("R")
			f.add(&event{what: "a roster with somebody nobody may know of", source: "ehr", kind: inbox.FHIR, control: request, whole: f.put(request, f.among(r)), harmless: f.put(request, r)})
			if f.IntN(2) == 0 {
				f.hide(p, "somebody else whom nobody may know of", f.among(r))
			}
			if f.IntN(3) == 0 {
				r = but(r, obj{"member": f.members(f.known())})
			}
		}
	}},
	{"roster and result", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, how := f.secretTest(p, k)
		f.bundle("a roster and an "+k.name+" test, "+how+", in one transaction", entry{f.roster(false, f.known()), false}, entry{o, true})
	}},
	{"transaction", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, how := f.secretTest(p, k)
		f.bundle("a sodium result and an "+k.name+" test, "+how+", in one transaction", entry{f.sodium(p), false}, entry{o, true})
	}},
	{"report", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, _ := f.secretTest(p, k)
		a := f.sodium(p)
		f.push(p, "a sodium result", a)
		r := f.new(p, "DiagnosticReport", false, obj{"status": "final", "code": coded(loinc, "24321-2", "Basic metabolic panel")})
		f.host("a report of both", p, o, but(r, obj{"result": arr{to(o), to(a)}, "conclusion": "See the first result", "text": narrative("Two results")}), but(r, obj{"result": arr{to(a)}}))
	}},
	{"panel", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, _ := f.secretTest(p, k)
		a := f.sodium(p)
		f.push(p, "a sodium result", a)
		r := f.new(p, "Observation", false, obj{"status": "final", "code": coded(loinc, "24321-2", "Basic metabolic panel")})
		f.host("a panel of both", p, o, but(r, obj{"hasMember": arr{to(a), to(o)}}), but(r, obj{"hasMember": arr{to(a)}}))
	}},
	{"visit", "ehr", func(f *forge, p *person) {
		k := f.kind()
		c := f.new(p, "Condition", true, obj{"code": coded(icd, k.icd, k.disease)})
		h := f.new(p, "Condition", false, obj{"code": coded(icd, "I10", "Essential hypertension")})
		f.push(p, "hypertension", h)
		r := f.new(p, "Encounter", false, obj{"status": "finished", "class": obj{"code": "AMB"}})
		f.host("a visit with both diagnoses", p, c, but(r, obj{"diagnosis": arr{obj{"condition": but(to(c), obj{"display": f.canary()}), "rank": 1}, obj{"condition": to(h), "rank": 2}}, "text": narrative("Two diagnoses")}),
			but(r, obj{"diagnosis": arr{obj{"condition": to(h), "rank": 2}}}))
	}},
	{"list", "ehr", func(f *forge, p *person) {
		k := f.kind()
		c := f.new(p, "Condition", true, obj{"code": coded(icd, k.icd, k.disease)})
		h := f.new(p, "Condition", false, obj{"code": coded(icd, "I10", "Essential hypertension")})
		f.push(p, "hypertension", h)
		r := f.new(p, "List", false, obj{"status": "current", "mode": "working", "title": "Problems"})
		f.host("a list of both problems", p, c, but(r, obj{"entry": arr{obj{"item": to(h)}, obj{"item": but(to(c), obj{"display": f.canary()}), "date": "1994-02-17"}}}), but(r, obj{"entry": arr{obj{"item": to(h)}}}))
	}},
	{"plan", "ehr", func(f *forge, p *person) {
		k := f.kind()
		s := f.new(p, "ServiceRequest", true, obj{"status": "active", "intent": "order", "code": text(k.test)})
		h := f.new(p, "ServiceRequest", false, obj{"status": "active", "intent": "order", "code": coded(loinc, "24321-2", "Basic metabolic panel")})
		f.push(p, "an order of chemistry", h)
		r := f.new(p, "CarePlan", false, obj{"status": "active", "intent": "plan", "title": "Blood pressure"})
		f.host("a plan with both orders", p, s, but(r, obj{"activity": arr{obj{"reference": to(s)}, obj{"reference": to(h)}}}), but(r, obj{"activity": arr{obj{"reference": to(h)}}}))
	}},
	{"composition", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, _ := f.secretTest(p, k)
		a := f.sodium(p)
		f.push(p, "a sodium result", a)
		r := f.new(p, "Composition", false, obj{"status": "final", "type": text("Discharge summary"), "title": "Discharge summary", "date": f.day(), "author": arr{obj{"display": "Dr Will Osler"}}})
		f.host("a summary with both results", p, o,
			but(r, obj{"section": arr{obj{"title": "Results", "entry": arr{to(a), to(o)}, "text": narrative("Two results")}}}),
			but(r, obj{"section": arr{obj{"title": "Results", "entry": arr{to(a)}}}}))
	}},
	{"provenance", "ehr", func(f *forge, p *person) {
		k := f.kind()
		o, _ := f.secretTest(p, k)
		a := f.sodium(p)
		f.push(p, "a sodium result", a)
		r := f.new(p, "Provenance", false, obj{"recorded": f.clock.Format("2006-01-02T15:04:05Z"), "agent": arr{obj{"who": obj{"display": "Oak Street Clinic"}}}})
		f.host("where both came from", p, o, but(r, obj{"target": arr{to(o), to(a), of(p)}}), but(r, obj{"target": arr{to(a), of(p)}}))
	}},
	{"order", "ehr", func(f *forge, p *person) {
		k := f.kind()
		c := f.new(p, "Condition", true, obj{"code": coded(icd, k.icd, k.disease)})
		h := f.new(p, "Condition", false, obj{"code": coded(icd, "I10", "Essential hypertension")})
		f.push(p, "hypertension", h)
		r := f.new(p, "MedicationRequest", false, obj{"status": "active", "intent": "order", "medicationCodeableConcept": text("Lisinopril 10 mg tablet")})
		f.host("a prescription for both reasons", p, c, but(r, obj{"reasonReference": arr{to(c), to(h)}}), but(r, obj{"reasonReference": arr{to(h)}}))
	}},
}
