package proof_test

import "fmt"

// What surrounds care leaks easily: drugs dispensed and given, vaccinations,
// bills, referrals, problems name a secret without the order's or the result's words.

func (f *forge) orc(control, number, doctor string) string {
	return fmt.Sprintf("ORC|%s|%s|%sR|||||||||%s", control, number, number, doctor)
}

var harmlessCare = []form{
	{"vaccination", "", func(f *forge, p *person) {
		l := f.letter(p, "VXU^V04^VXU_V04", false)
		l.lines = []line{
			{f.orc("RE", f.number("P"), f.doctor(false)), false},
			{"RXA|0|1|" + hl7Time(l.at) + "||03^MMR^CVX|0.5|mL^mL^UCUM||00^New record^NIP001|" + f.doctor(false) + "|||||LOT7||MSD^Merck^MVX|||CP|A", false},
			{"RXR|IM^Intramuscular^HL70162|LA^Left arm^HL70163", false},
			{"OBX|#|CE|69764-9^Document type^LN|1|X^MMR information^L||||||F", false},
		}
		f.hl7(p, "a vaccination", l, false)
	}},
	{"drug dispensed and given", "", func(f *forge, p *person) {
		number, doctor := f.number("P"), f.doctor(false)
		l := f.letter(p, "RDE^O11^RDE_O11", false)
		l.lines = []line{{f.orc("NW", number, doctor), false}, {"RXE|^^^" + hl7Time(l.at) + "|^Metformin 500 mg tablet|500||mg", false}, {"RXR|PO", false}}
		f.hl7(p, "an order of a drug as the pharmacy made it out", l, false)
		l = f.letter(p, "RDS^O13^RDS_O13", false)
		l.lines = []line{{f.orc("RE", number, doctor), false}, {"RXD|1|^Metformin 500 mg tablet|" + hl7Time(l.at) + "|60|tab||RX77", false}}
		f.hl7(p, "the drug is dispensed", l, false)
		l = f.letter(p, "RAS^O17^RAS_O17", false)
		l.lines = []line{{f.orc("RE", number, doctor), false}, {"RXA|0|1|" + hl7Time(l.at) + "||^Metformin 500 mg tablet|500|mg||^Taken with water|" + doctor + "||||||||||CP|A", false}, {"RXR|PO", false}}
		f.hl7(p, "the drug is given", l, false)
	}},
	{"referral", "", func(f *forge, p *person) {
		l := f.letter(p, "REF^I12^REF_I12", false)
		l.before = []string{"RF1|P|R|CAR^Cardiology^L|||" + f.number("REF") + "^GENERAL|||" + hl7Time(l.at) + "|R07.9^Chest pain^I10C", "PRD|RP|Osler^Will|||||D200"}
		l.lines = []line{{"DG1|#||I10^Essential hypertension^I10C|||W", false}}
		f.hl7(p, "a referral", l, false)
	}},
	{"problem and goal", "", func(f *forge, p *person) {
		l := f.letter(p, "PPR^PC1^PPR_PC1", false)
		l.lines = []line{{"PRB|AD|" + hl7Time(l.at) + "|E11.9^Type 2 diabetes mellitus^I10C|" + f.number("PRB") + "^EHR|||" + hl7Time(l.at), false},
			{"GOL|AD|" + hl7Time(l.at) + "|^Walk daily|" + f.number("GOL") + "^EHR", false}}
		f.hl7(p, "a problem and a goal", l, false)
	}},
	{"bill", "", func(f *forge, p *person) {
		l := f.letter(p, "DFT^P03^DFT_P03", false)
		l.before = []string{"EVN|P03|" + hl7Time(l.at)}
		l.patient += "|||||||A77^^^GENERAL"
		l.lines = []line{{"FT1|#|" + f.number("T") + "|B|" + hl7Time(l.at) + "|" + hl7Time(l.at) + "|CG|OV3^Office visit^L|||1|75&USD", false}, {"PR1|#||93000^Electrocardiogram^C4||" + hl7Time(l.at), false}, {"GT1|#||Morgan^Pat", false}}
		f.hl7(p, "a bill", l, false)
	}},
	{"results by specimen", "", func(f *forge, p *person) {
		l := f.letter(p, "OUL^R22^OUL_R22", false)
		number := f.number("P")
		l.lines = []line{{"SPM|#|" + number + "S&EHR^" + number + "SF&LAB||BLD^Blood^HL70487", false}, {"OBR|#|" + number + "|" + number + "F|2951-2^Sodium^LN|||||||||||||||||||" + hl7Time(l.at) + "|||F", false},
			{"ORC|RE|" + number + "|" + number + "F", false}, {"OBX|#|NM|2951-2^Sodium^LN||140|mmol/L|135-145||||F", false}}
		f.hl7(p, "a result told by its specimen", l, false)
	}},
	{"staff file", "", func(f *forge, p *person) {
		l := f.letter(p, "MFN^M02^MFN_M02", false)
		l.before, l.patient, l.visit = []string{"MFI|PRA||UPD|||AL"}, "", ""
		l.lines = []line{{"MFE|MUP|1||D100|CWE", false}, {"STF|D100^^L|D100|Hodgkin^Mary|P^Physician^L", false}, {"ORG|1|CARD^Cardiology^L", false}}
		f.hl7(p, "a hospital's staff", l, false)
	}},
	{"appointment asked for", "", func(f *forge, p *person) {
		l := f.letter(p, "SRM^S01^SRM_S01", false)
		l.before = []string{f.request("X^Blood pressure check^L", f.number("A"))}
		f.hl7(p, "an appointment is asked for", l, false)
	}},
	{"swap of beds", "", func(f *forge, p *person) {
		var other *person
		for _, x := range f.people {
			if x != p && x.source == p.source && !x.hidden {
				other = x
			}
		}
		if other == nil {
			return
		}
		l := f.letter(p, "ADT^A17^ADT_A17", false)
		l.before, l.visit = []string{"EVN|A17|" + hl7Time(l.at)}, f.visit("V"+p.number, false)
		l.lines = []line{{f.pid(other, false), false}, {f.visit("V"+other.number, false), false}}
		f.hl7(p, "two patients exchange their beds", l, false)
	}},
	{"time that may not be booked", "", func(f *forge, p *person) {
		l := f.letter(p, "SIU^S23^SIU_S12", false)
		l.patient, l.visit = "", ""
		number := f.number("B")
		l.before = []string{f.blocked(number)}
		l.lines = []line{{"AIP|#||D100^Hodgkin^Mary", false}, {"AIL|#||CARD^^^GENERAL", false}}
		f.hl7(p, "a physician's time is blocked", l, false)
		l.typ, l.control, l.at = "SIU^S24^SIU_S12", f.number("M"), f.tick()
		l.lines = l.lines[:1]
		f.hl7(p, "and opened", l, false)
	}},
	{"carers", "", func(f *forge, p *person) {
		l := f.letter(p, "ADT^A31^ADT_A05", false)
		l.before, l.visit = []string{"EVN|A31|" + hl7Time(l.at)}, ""
		l.lines = []line{{"ROL|#|AD|PP|" + f.doctor(false) + "||||||||^WPN^PH^^^555^1717", false}, {"ROL|#|AD|CP|" + f.doctor(false) + "||||||||||General Practice", false}}
		f.hl7(p, "who cares for a patient", l, false)
	}},
}

// request is an ARQ.
func (f *forge) request(reason, number string) string {
	return fmt.Sprintf("ARQ|%s^APP||||||%s||30|min|%s", number, reason, hl7Time(f.clock.Add(200*60*60*1e9)))
}

// blocked is an SCH of a time that is no appointment.
func (f *forge) blocked(number string) string {
	return fmt.Sprintf("SCH||%s^APP|||||||30|min|^^^%s", number, hl7Time(f.clock.Add(200*60*60*1e9)))
}

var sensitiveCare = []form{
	{"appointment asked for", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SRM^S01^SRM_S01", true)
		l.before = []string{f.request("X^"+k.reason+" "+f.canary()+"^L", f.canary())}
		f.hl7(p, "an appointment for "+k.name+" is asked for", l, true)
	}},
	{"drug, from order to dose", "", func(f *forge, p *person) {
		k, number, doctor := f.kind(), f.canary(), f.doctor(true)
		from := f.IntN(3)
		l := f.letter(p, "RDE^O11^RDE_O11", true)
		l.lines = []line{{f.orc("NW", number, doctor), false}, {"RXO|^" + k.drug, false}, {"RXE|^^^" + hl7Time(l.at) + "|^" + k.drug + "|73911||mg", false}, {"NTE|1||" + f.canary(), false}, {"RXC|B|^" + f.canary(), false}}
		if from == 0 {
			f.hl7(p, "a drug for "+k.name+" is ordered", l, true)
		}
		l = f.letter(p, "RDS^O13^RDS_O13", true)
		l.lines = []line{{f.orc("RE", number, doctor), false}, {"RXD|1|^" + k.drug + "|" + hl7Time(l.at) + "|73911|tab||" + f.canary() + "||" + f.canary(), false}}
		if from < 2 {
			f.hl7(p, "a drug for "+k.name+" is dispensed", l, true)
		}
		l = f.letter(p, "RAS^O17^RAS_O17", true)
		l.lines = []line{{f.orc("RE", number, doctor), false}, {"RXA|0|1|" + hl7Time(l.at) + "||^" + k.drug + "|73911|mg||^" + f.canary() + "|" + doctor + "||||||||||CP|A", false}, {"RXR|PO", false}}
		f.hl7(p, "a drug for "+k.name+" is given", l, true)
	}},
	{"drug by its reason alone", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "RDE^O11^RDE_O11", true)
		l.lines = []line{{f.orc("NW", f.canary(), f.doctor(true)), false}, {"RXO|X^" + f.canary() + " tablet^L|73911||mg||||||||||||||||" + k.icd + "^" + k.disease + "^I10C", false}}
		f.hl7(p, "a drug that is told by its reason, "+k.name, l, true)
	}},
	{"referral", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "REF^I12^REF_I12", true)
		l.before = []string{"RF1|P|R|X^" + k.clinic + " " + f.canary() + "^L|||" + f.canary() + "^GENERAL|||" + hl7Time(l.at) + "|" + k.icd + "^" + k.disease + "^I10C", "PRD|RP|" + f.canary() + "^" + f.canary() + "|||||" + f.canary()}
		l.lines = []line{{"DG1|#||" + k.icd + "^" + k.disease + " " + f.canary() + "^I10C|||W", false}}
		f.hl7(p, "a referral for "+k.name, l, true)
	}},
	{"problem and goal", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "PPR^PC1^PPR_PC1", true)
		l.lines = []line{{"PRB|AD|" + hl7Time(l.at) + "|" + k.icd + "^" + k.disease + "^I10C|" + f.canary() + "^EHR|||" + hl7Time(l.at), false}, {"NTE|1||" + f.canary(), false},
			{"GOL|AD|" + hl7Time(l.at) + "|X^" + k.panel + " " + f.canary() + "^L|" + f.canary() + "^EHR", false}}
		f.hl7(p, "a problem and a goal, "+k.name, l, true)
	}},
	{"bill", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "DFT^P03^DFT_P03", true)
		l.before = []string{"EVN|P03|" + hl7Time(l.at)}
		l.patient += "|||||||" + f.canary() + "^^^" + f.canary()
		charge := []string{"X^" + k.test + "^L|||1|73911&USD", "X^" + f.canary() + "^L|||1|73911&USD||||||||" + k.icd + "^" + k.disease + "^I10C", "X^" + f.canary() + "^L|||1|73911&USD||||||||||||||||||^" + k.drug}[f.IntN(3)]
		l.lines = []line{{"FT1|#|" + f.canary() + "|B|" + hl7Time(l.at) + "|" + hl7Time(l.at) + "|CG|" + charge, false}, {"PR1|#||X^" + f.canary() + "^L||" + hl7Time(l.at), false},
			{"DG1|#||" + k.icd + "^" + k.disease + " " + f.canary() + "^I10C|||F", false}, {"GT1|#||" + f.canary() + "^" + f.canary(), false}, {"IN1|#|" + f.canary() + "||" + f.canary(), false}}
		f.hl7(p, "a bill for "+k.name, l, true)
	}},
	{"results by specimen", "", func(f *forge, p *person) {
		k, number := f.kind(), f.canary()
		l := f.letter(p, "OUL^R22^OUL_R22", true)
		l.lines = []line{{"SPM|#|" + number + "S&EHR^" + number + "SF&LAB||X^" + k.specimen + "^L", false}, {"OBX|#|ST|VOL^Volume^L||" + f.canary() + "||||||F", false},
			{"OBR|#|" + number + "|" + number + "F|PROC^Lab procedure^L|||||||||||||||||||" + hl7Time(l.at) + "|||F", false}, {"OBX|#|ST|RESULT^Result^L||" + f.canary() + "||||||F", false}}
		f.hl7(p, "a result told by a specimen for "+k.name, l, true)
	}},
	{"visit by its restriction alone", "", func(f *forge, p *person) {
		l := f.letter(p, "ADT^A04^ADT_A01", true)
		l.before, l.visit = []string{"EVN|A04|" + hl7Time(l.at)}, f.visit(f.canary(), true)
		l.lines = []line{{"ARV|#|A|" + "HIV^" + f.canary(), false}}
		f.hl7(p, "a visit that is restricted, of which nothing else tells", l, true)
	}},
	{"time of a clinic that tells", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SIU^S23^SIU_S12", true)
		l.patient, l.visit, l.before = "", "", []string{f.blocked(f.canary())}
		l.lines = []line{{"AIL|#||" + k.clinic + " " + f.canary() + "^" + f.canary(), false}}
		f.hl7(p, "the time of a clinic for "+k.name+" is blocked", l, true)
	}},
}

var mixedCare = []form{
	{"staff file with a clinic that tells", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "MFN^M02^MFN_M02", false)
		l.before, l.patient, l.visit = []string{"MFI|PRA||UPD|||AL"}, "", ""
		l.lines = []line{{"MFE|MUP|1||D200|CWE", false}, {"STF|D200^^L|D200|Osler^Will", false}, {"ORG|#|" + f.canary() + "^" + k.clinic + " " + f.canary() + "^L", true}, {"ORG|#|CARD^Cardiology^L", false}}
		f.hl7(p, "a hospital's staff with a clinic for "+k.name, l, false)
	}},
	{"drugs", "", func(f *forge, p *person) {
		k := f.kind()
		typ, seg := "RDE^O11^RDE_O11", "RXE|^^^"+hl7Time(f.clock)+"|^%s|5||mg"
		switch f.IntN(3) {
		case 0:
			typ, seg = "RDS^O13^RDS_O13", "RXD|1|^%s|"+hl7Time(f.clock)+"|5|tab"
		case 1:
			typ, seg = "RAS^O17^RAS_O17", "RXA|0|1|"+hl7Time(f.clock)+"||^%s|5|mg||||||||||||CP|A"
		}
		l := f.letter(p, typ, false)
		secret := []line{{f.orc("NW", f.canary(), f.doctor(true)), true}, {fmt.Sprintf(seg, k.drug+" "+f.canary()), true}}
		plain := []line{{f.orc("NW", f.number("P"), f.doctor(false)), false}, {fmt.Sprintf(seg, "Lisinopril 10 mg tablet"), false}}
		l.lines = append(secret, plain...)
		if f.IntN(2) == 0 {
			l.lines = append(plain, secret...)
		}
		f.hl7(p, "a drug for "+k.name+" beside another in one message", l, false)
	}},
	{"vaccination with a remark", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "VXU^V04^VXU_V04", false)
		l.lines = []line{
			{f.orc("RE", f.number("P"), f.doctor(false)), false},
			{"RXA|0|1|" + hl7Time(l.at) + "||88^Influenza, unspecified formulation^CVX|999|||01^Historical^NIP001||||||||||||CP|A", false},
			{"OBX|1|CE|X5^" + k.test + "^L|1|" + k.icd + "^" + k.disease + " " + f.canary() + "^I10C||||||F", true},
		}
		f.hl7(p, "a vaccination with a remark about "+k.name, l, false)
	}},
	{"procedures", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A08^ADT_A01", false)
		l.before, l.visit = []string{"EVN|A08|" + hl7Time(l.at)}, f.visit(f.number("V"), false)
		l.lines = []line{{"PR1|#||93000^Electrocardiogram^C4||" + hl7Time(l.at), false}, {"PR1|#||X^" + k.test + "^L|" + f.canary() + "|" + hl7Time(l.at) + "||||||" + f.doctor(true), true}}
		f.Shuffle(len(l.lines), func(i, j int) { l.lines[i], l.lines[j] = l.lines[j], l.lines[i] })
		f.hl7(p, "a visit with a procedure for "+k.name+" among others", l, false)
	}},
	{"bill", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "DFT^P03^DFT_P03", false)
		l.before, l.visit = []string{"EVN|P03|" + hl7Time(l.at)}, f.visit(f.number("V"), false)
		l.lines = []line{{"FT1|#|" + f.number("T") + "|B|" + hl7Time(l.at) + "|" + hl7Time(l.at) + "|CG|OV3^Office visit^L|||1|75&USD", false},
			{"FT1|#|" + f.canary() + "|B|" + hl7Time(l.at) + "|" + hl7Time(l.at) + "|CG|X^" + k.test + "^L|||1|73911&USD|||||||||" + f.doctor(true), true}}
		f.Shuffle(len(l.lines), func(i, j int) { l.lines[i], l.lines[j] = l.lines[j], l.lines[i] })
		f.hl7(p, "a bill with a charge for "+k.name+" among others", l, false)
	}},
	{"problems", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "PPR^PC1^PPR_PC1", false)
		l.lines = []line{{"PRB|AD|" + hl7Time(l.at) + "|E11.9^Type 2 diabetes mellitus^I10C|" + f.number("PRB") + "^EHR|||" + hl7Time(l.at), false},
			{"PRB|AD|" + hl7Time(l.at) + "|" + k.icd + "^" + k.disease + "^I10C|" + f.canary() + "^EHR|||" + hl7Time(l.at), true}}
		f.Shuffle(len(l.lines), func(i, j int) { l.lines[i], l.lines[j] = l.lines[j], l.lines[i] })
		f.hl7(p, "problems, "+k.name+" among them", l, false)
	}},
	{"results by specimen", "", func(f *forge, p *person) {
		k, number, secret := f.kind(), f.number("P"), f.canary()
		l := f.letter(p, "OUL^R22^OUL_R22", false)
		l.lines = []line{{"SPM|#|" + number + "S&EHR||BLD^Blood^HL70487", false},
			{"OBR|#|" + number + "|" + number + "F|2951-2^Sodium^LN|||||||||||||||||||" + hl7Time(l.at) + "|||F", false}, {"OBX|#|NM|2951-2^Sodium^LN||140|mmol/L|135-145||||F", false},
			{"OBR|#|" + secret + "|" + secret + "F|X^" + k.test + "^L|||||||||||||||||||" + hl7Time(l.at) + "|||F", true}, {"OBX|#|ST|RESULT^Result^L||" + f.canary() + "||||||F", true}}
		f.hl7(p, "results of one specimen, "+k.name+" among them", l, false)
	}},
	{"a carer of a clinic that tells", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "ADT^A31^ADT_A05", false)
		l.before, l.visit = []string{"EVN|A31|" + hl7Time(l.at)}, ""
		l.lines = []line{{"ROL|#|AD|CP|" + f.doctor(true) + "||||||||||" + k.clinic + " " + f.canary(), true}}
		f.hl7(p, "who cares for a patient, a clinic for "+k.name+" among them", l, false)
	}},
	{"time of several, of whom one tells", "", func(f *forge, p *person) {
		k := f.kind()
		l := f.letter(p, "SIU^S23^SIU_S12", false)
		l.patient, l.visit, l.before = "", "", []string{f.blocked(f.number("B"))}
		l.lines = []line{{"AIP|#||D100^Hodgkin^Mary", false}, {"AIL|#||" + k.clinic + " " + f.canary() + "^" + f.canary(), true}}
		f.hl7(p, "a physician's time is blocked with a clinic for "+k.name, l, false)
	}},
}
