package proof_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"firebreak/search"
)

func (g *asker) read(*audience) question {
	typ, id := g.ref()
	target := "/fhir/" + typ + "/" + id
	if g.IntN(20) == 0 { // under another type
		target = "/fhir/" + g.typeName() + "/" + id
	}
	switch g.IntN(12) {
	case 0:
		target += "?_summary=" + pick(g, "true", "text", "data", "count", "false")
	case 1:
		target += "?_elements=" + pick(g, "code", "subject", "status,code", "id", "result")
	case 2:
		target += "?_format=" + pick(g, "json", "xml", "application/fhir%2Bjson")
	}
	return question{target: target}
}

// validate asks for a judgement on what is not sent: of what lies at the address it
// must tell nothing.
func (g *asker) validate(*audience) question {
	typ, id := g.ref()
	return question{method: http.MethodPost, target: "/fhir/" + pick(g, typ, typ+"/"+id) + "/$validate" + pick(g, "", "?mode=update", "?mode=delete", "?profile=x"), form: "x=1"}
}

func (g *asker) vread(*audience) question {
	return question{target: "/fhir/" + g.word(func(w *words) []string { return w.versions }, "Observation/none/_history/1")}
}

func (g *asker) history(*audience) question {
	typ, id := g.ref()
	target := "/fhir/" + typ + "/" + id + "/_history"
	switch g.IntN(8) {
	case 0:
		target += "?_count=" + pick(g, "0", "1", "2")
	case 1:
		target += "?_since=" + url.QueryEscape(g.instant())
	case 2:
		target += "?_at=" + url.QueryEscape(g.date())
	}
	return question{target: target}
}

func (g *asker) summary(*audience) question {
	return question{target: "/fhir/Patient/" + g.patient() + "/$summary" + pick(g, "", "", "", "?_format=xml", "?profile=x")}
}

// histories is the history of a type, or of all.
func (g *asker) histories(who *audience) question {
	target := "/fhir/" + g.searched(who) + "/_history"
	if g.IntN(4) == 0 {
		target = "/fhir/_history"
	}
	v := url.Values{}
	if g.IntN(2) == 0 {
		v.Set("_count", pick(g, "0", "1", "2", "3", "10"))
	}
	switch g.IntN(6) {
	case 0, 1, 2:
		v.Set("_since", g.instant())
	case 3:
		v.Set("_at", g.date())
	}
	return question{target: target + "?" + v.Encode()}
}

func (g *asker) system(who *audience) question {
	switch n := g.IntN(20); {
	case n < 2:
		return g.batch(who)
	case n > 3:
		return g.overTypes(who)
	}
	if who.caller.Client().Source != "" {
		return question{target: "/fhir"}
	}
	return question{method: http.MethodPost, target: "/fhir", form: "x=1"}
}

// elsewhere are addresses that FHIR knows and this server does not.
func (g *asker) elsewhere(*audience) question {
	typ, id := g.ref()
	return question{target: "/fhir/" + pick(g, "", typ+"/"+id+"/$everything", "Patient/$everything",
		typ+"/$lastn", "$export", typ+"/"+id+"/$graphql", typ+"/$stats", typ+"/"+id+"/_history/1/x")}
}

// batch is several questions in one.
func (g *asker) batch(who *audience) question {
	var entries []string
	for range 1 + g.IntN(3) {
		one := pick(g, (*asker).search, (*asker).search, (*asker).read, (*asker).vread, (*asker).history, (*asker).histories, (*asker).within, (*asker).overTypes)(g, who)
		condition := ""
		if g.IntN(8) == 0 {
			condition = `"ifNoneMatch":` + strconv.Quote(g.word(func(w *words) []string { return w.etags }, `W/"1"`)) + ","
		}
		target, _ := json.Marshal(strings.TrimPrefix(one.target, "/fhir"))
		entries = append(entries, `{"request":{`+condition+`"method":"GET","url":`+string(target)+`}}`)
	}
	return question{method: http.MethodPost, target: "/fhir", form: `{"resourceType":"Bundle","type":"batch","entry":[` + strings.Join(entries, ",") + `]}`}
}

// export orders everything, or what is left of it.
func (g *asker) export(who *audience) question {
	at := pick(g, "", "/Patient", "/Patient", "/Group/none")
	if typ, id := g.ref(); typ == "Group" || g.IntN(12) == 0 {
		at = "/Group/" + id
	}
	v := url.Values{}
	typ := g.searched(who)
	if g.IntN(2) == 0 {
		v.Set("_type", typ+pick(g, "", ","+g.searched(who)))
		if g.IntN(2) == 0 {
			v.Set("_typeFilter", typ+"?"+g.only(typ))
		}
	}
	if g.IntN(3) == 0 {
		v.Set("_since", g.instant())
	}
	if g.IntN(4) == 0 {
		v.Set("_elements", pick(g, "id", "subject,code", typ+".identifier", typ+".text,identifier", "wings"))
	}
	if g.IntN(5) == 0 {
		v.Set("includeAssociatedData", pick(g, "LatestProvenanceResources", "RelevantProvenanceResources"))
	}
	return question{target: "/fhir" + at + "/$export?" + v.Encode()}
}

// only is a search without what says how to answer.
func (g *asker) only(typ string) string {
	v := url.Values{}
	g.filter(v, typ, paramsOf(typ), 0)
	return v.Encode()
}

// within is a search in a compartment.
func (g *asker) within(who *audience) question {
	_, query, _ := strings.Cut(g.search(who).target, "?")
	v, _ := url.ParseQuery(query)
	typ, focus := g.searched(who), "Patient/"+g.patient()
	switch {
	case g.about != nil && g.about.patient != "" && g.IntN(4) > 0:
		typ, focus = g.about.typ, "Patient/"+g.about.patient
	case g.IntN(3) == 0:
		focus = g.word(func(w *words) []string { return w.refs }, "Encounter/none")
	}
	for _, name := range []string{"patient", "subject", "_cursor"} {
		if g.IntN(4) > 0 {
			v.Del(name)
		}
	}
	if g.IntN(3) == 0 {
		typ, v = "*", url.Values{}
		g.control(v, "Observation")
		if g.IntN(2) == 0 {
			v.Set("_type", g.searched(who)+","+g.typeName())
		}
	}
	return question{target: "/fhir/" + focus + "/" + typ + "?" + v.Encode()}
}

func (g *asker) everything(who *audience) question {
	v := url.Values{}
	for _, name := range []string{"start", "end", "_since", "_count", "_type"} {
		if g.IntN(4) == 0 {
			v.Set(name, map[string]string{"start": g.date(), "end": g.date(), "_since": g.instant(), "_count": pick(g, "0", "1", "3", "50"), "_type": g.searched(who) + "," + g.typeName()}[name])
		}
	}
	return question{target: "/fhir/Patient/" + g.patient() + "/$everything?" + v.Encode()}
}

func (g *asker) lastn(who *audience) question {
	v := url.Values{"patient": {g.patient()}}
	if g.IntN(2) == 0 {
		v.Set("max", pick(g, "1", "2", "5"))
	}
	if g.IntN(2) == 0 {
		g.choose()
		g.filter(v, "Observation", paramsOf("Observation"), 0)
	}
	g.control(v, "Observation")
	return question{target: "/fhir/Observation/$lastn?" + v.Encode()}
}

// match looks for somebody by what only who knows the secrets knows, or anyone.
func (g *asker) match(*audience) question {
	p := g.world.people[g.IntN(len(g.world.people))]
	parts := []string{`"resourceType":"Patient"`}
	if g.IntN(2) == 0 {
		_, number, _ := strings.Cut(g.fact("Patient", "identifier"), "|")
		parts = append(parts, `"identifier":[{"value":`+strconv.Quote(pick(g, p.phn, p.number, or(number, "1")))+`}]`)
	}
	if g.IntN(3) > 0 {
		parts = append(parts, `"name":[{"family":`+strconv.Quote(p.family)+`}],"birthDate":"`+p.born[:4]+"-"+p.born[4:6]+"-"+p.born[6:]+`"`)
	}
	return question{method: http.MethodPost, target: "/fhir/Patient/$match", form: "{" + strings.Join(parts, ",") + "}"}
}

// pix asks by what other numbers somebody is known.
func (g *asker) pix(*audience) question {
	p := g.world.people[g.IntN(len(g.world.people))]
	v := url.Values{"sourceIdentifier": {or(g.fact("Patient", "identifier"), "urn:x|1")}}
	switch g.IntN(6) {
	case 0:
		v.Set("sourceIdentifier", base+"/fhir|Patient/"+g.patient())
	case 1, 2:
		v.Set("sourceIdentifier", pick(g, "urn:oid:"+mrn, "urn:ehr")+"|"+p.number)
	case 3:
		v.Set("sourceIdentifier", pick(g, "urn:oid:2.16.840.1.113883.4.50", "https://fhir.infoway-inforoute.ca/NamingSystem/ca-bc-patient-healthcare-id")+"|"+p.phn)
	}
	for range g.IntN(3) {
		system, _, _ := strings.Cut(or(g.fact("Patient", "identifier"), "urn:x|"), "|")
		v.Add("targetSystem", pick(g, system, base+"/fhir"))
	}
	return question{target: "/fhir/Patient/$ihe-pix?" + v.Encode()}
}

func (g *asker) docref(*audience) question {
	v := url.Values{"patient": {g.patient()}}
	if g.IntN(3) == 0 {
		v.Set(pick(g, "start", "end"), g.date())
	}
	if g.IntN(3) == 0 {
		v.Set("type", or(g.fact("DocumentReference", "type"), "34133-9"))
	}
	return question{target: "/fhir/DocumentReference/$docref?" + v.Encode()}
}

// overTypes is a search over several types.
func (g *asker) overTypes(who *audience) question {
	v := url.Values{}
	g.choose()
	typ := g.searched(who)
	if g.IntN(12) > 0 {
		v.Set("_type", typ+pick(g, "", ","+g.searched(who), ","+g.typeName()+","+g.searched(who)))
	}
	if g.IntN(8) > 0 {
		patient := g.patient()
		if g.about != nil && g.about.patient != "" && g.IntN(8) > 0 {
			patient = g.about.patient
		}
		v.Set(pick(g, "patient", "patient", "subject:Patient"), "Patient/"+patient)
	}
	if g.IntN(2) == 0 {
		g.filter(v, typ, paramsOf(typ), 0)
	}
	g.control(v, typ)
	return question{target: "/fhir?" + v.Encode()}
}

func (g *asker) withinByForm(who *audience) question    { return asForm(g.within(who)) }
func (g *asker) overTypesByForm(who *audience) question { return asForm(g.overTypes(who)) }
func (g *asker) searchByForm(who *audience) question    { return asForm(g.search(who)) }

func asForm(q question) question {
	path, query, _ := strings.Cut(q.target, "?")
	return question{method: http.MethodPost, target: path + "/_search", form: or(query, "_count=3")}
}

// search is a question in FHIR's grammar.
func (g *asker) search(who *audience) question {
	if g.IntN(8) == 0 { // on to the next page, mostly of one's own
		from := who.name
		if g.IntN(6) == 0 {
			from = g.all[g.IntN(len(g.all))].name
		}
		if all := g.found.next[from]; len(all) > 0 {
			return question{target: all[g.IntN(len(all))]}
		}
	}
	if g.IntN(10) == 0 {
		if typ, v := g.hop(who); v != nil {
			g.control(v, typ)
			return question{target: "/fhir/" + typ + "?" + v.Encode()}
		}
	}
	g.choose()
	typ := g.searched(who)
	v := url.Values{}
	within := ownerOf(typ)
	if person := who.caller.Role() != ""; typ == "Patient" {
		p := g.world.people[g.IntN(len(g.world.people))]
		switch g.IntN(6) {
		case 0:
			v.Add("family", p.family)
			v.Add("birthdate", p.born[:4]+"-"+p.born[4:6]+"-"+p.born[6:])
		case 1:
			v.Add("identifier", p.phn)
		case 2:
			v.Add("identifier", or(g.fact("Patient", "identifier"), "1"))
		case 3, 4:
			v.Add("_id", g.patient())
		}
	} else if len(within) > 0 && (person && g.IntN(30) > 0 || g.IntN(2) == 0) {
		patient := g.patient()
		if g.about != nil && g.about.patient != "" && g.IntN(8) > 0 {
			patient = g.about.patient
		}
		name := pick(g, within...)
		if name != "patient" && g.IntN(10) > 0 || g.IntN(2) == 0 {
			patient = "Patient/" + patient
		}
		v.Add(name+pick(g, "", "", ":Patient"), patient)
	}
	params := paramsOf(typ)
	for range pick(g, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3) {
		g.filter(v, typ, params, 0)
	}
	g.control(v, typ)
	return question{target: "/fhir/" + typ + "?" + v.Encode()}
}

// searched is a type to search for: mostly one of which something is there.
func (g *asker) searched(who *audience) string {
	if who.name == "app-for-observations" && g.IntN(4) > 0 {
		return "Observation"
	}
	if who.name == "backend-for-results" && g.IntN(4) > 0 {
		return pick(g, "Observation", "DiagnosticReport", "Patient")
	}
	if g.about != nil && g.IntN(10) > 0 {
		if !needed[g.about.typ] || who.caller.Role() == "" { // a person finds those in no search
			return g.about.typ
		}
	}
	return g.typeName()
}

var paramsOf = memo(search.Params)

var includesOf = memo(search.Includes)

var revIncludesOf = memo(func(typ string) []string {
	return search.RevIncludes(typ, "Observation", "DiagnosticReport", "Provenance", "Encounter", "Condition", "DocumentReference", "Communication", "Task", "ServiceRequest",
		"MedicationRequest", "List", "CarePlan", "Appointment", "Composition", "Procedure", "ExplanationOfBenefit", "Specimen", "Immunization")
})

func memo[T any](f func(string) T) func(string) T {
	var mu sync.Mutex
	kept := map[string]T{}
	return func(s string) T {
		mu.Lock()
		defer mu.Unlock()
		if v, ok := kept[s]; ok {
			return v
		}
		v := f(s)
		kept[s] = v
		return v
	}
}

// filter adds one condition on typ, through up to three references.
func (g *asker) filter(v url.Values, typ string, params []search.Param, hops int) {
	name, value := g.condition(typ, params, hops)
	if name != "" {
		v.Add(name, value)
	}
}

func (g *asker) condition(typ string, params []search.Param, hops int) (name, value string) {
	if len(params) == 0 {
		return "", ""
	}
	if all := revIncludesOf(typ); hops < 3 && len(all) > 0 && g.IntN(8) == 0 {
		source, param, _ := strings.Cut(g.likely(all), ":")
		of := g.about
		defer g.along(func(c *card) bool {
			return c.typ == source && of != nil && slices.Contains(c.facts[param], of.typ+"/"+of.id)
		})()
		name, value = g.condition(source, paramsOf(source), hops+1)
		return "_has:" + source + ":" + param + ":" + name, value
	}
	p := params[g.IntN(len(params))]
	for range 8 { // rather one by which something could be found
		if g.fact(typ, p.Name) != "" || g.IntN(30) == 0 {
			break
		}
		p = params[g.IntN(len(params))]
	}
	if len(p.Target) > 0 && hops < 3 && g.IntN(2) == 0 {
		target, id, _ := strings.Cut(g.fact(typ, p.Name), "/")
		if !slices.Contains(p.Target, target) {
			target = p.Target[g.IntN(len(p.Target))]
		}
		defer g.along(func(c *card) bool { return c.typ == target && c.id == id })()
		name, value = g.condition(target, paramsOf(target), hops+1)
		return p.Name + pick(g, ":"+target, ":"+target, "") + "." + name, value
	}
	modifier := ""
	if g.IntN(5) == 0 {
		if len(p.Modifiers) > 0 {
			modifier = pick(g, p.Modifiers...)
		}
		if modifier == "" || g.IntN(8) == 0 {
			modifier = pick(g, "not", "missing", "text", "above", "in", "exact", "contains", "identifier")
		}
		if slices.Contains([]string{"in", "not-in", "above", "below"}, modifier) && p.Type == "token" {
			return p.Name + ":" + modifier, g.terms(typ, p, modifier)
		}
		if modifier == "missing" {
			return p.Name + ":missing", pick(g, "true", "false")
		}
		if modifier == "of-type" {
			_, number, _ := strings.Cut(g.fact(typ, p.Name), "|")
			return p.Name + ":of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|" + pick(g, "MR", "JHN", "PLAC", "FILL", "VN") + "|" + or(number, "1")
		}
		modifier = ":" + modifier
	}
	value = g.value(typ, p)
	if g.IntN(10) == 0 {
		value += "," + g.value(typ, p)
	}
	return p.Name + modifier, value
}

// terms are what the codes of p are held against: value sets with sensitive codes
// and harmless ones, or a code with those above or below it.
func (g *asker) terms(typ string, p search.Param, modifier string) string {
	if strings.HasSuffix(modifier, "in") {
		return g.set() + pick(g, "", "", ","+g.set())
	}
	if _, code, coded := strings.Cut(g.fact(typ, p.Name), "|"); coded && code != "" && g.IntN(2) == 0 {
		return g.fact(typ, p.Name)
	}
	return pick(g, "http://loinc.org|SENSITIVE", "http://loinc.org|HARMLESS", "http://loinc.org|ALL", "http://hl7.org/fhir/sid/icd-10-cm|SENSITIVE", "http://terminology.hl7.org/CodeSystem/condition-clinical|active",
		escaped(g.word(func(w *words) []string { return w.tokens }, "http://loinc.org|2951-2")))
}

func (g *asker) set() string {
	return pick(g, "http://proof.test/sensitive", "http://proof.test/sensitive", "http://proof.test/harmless", "http://proof.test/both", "ValueSet/both", "http://proof.test/below",
		"http://hl7.org/fhir/ValueSet/observation-status", "http://hl7.org/fhir/ValueSet/condition-clinical", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", "http://hl7.org/fhir/ValueSet/condition-code", "http://proof.test/none")
}

// expand and lookUp ask for what is known of codes: it is the same for everyone.
func (g *asker) expand(*audience) question {
	of := url.QueryEscape(g.set())
	return question{target: "/fhir/ValueSet/" + pick(g, "$expand?url="+of+"&filter="+url.QueryEscape(g.word(func(w *words) []string { return w.codes }, "2951-2")), "sensitive/$expand?filter=HIV", "both/$expand?count=1")}
}

func (g *asker) validateCode(*audience) question {
	system, code, _ := strings.Cut(g.word(func(w *words) []string { return w.tokens }, "http://loinc.org|2951-2"), "|")
	v := url.Values{"system": {system}, "code": {code}}
	if g.IntN(2) == 0 {
		return question{target: "/fhir/ValueSet/both/$validate-code?" + v.Encode()}
	}
	v.Set("url", g.set())
	return question{target: "/fhir/ValueSet/$validate-code?" + v.Encode()}
}

func (g *asker) lookUp(*audience) question {
	system, code, _ := strings.Cut(g.word(func(w *words) []string { return w.tokens }, "http://loinc.org|2951-2"), "|")
	return question{target: "/fhir/CodeSystem/$lookup?" + url.Values{"system": {system}, "code": {code}}.Encode()}
}

// likely is one of the references "Type:parameter", mostly of a type of which
// something is there.
func (g *asker) likely(all []string) string {
	one := pick(g, all...)
	for range 8 {
		if typ, param, _ := strings.Cut(one, ":"); g.fact(typ, param) != "" || typ == "*" || g.IntN(30) == 0 {
			break
		}
		one = pick(g, all...)
	}
	return one
}

func (g *asker) value(typ string, p search.Param) string {
	if g.IntN(8) > 0 {
		s := g.fact(typ, p.Name)
		if p.Type == "composite" {
			s = g.composite(typ, p.Name)
		}
		if p.Type == "date" || p.Type == "quantity" {
			s = pick(g, "", "", "eq", "ge", "le", "gt", "ne", "ap") + s
		}
		if len(s) > 2 {
			return s
		}
	}
	codes := func(w *words) []string { return w.codes }
	tokens := func(w *words) []string { return w.tokens }
	texts := func(w *words) []string { return w.texts }
	escape := escaped
	prefix := func() string {
		return pick(g, "", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
	}
	switch p.Type {
	case "token":
		switch g.IntN(6) {
		case 0:
			return escape(g.word(texts, "x"))
		case 1:
			return "|" + escape(g.word(codes, "x"))
		case 2:
			system, _, _ := strings.Cut(g.word(tokens, "http://loinc.org|1"), "|")
			return escape(system) + "|"
		case 3:
			return escape(g.word(tokens, "http://loinc.org|2951-2"))
		}
		if p.Name == "_id" {
			_, id := g.ref()
			return id
		}
		return escape(g.word(codes, "final", "2951-2"))
	case "string":
		return escape(g.word(texts, "Morgan", "a"))
	case "date":
		if strings.HasPrefix(p.Name, "_last") {
			return prefix() + g.instant()
		}
		return prefix() + g.date()
	case "reference":
		typ, id := g.ref()
		return pick(g, typ+"/"+id, id, base+"/fhir/"+typ+"/"+id)
	case "quantity":
		return prefix() + g.word(func(w *words) []string { return w.numbers }, "1") + pick(g, "", "|http://unitsofmeasure.org|mmol/L", "||mmol/L")
	case "number":
		return prefix() + g.word(func(w *words) []string { return w.numbers }, "1", "0")
	case "uri":
		return escape(g.word(func(w *words) []string { return w.urls }, "http://loinc.org"))
	case "special": // near, _list
		if p.Name == "near" {
			return pick(g, "49.3|-123.1|5|km", "0|0|30000", "49.3|-123.1")
		}
		if typ, id := g.ref(); typ == "List" || g.IntN(4) == 0 {
			return id
		}
		return "none"
	case "composite":
		second := pick(g, "gt1", "lt1000", g.word(codes, "x"), g.date())
		return escape(g.word(func(w *words) []string { return append(w.tokens, w.codes...) }, "2951-2")) + "$" + second
	}
	return g.word(codes, "x")
}

func (g *asker) date() string {
	d := g.word(func(w *words) []string { return w.dates }, "2026", "2026-03", "1994", "2026-03-04T05:06:07Z")
	if len(d) > 10 && g.IntN(2) == 0 {
		return d[:10]
	}
	return d
}

func (g *asker) instant() string {
	e := g.world.events[g.IntN(len(g.world.events))]
	return e.at.Add(time.Duration(g.IntN(3)-1) * time.Second).Format("2006-01-02T15:04:05Z")
}

// control adds the parameters that say how to answer.
func (g *asker) control(v url.Values, typ string) {
	if g.IntN(3) == 0 {
		v.Set("_count", pick(g, "0", "1", "1", "2", "2", "3", "5", "50"))
	}
	if g.IntN(5) == 0 {
		v.Set("_total", pick(g, "none", "estimate", "accurate"))
	}
	if g.IntN(8) == 0 {
		v.Set("_summary", pick(g, "true", "text", "data", "count", "count", "false"))
	}
	if g.IntN(20) == 0 {
		v.Set("_elements", pick(g, "code", "subject", "identifier,status"))
	}
	if g.IntN(5) == 0 {
		if params := paramsOf(typ); len(params) > 0 {
			p := params[g.IntN(len(params))].Name
			v.Set("_sort", pick(g, "", "-")+pick(g, "_lastUpdated", "_id", p, p, or(g.sorts(typ), p)))
		}
	}
	if g.IntN(6) == 0 {
		v.Add("_include"+pick(g, "", "", ":iterate"), g.likely(append(includesOf(typ), "*", "*", "*")))
	}
	if g.IntN(6) == 0 {
		if all := revIncludesOf(typ); len(all) > 0 {
			v.Add("_revinclude"+pick(g, "", "", ":iterate"), g.likely(append(slices.Clone(all), "*")))
		}
	}
	if g.IntN(20) == 0 {
		v.Set("_lastUpdated", pick(g, "gt", "lt", "ge", "le")+g.instant())
	}
	if g.IntN(30) == 0 {
		v.Set(pick(g, "_content", "_content", "_text", "_filter", "_list", "_cursor", "nonsense"), g.word(func(w *words) []string { return w.texts }, "x"))
	}
	if g.IntN(40) == 0 {
		v.Set("_format", pick(g, "json", "xml"))
	}
}

// sorts is a parameter in whose order things of a type commonly stand.
func (g *asker) sorts(typ string) string {
	for _, name := range []string{"date", "code", "status", "authored", "identifier"} {
		if g.fact(typ, name) != "" && g.IntN(2) == 0 {
			return name
		}
	}
	return ""
}
