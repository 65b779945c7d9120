package proof_test

import (
	"fmt"
	"slices"
	"strings"
)

// kind is a sensitivity in all the words that it comes in. The words are ours
// and plain: how well the recogniser knows rarer ones is its own tests' matter.
type kind struct {
	name     string
	code     string // of a test, LOINC
	test     string // its name
	panel    string // of a panel or order
	says     string // a sentence of a clinician
	icd      string // a diagnosis
	disease  string
	drug     string
	reason   string // of a visit
	document string // a document's type
	specimen string
	value    string
	instead  string // another value of the same length
	clinic   string
	vaccine  string
}

var kinds = []kind{
	{"HIV", "56888-1", "HIV 1+2 Ab+HIV1 p24 Ag", "HIV screen", "HIV-1 RNA was detected, patient informed", "B20", "Human immunodeficiency virus disease",
		"Biktarvy 50-200-25 mg tablet", "HIV clinic follow up", "HIV clinic letter", "Blood for HIV genotype", "Reactive", "Negative", "HIV clinic", ""},
	{"reproduction", "21198-7", "Choriogonadotropin.beta subunit", "Pregnancy test", "Therapeutic abortion discussed, early pregnancy confirmed", "Z33.2", "Encounter for elective termination of pregnancy",
		"Mifepristone 200 mg tablet", "Therapeutic abortion", "Abortion counselling note", "Products of conception", "Positive", "Negative", "Abortion clinic", ""},
	{"cancer", "2857-1", "Prostate specific Ag", "Tumour markers", "Invasive ductal carcinoma of the left breast", "C50.9", "Malignant neoplasm of breast",
		"Tamoxifen 20 mg tablet", "Chemotherapy", "Oncology consultation", "Breast tumour biopsy", "Elevated", "Lowered.", "Cancer clinic", ""},
}

func (f *forge) kind() kind { return kinds[(f.IntN(len(kinds))+f.variant)%len(kinds)] }

// Forms, of both kinds of source: harmless ones are shown to everyone under
// every policy, sensitive ones are withheld, whole, from everyone but their
// source, mixed ones hold both in one message.
var (
	harmless  = slices.Concat(harmlessMessages, harmlessParts, harmlessDocuments, harmlessPushes, harmlessCare)
	sensitive = slices.Concat(sensitiveMessages, sensitiveParts, sensitiveDocuments, lateMessages, sensitivePushes, latePushes, sensitiveCare)
	mixed     = slices.Concat(mixedMessages, mixedDocuments, mixedPushes, mixedCare)
)

var harmlessMessages = []form{
	{"panel", "", func(f *forge, p *person) {
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		l.groups = []group{f.chemistry()}
		f.hl7(p, "a chemistry panel", l, false)
	}},
	{"panel that changes", "", func(f *forge, p *person) {
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		g := f.chemistry()
		for i, state := range []string{"P", "F", "C"}[:2+f.IntN(2)] {
			g.state, g.at = state, f.tick()
			l.at, l.control = g.at, f.number("M")
			for n := range g.results {
				g.results[n].state = state
			}
			g.results[0].value = fmt.Sprint(136 + i)
			l.groups = []group{g}
			f.hl7(p, "a chemistry panel, "+state, l, false)
		}
	}},
	{"notes", "", func(f *forge, p *person) {
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		g := f.order("URINE^Urine culture^L", false)
		g.results = []result{{typ: "TX", code: "URINE^Urine culture^L", value: "No growth after two days", notes: []string{"Specimen received in good condition"}}}
		g.notes = []string{"Midstream urine"}
		g.specimen = "UR^Urine^HL70487"
		l.groups = []group{g}
		f.hl7(p, "a urine culture in words", l, false)
	}},
	{"document", "", func(f *forge, p *person) {
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		g := f.order("36643-5^XR Chest 2 Views^LN", false)
		typ, value := file(f.IntN(4), "Chest X-ray", "The lungs are clear.", "No pleural effusion.")
		g.results = []result{{typ: typ, code: "36643-5^XR Chest 2 Views^LN", value: value}}
		l.groups = []group{g}
		f.hl7(p, "an X-ray report", l, false)
	}},
	{"order, then result", "", func(f *forge, p *person) {
		g := f.chemistry()
		results := g.results
		g.results, g.control, g.state = nil, "NW", ""
		l := f.letter(p, "ORM^O01^ORM_O01", false)
		l.groups = []group{g}
		f.hl7(p, "an order", l, false)
		if f.IntN(3) > 0 {
			l = f.letter(p, "ORU^R01^ORU_R01", false)
			g.results, g.control, g.state, g.at = results, "RE", "F", l.at
			l.groups = []group{g}
			f.hl7(p, "its result", l, false)
		}
	}},
	{"drug order", "", func(f *forge, p *person) {
		l := f.letter(p, "ORM^O01^ORM_O01", false)
		g := f.order("", false)
		g.control, g.drug = "NW", "^"+one(f, "Lisinopril 10 mg tablet", "Metformin 500 mg tablet")+"||||"
		l.groups = []group{g}
		f.hl7(p, "an order of a drug", l, false)
	}},
	{"letter", "", func(f *forge, p *person) {
		l := f.letter(p, "MDM^T02^MDM_T02", false)
		number := f.number("D")
		typ, value := file(f.IntN(4), "Cardiology consultation", "Blood pressure is well controlled.")
		l.before = []string{"EVN|T02|" + hl7Time(l.at)}
		l.lines = []line{
			{"TXA|#|CN^Consultation|TX|" + hl7Time(l.at) + "|" + f.doctor(false) + "|" + hl7Time(l.at) + "|||||" + number + "^GENERAL|||||AU||AV", false},
			{"OBX|#|" + typ + "|CN^Cardiology consultation^L||" + value + "||||||F", false},
		}
		l.visit = or(l.visit, "PV1|1|N")
		f.hl7(p, "a cardiology letter", l, false)
		if f.IntN(4) == 0 {
			l.typ, l.control, l.at = "MDM^T11^MDM_T11", f.number("M"), f.tick()
			l.lines = l.lines[:1]
			f.hl7(p, "the letter is cancelled", l, false)
		}
	}},
	{"appointment", "", func(f *forge, p *person) {
		l := f.letter(p, "SIU^S12^SIU_S12", false)
		l.before = []string{f.booking(l.control, "CHECKUP^Blood pressure check^L", "Booked", false)}
		l.lines = []line{{"RGS|#|A", false}, {"AIS|#|A|CHECKUP^Blood pressure check^L", false}, {"AIP|#|A|" + f.doctor(false), false}, {"AIL|#|A|CLINIC2^3", false}}
		f.hl7(p, "an appointment", l, false)
	}},
	{"visit", "", func(f *forge, p *person) {
		l := f.letter(p, "ADT^A01^ADT_A01", false)
		number := f.number("V")
		l.before = []string{"EVN|A01|" + hl7Time(l.at)}
		l.visit = f.visit(number, false)
		l.lines = []line{{"DG1|#||I10^Essential hypertension^I10C|||A", false}, {"AL1|#|DA|PCN^Penicillin^L|MO|Rash", false}}
		f.hl7(p, "an admission", l, false)
		if f.IntN(2) == 0 {
			l.typ, l.control, l.at = "ADT^A03^ADT_A03", f.number("M"), f.tick()
			l.before = []string{"EVN|A03|" + hl7Time(l.at)}
			l.visit += "|" + hl7Time(l.at)
			f.hl7(p, "the discharge", l, false)
		}
	}},
	{"registration", "", func(f *forge, p *person) {
		l := f.letter(p, "ADT^A31^ADT_A05", false)
		l.before, l.visit = []string{"EVN|A31|" + hl7Time(l.at)}, "PV1|1|N"
		p.phone = fmt.Sprintf("604-556-%04d", f.n)
		l.patient = f.pid(p, false)
		l.lines = []line{{"NK1|#|Morgan^Pat|SPO|1 Main Street^^Vancouver|604-555-0001", false}}
		f.hl7(p, "a change of address", l, false)
	}},
}

func (f *forge) chemistry() group {
	g := f.order("24321-2^Basic metabolic panel^LN", false)
	g.results = []result{
		{typ: "NM", code: "2951-2^Sodium^LN", value: fmt.Sprint(130 + f.IntN(20)), unit: "mmol/L^mmol/L^UCUM", limits: "135-145"},
		{typ: "NM", code: "2823-3^Potassium^LN", value: fmt.Sprintf("%.1f", 3+f.Float64()*2), unit: "mmol/L^mmol/L^UCUM", limits: "3.5-5.0", flag: one(f, "", "H", "L")},
		{typ: "NM", code: "2160-0^Creatinine^LN", value: fmt.Sprint(60 + f.IntN(80)), unit: "umol/L^umol/L^UCUM", limits: "<110", notes: []string{"Slightly haemolysed"}, by: f.doctor(false)},
	}
	if f.IntN(2) == 0 {
		g.notes = []string{"Fasting specimen"}
	}
	return g
}

func (f *forge) booking(number, reason, state string, secret bool) string {
	if secret {
		number = f.canary()
	}
	return fmt.Sprintf("SCH|%s|%s|||||%s|ROUTINE|30|min|^^^%s||||||||||||||%s", number, number+"F", reason, hl7Time(f.clock.Add(200*60*60*1e9)), state)
}

var sensitiveMessages = []form{
	{"code alone", "", func(f *forge, p *person) { // no name, no words
		k := f.kind()
		f.result(p, k.name+" test, by its code alone", f.order(k.code+"^^LN", true), f.secretResult(k, "CWE", k.code+"^^LN", "X1^"+f.canary()))
	}},
	{"code and name", "", func(f *forge, p *person) {
		k := f.kind()
		f.result(p, k.name+" test, by code and name", f.order(k.code+"^"+k.test+"^LN", true), f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary()))
	}},
	{"panel alone", "", func(f *forge, p *person) {
		k := f.kind()
		f.result(p, k.name+" test, by the name of its panel alone", f.order("PANEL^"+k.panel+"^L", true), f.secretResult(k, "ST", "RESULT^Result^L", k.value+" "+f.canary()))
	}},
	{"name of the result alone", "", func(f *forge, p *person) {
		k := f.kind()
		f.result(p, k.name+" test, by the name of the result alone", f.order("PROC^Lab procedure^L", true), f.secretResult(k, "NM", "X9^"+k.test+"^L", "73911."+fmt.Sprint(f.IntN(1000))))
	}},
	{"text alone", "", func(f *forge, p *person) {
		k := f.kind()
		f.result(p, k.name+", in words alone", f.order("PROC^Lab procedure^L", true), f.secretResult(k, "TX", "COMMENT^Comment^L", k.says+" "+f.canary()))
	}},
	{"text over two lines", "", func(f *forge, p *person) {
		k := f.kind()
		words := strings.Fields(k.says + " " + f.canary())
		cut := 1 + f.IntN(len(words)-1)
		a := f.secretResult(k, "TX", "COMMENT^Comment^L", strings.Join(words[:cut], " "))
		b := f.secretResult(k, "TX", "COMMENT^Comment^L", strings.Join(words[cut:], " "))
		f.result(p, k.name+", in words over two lines", f.order("PROC^Lab procedure^L", true), a, b)
	}},
	{"note alone", "", func(f *forge, p *person) {
		k := f.kind()
		r := f.secretResult(k, "ST", "RESULT^Result^L", "see note "+f.canary())
		r.notes = []string{"Please note", k.says + " " + f.canary()}
		f.result(p, k.name+", in a note alone", f.order("PROC^Lab procedure^L", true), r)
	}},
	{"specimen alone", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order("PROC^Lab procedure^L", true)
		g.specimen = "X^" + k.specimen + " " + f.canary() + "^L"
		f.result(p, k.name+", by the specimen alone", g, f.secretResult(k, "ST", "RESULT^Result^L", f.canary()))
	}},
	{"reason alone", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order("PROC^Lab procedure^L", true)
		g.reason, g.control = k.icd+"^"+k.disease+" "+f.canary()+"^I10C", "NW"
		l := f.letter(p, "ORM^O01^ORM_O01", true)
		g.state = ""
		l.groups = []group{g}
		f.hl7(p, "an order for "+k.name+", by its reason alone", l, true)
	}},
	{"order alone", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ORM^O01^ORM_O01", true)
		g := f.order("X7^"+k.test+"^L", true)
		g.control, g.state = "NW", ""
		l.groups = []group{g}
		f.hl7(p, "an order of an "+k.name+" test", l, true)
	}},
	{"order, result apart", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order("X7^"+k.test+"^L", true)
		g.control, g.state = "NW", ""
		l := f.letter(p, "ORM^O01^ORM_O01", true)
		l.groups = []group{g}
		f.hl7(p, "an order of an "+k.name+" test", l, true)
		l = f.letter(p, "ORU^R01^ORU_R01", true)
		g.control, g.state = "RE", "F"
		g.results = []result{f.secretResult(k, "ST", "RESULT^Result^L", k.value+" "+f.canary())}
		l.groups = []group{g}
		f.hl7(p, "its result", l, true)
	}},
	{"document", "", func(f *forge, p *person) {
		k := f.kind()
		form := f.IntN(4)
		name := []string{"a PDF", "RTF", "base64 text", "text"}[form]
		typ, value := file(form, "Reference laboratory", k.says, f.canary())
		g := f.order("REF^Reference laboratory report^L", true)
		g.results = []result{f.secretResult(k, typ, "REF^Reference laboratory report^L", value)}
		f.result(p, k.name+", in "+name, g, g.results...)
	}},
	{"scan under a sensitive order", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order("X7^"+k.test+"^L", true)
		f.result(p, "a scan that cannot be read, under an order of an "+k.name+" test", g,
			f.secretResult(k, "ED", "SCAN^Scanned report^L", "LAB^image^jpeg^Base64^/9j/4AAQSkZJRgABAQ"))
	}},
	{"letter", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "MDM^T02^MDM_T02", true)
		typ, value := file(f.IntN(4), "Dear colleague", k.says, f.canary())
		title := one(f, k.document, "Letter")
		number := "|||||" + f.canary() + "|||||AU||AV"
		if f.IntN(2) == 0 { // it replaces, or adds to, what nothing else tells of
			l.typ = one(f, "MDM^T10^MDM_T02", "MDM^T06^MDM_T02")
			number = "||||||" + f.canary() + "|" + f.canary() + "||||AU||AV"
		}
		l.before = []string{"EVN|T02|" + hl7Time(l.at)}
		l.lines = []line{
			{"TXA|#|X^" + title + " " + f.canary() + "^L|TX|" + hl7Time(l.at) + "|" + f.doctor(true) + "|" + hl7Time(l.at) + number, false},
			{"OBX|#|" + typ + "|LETTER^Letter^L||" + value + "||||||F", false},
		}
		l.visit = or(l.visit, "PV1|1|N")
		f.hl7(p, "a letter about "+k.name, l, true)
	}},
	{"appointment", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SIU^S12^SIU_S12", true)
		l.before = []string{f.booking("", "X^"+k.reason+" "+f.canary()+"^L", "Booked", true)}
		l.lines = []line{{"RGS|#|A", false}, {"AIS|#|A|X^" + k.reason + "^L", false}, {"AIP|#|A|" + f.doctor(true), false}, {"AIL|#|A|" + f.canary() + "^" + f.canary(), false}}
		f.hl7(p, "an appointment for "+k.name, l, true)
	}},
	{"drug order", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ORM^O01^ORM_O01", true)
		g := f.order("", true)
		g.control, g.drug = "NW", "^"+k.drug+"|||||^"+f.canary()
		l.groups = []group{g}
		f.hl7(p, "an order of a drug for "+k.name, l, true)
	}},
	{"visit", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A04^ADT_A01", true)
		l.before = []string{"EVN|A04|" + hl7Time(l.at)}
		l.visit = f.visit(f.canary(), true)
		l.middle = []string{"PV2|||X^" + k.reason + " " + f.canary() + "^L"}
		l.lines = []line{{"DG1|#||" + k.icd + "^" + k.disease + " " + f.canary() + "^I10C|||A", false}}
		f.hl7(p, "a visit for "+k.name, l, true)
	}},
	{"preliminary, final, corrected, deleted", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.order(k.code+"^"+k.test+"^LN", true)
		for _, state := range []string{"P", "F", "C", "D"}[:2+f.IntN(3)] {
			l := f.letter(p, "ORU^R01^ORU_R01", true)
			g.state, g.at = state, l.at
			r := f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary())
			if r.state = state; state == "D" {
				g.state = "C"
			}
			g.results = []result{r}
			l.groups = []group{g}
			f.hl7(p, k.name+" test, "+state, l, true)
		}
	}},
}

// result adds a report of one group.
func (f *forge) result(p *person, what string, g group, results ...result) {
	l := f.letter(p, "ORU^R01^ORU_R01", true)
	g.results = results
	l.groups = []group{g}
	f.hl7(p, what, l, true)
}

func (f *forge) secretResult(k kind, typ, code, value string) result {
	r := result{secret: true, typ: typ, code: code, value: value, by: f.doctor(true)}
	if f.IntN(2) == 0 {
		r.limits, r.flag = f.canary(), "A"
	}
	if f.IntN(2) == 0 { // who observed it, for whom, where and with what
		r.part = fmt.Sprintf("PRT|1|AD||RO|%s|%s|%s|%s|%s|%s^MAKER||||%s^^%s|^WPN^PH^^^%s|%s||||%s", f.doctor(true), f.canary(), f.canary(), f.canary(), f.canary(), f.canary(), f.canary(), f.canary(), f.canary(), f.canary(), f.canary())
	}
	return r
}

var mixedMessages = []form{
	{"groups", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		s := f.order(k.code+"^"+k.test+"^LN", true)
		s.results = []result{f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary())}
		s.notes = []string{k.says + " " + f.canary()}
		l.groups = []group{f.chemistry(), s}
		if f.IntN(2) == 0 {
			l.groups = []group{s, f.chemistry()}
		}
		f.hl7(p, "a chemistry panel and an "+k.name+" test in one message", l, false)
	}},
	{"members of a panel", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		g := f.chemistry()
		r := f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary())
		r.notes = []string{k.says}
		at := f.IntN(len(g.results) + 1)
		g.results = append(g.results[:at:at], append([]result{r}, g.results[at:]...)...)
		l.groups = []group{g}
		f.hl7(p, "a chemistry panel with an "+k.name+" test in it", l, false)
	}},
	{"diagnoses", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A08^ADT_A01", false)
		l.before = []string{"EVN|A08|" + hl7Time(l.at)}
		l.visit = f.visit(f.number("V"), false)
		l.lines = []line{
			{"DG1|#||I10^Essential hypertension^I10C|||A", false},
			{"DG1|#||" + k.icd + "^" + k.disease + "^I10C|" + f.canary() + "||W", true},
			{"DG1|#||E11.9^Type 2 diabetes mellitus^I10C|||W", false},
		}
		f.Shuffle(len(l.lines), func(i, j int) { l.lines[i], l.lines[j] = l.lines[j], l.lines[i] })
		f.hl7(p, "a visit with a diagnosis of "+k.name+" among others", l, false)
	}},
	{"orders", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ORM^O01^ORM_O01", false)
		g, s := f.chemistry(), f.order("X7^"+k.test+"^L", true)
		g.results, g.state, g.control = nil, "", "NW"
		s.state, s.control = "", "NW"
		l.groups = []group{s, g}
		f.hl7(p, "orders of a chemistry panel and of an "+k.name+" test in one message", l, false)
	}},
	{"a member added later", "", func(f *forge, p *person) {
		k := f.kind()
		g := f.chemistry()
		g.state = "P"
		l := f.letter(p, "ORU^R01^ORU_R01", false)
		g.at, l.groups = l.at, []group{g}
		f.hl7(p, "a chemistry panel, preliminary", l, false)
		l = f.letter(p, "ORU^R01^ORU_R01", false)
		g.at, g.state = l.at, "F"
		g.notes = []string{"The last result was added"} // it speaks of what is cut
		g.results = append(g.results[:len(g.results):len(g.results)], f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary()))
		l.groups = []group{g}
		f.hl7(p, "the panel, final, with an "+k.name+" test added", l, false)
	}},
}

// merge joins two harmless records, or a harmless one with one that is known
// from sensitive events only.
func (f *forge) merge() {
	var all []*person
	source := "hospital"
	for _, p := range f.people {
		if p.hidden && p.source == "lab" {
			source = "lab"
		}
	}
	for _, p := range f.people {
		if p.source == source {
			all = append(all, p)
		}
	}
	if len(all) < 2 || f.IntN(3) == 0 {
		return
	}
	f.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	hiddenFirst := func(a, b *person) int {
		switch {
		case a.hidden == b.hidden:
			return 0
		case a.hidden:
			return -1
		}
		return 1
	}
	slices.SortStableFunc(all, hiddenFirst)
	from, into := all[0], all[len(all)-1]
	if into.hidden {
		return
	}
	for _, trigger := range []string{"A40", "A37"}[:1+f.IntN(4)/3] {
		l := f.letter(into, "ADT^"+trigger+"^ADT_A39", false)
		l.visit = ""
		l.before = []string{"EVN|" + trigger + "|" + hl7Time(l.at)}
		l.lines = []line{{fmt.Sprintf("MRG|%s^^^%s^MR", from.number, from.authority), false}}
		if trigger == "A37" {
			l.lines = []line{{fmt.Sprintf("PID|2||%s^^^%s^MR||%s", from.number, from.authority, from.family), false}}
			l.typ = "ADT^A37^ADT_A37"
		}
		f.hl7(into, "two records are merged, "+trigger, l, false)
	}
}

// move has visits and accounts turn out to be another patient's: one that harmless, mixed and
// sensitive messages name, and one of which only sensitive messages tell; now and then
// it was no mistake after all.
func (f *forge) move() {
	var all []*person
	for _, p := range f.people {
		if !p.hidden && p.source == "hospital" {
			all = append(all, p)
		}
	}
	if len(all) < 2 || f.IntN(3) == 0 {
		return
	}
	f.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	from, into := all[0], all[1]
	tell := func(from, into *person, visit string, secret bool) {
		l := f.letter(into, "ADT^A45^ADT_A45", secret)
		l.before, l.visit = []string{"EVN|A45|" + hl7Time(l.at)}, ""
		l.lines = []line{{fmt.Sprintf("MRG|%s^^^%s^MR||||%s", from.number, from.authority, visit), secret}}
		f.hl7(into, "a visit moves to another patient, A45", l, secret)
	}
	tellAccount := func(from, into *person, account string, secret bool) {
		l := f.letter(into, "ADT^A44^ADT_A43", secret)
		l.before, l.visit = []string{"EVN|A44|" + hl7Time(l.at)}, ""
		l.lines = []line{{fmt.Sprintf("MRG|%s^^^%s^MR||%s^^^%s", from.number, from.authority, account, from.authority), secret}}
		f.hl7(into, "an account moves to another patient, A44", l, secret)
	}
	book := func(l *letter, account string) { l.patient += "|||||" + account + "^^^" + from.authority }
	if f.IntN(2) == 0 {
		account := "K" + from.number
		l := f.letter(from, "ADT^A08^ADT_A01", false)
		l.before, l.visit = []string{"EVN|A08|" + hl7Time(l.at)}, f.visit("W"+from.number, false)
		book(&l, account)
		f.hl7(from, "a visit on an account that moves", l, false)
		tellAccount(from, into, account, false)
		if f.IntN(3) == 0 {
			tellAccount(into, from, account, false)
		}
	}
	visit := "V" + from.number
	tell(from, into, visit, false)
	if f.IntN(3) == 0 {
		tell(into, from, visit, false)
	}
	k, hidden := f.kind(), f.canary()
	for range 2 {
		l := f.letter(from, "ORU^R01^ORU_R01", true)
		l.visit = f.visit(hidden, true)
		booked := f.IntN(2) == 0
		if booked {
			book(&l, hidden)
		}
		g := f.order(k.code+"^"+k.test+"^LN", true)
		g.results = []result{f.secretResult(k, "ST", k.code+"^"+k.test+"^LN", k.value+" "+f.canary())}
		l.groups = []group{g}
		f.hl7(from, k.name+" test, in a visit that moves", l, true)
		if f.IntN(2) == 0 {
			tell(from, into, hidden, true)
		}
		if booked {
			tellAccount(from, into, hidden, true)
		}
	}
}
