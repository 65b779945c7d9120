package proof_test

import "fmt"

// Drugs and vaccines leak easily: what was dispensed or given for a secret
// reason names it without the order's words.

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
}

var sensitiveCare = []form{
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
}

var mixedCare = []form{
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
}
