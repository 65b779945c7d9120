package mapping_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebreak/mapping"
)

// probe shows by messages made for the purpose whether a row of the guide is
// implemented: a field gets a value that nothing else has, and the element must
// come to hold it.
type probe struct {
	keys     *mapping.Keys
	concepts map[string]map[string]string // concept map: v2 code to FHIR code
	carriers map[string][]carrier         // data type map: where it is at work
	known    map[string][]leaf            // mapped before

	structures map[string][]string // message structure: its segments, as the guide names them
}

// carrier is a place that a data type map is used at: part of a field that is
// known to reach an element.
type carrier struct {
	row    row
	with   string
	parts  []int  // components down to the data type; none: the field itself
	target string // the element that holds what the data type becomes
}

func newProbe(t testing.TB) *probe {
	p := &probe{keys: mapping.NewKeys(secret), concepts: map[string]map[string]string{}, carriers: map[string][]carrier{}, known: map[string][]leaf{}}
	p.structures = map[string][]string{}
	for _, r := range guide(t, "messages") {
		r.id = regexp.MustCompile(`^[A-Z]{3}_[A-Z0-9]{3}`).ReplaceAllString(r.id, r.table)
		all := p.structures[r.table]
		if again := slices.Contains(all, r.id); !again || r.table == "ADT_A17" && all[len(all)-1] != r.id { // which names both patients
			p.structures[r.table] = append(all, r.id)
		}
	}
	for _, c := range conceptMaps(t) {
		if p.concepts[c.table] == nil {
			p.concepts[c.table] = map[string]string{}
		}
		if _, twice := p.concepts[c.table][c.v2]; !twice {
			p.concepts[c.table][c.v2] = c.code
		}
	}
	return p
}

// hosts are the messages that segments stand in, each with the least that maps.
var hosts = map[string]string{
	"ADT": "MSH|^~\\&|APP|FAC|||20260102030405+0000||ADT^A01^ADT_A01|C1|P|2.5.1\rEVN|A01|\rPID|1||P1^^^HOSP^MR\rPD1|\rROL|\rPRT|1|AD||PP|D8^Part^Pat\rNK1|1|Kin^Ann|MTH\rPV1|1|I|||||||||||||||||V1^^^HOSP\rPV2|\rROL|\rOBX|1|ST|8302-2^Height^LN||x|||||F\rAL1|1|DA|ALG1^Nuts^L\rIAM|1|DA|ALG2^Eggs^L\rDG1|1||DX1^Gout^L\rPR1|1||PR9^Repair^L||20260101\rGT1|1||Payer^Pat\rIN1|1|PLAN1||Insurance Inc\rIN2|\rIN3|1\rACC|\rZBE|",
	"ORU": "MSH|^~\\&|APP|FAC|||20260102030405+0000||ORU^R01^ORU_R01|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rPV1|1|I|||||||||||||||||V1^^^HOSP\rORC|RE|\rOBR|1|||T1^Test^L|||||||||||||||||||||F\rNTE|1\rOBX|1|ST|R1^Result^L||x||||||F\rNTE|1\rPRT|1|AD||RO|D8^Part^Pat|||||||||||||||SER9\rSPM|1",
	"OML": "MSH|^~\\&|APP|FAC|||20260102030405+0000||OML^O21^OML_O21|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rPV1|1|I|||||||||||||||||V1^^^HOSP\rORC|NW|\rTQ1|1\rOBR|1|||T1^Test^L\rNTE|1\rSPM|1",
	"VXU": "MSH|^~\\&|APP|FAC|||20260102030405+0000||VXU^V04^VXU_V04|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rORC|RE||F1^LAB\rRXA|0|1|20260101||03^MMR^CVX\rRXR|",
	"RDE": "MSH|^~\\&|APP|FAC|||20260102030405+0000||OMP^O09^OMP_O09|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rORC|NW|O1^EHR\rTQ1|1\rRXO|D1^Drug^L\rRXR|",
	"RAS": "MSH|^~\\&|APP|FAC|||20260102030405+0000||RAS^O17^RAS_O17|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rORC|RE|O1^EHR\rRXA|0|1|20260101||D1^Drug^L\rRXR|",
	"SIU": "MSH|^~\\&|APP|FAC|||20260102030405+0000||SIU^S12^SIU_S12|C1|P|2.5.1\rSCH||A1^SCHED\rTQ1|1\rNTE|1\rPID|1||P1^^^HOSP^MR\rRGS|1\rAIS|1\rNTE|1\rAIG|1||G1^Scope^L\rAIL|1||WARD\rAIP|1||D7^Doc^Dee",
	"MDM": "MSH|^~\\&|APP|FAC|||20260102030405+0000||MDM^T02^MDM_T02|C1|P|2.5.1\rPID|1||P1^^^HOSP^MR\rTXA|1|||||||||||N1^DOCS\rOBX|1|TX|||x||||||F\rNTE|1",
	"SN":  "MSH|^~\\&|APP|FAC|||20260102030405+0000||ADT^A01^ADT_A01|C1|P|2.5.1\rEVN|A01|\rSFT|\rPID|1||P1^^^HOSP^MR",
}

// hostOf is the message that rows of a map are tried in.
func hostOf(table string) string {
	switch table {
	case "OBR[DiagnosticReport]", "OBR[Specimen]", "ORC[DiagnosticReport]", "NTE[Observation]", "OBX[Observation]", "OBX[Observation-Component]", "PRT[Device]", "PRT[Observation-Location]", "PRT[PractitionerRole]":
		return "ORU"
	case "OBR[ServiceRequest]", "ORC[ServiceRequest]", "ORC[Provenance]", "NTE[ServiceRequest]", "SPM[Specimen]", "TQ1[ServiceRequest]":
		return "OML"
	case "ORC[Immunization]", "RXA[Immunization]", "RXR[Immunization]":
		return "VXU"
	case "RXO[MedicationRequest]", "RXR[MedicationRequest]", "TQ1[MedicationRequest]":
		return "RDE"
	case "ORC[MedicationAdministration]":
		return "RAS"
	case "AIG[Appointment]", "AIL[Appointment]", "AIP[Appointment]", "AIS[Appointment]", "AIS[ServiceRequest]", "NTE[Appointment-Comment]", "PID[Appointment]", "SCH[Appointment]", "SCH[Provenance]", "SCH[ServiceRequest]":
		return "SIU"
	case "TXA[DocumentReference]", "TXA[Provenance]", "OBX[DocumentReference]", "NTE[DocumentReference]":
		return "MDM"
	}
	return "ADT"
}

// samples are values of each data type, and what of them must show.
var samples = map[string][2]string{
	"CWE": {"QZ17^Quizzical^L", "QZ17 Quizzical"}, "CE": {"QZ17^Quizzical^L", "QZ17 Quizzical"}, "CNE": {"QZ17^Quizzical^L", "QZ17 Quizzical"}, "CF": {"QZ17^Quizzical^L", "QZ17 Quizzical"},
	"ID": {"QZ17", "QZ17"}, "IS": {"QZ17", "QZ17"}, "ST": {"Quizzical", "Quizzical"}, "TX": {"Quizzical", "Quizzical"}, "FT": {"Quizzical", "Quizzical"}, "GTS": {"Quizzical", "Quizzical"},
	"DTM": {"20190304050607+0100", "2019-03-04"}, "TS": {"20190304050607+0100", "2019-03-04"}, "DT": {"20190304", "2019-03-04"}, "TM": {"101112", "10:11:12"},
	"NM": {"17", "17"}, "SNM": {"1717", "1717"}, "SI": {"17", "17"}, "XPN": {"Quizfam^Quizgiv", "Quizfam"}, "FN": {"Quizfam", "Quizfam"}, "XCN": {"QN17^Quizfam^Quizgiv^^^^^^QAUTH", "Quizfam QN17"}, "CNN": {"QN17&Quizfam&Quizgiv", "Quizfam QN17"},
	"PPN": {"QN17^Quizfam^Quizgiv", "Quizfam QN17"}, "XON": {"Quizorg^^^^^QAUTH^MR^^^QN17", "Quizorg QN17"}, "XAD": {"17 Quiz St^^Quizcity^QS^Q1717", "Quizcity"}, "SAD": {"17 Quiz St", "17 Quiz St"},
	"XTN": {"^PRN^PH^^^555^1717", "1717"}, "CX": {"QN17^^^QAUTH^MR", "QN17"}, "EI": {"QN17^QAUTH", "QN17"}, "EIP": {"QN17&QAUTH^QF17&QAUTH", "QN17 QF17"}, "HD": {"QHD", "QHD"},
	"PL": {"QPOC^Q17^QB^QFAC", "QPOC QB"}, "CQ": {"17^QUN", "17"}, "CP": {"17.5&USD", "17.5"}, "MO": {"17.5&USD", "17.5"}, "DR": {"20190304^20190405", "2019-03-04"}, "DLN": {"QDL17^QS^20190304", "QDL17"},
	"NDL": {"QN17&Quizfam&Quizgiv", "Quizfam QN17"}, "DLD": {"QDL17", "QDL17"}, "FC": {"QFC", "QFC"}, "PLN": {"QN17^QPT", "QN17"}, "JCC": {"QJ17", "QJ17"}, "MSG": {"ADT^A01^ADT_A01", "A01"}, "VARIES": {"Quizzical", "Quizzical"}, "RPT": {"Q6H", "Q6H"},
	"SPS": {"QZ17&Quizzical&L", "QZ17"}, "OG": {"17", "17"}, "PT": {"P", "P"}, "TQ": {"1^^^20190304050607+0100", "2019-03-04"}, "CCP": {"1", "1"}, "DTN": {"HO^3", "3"}, "RI": {"Q6H", "Q6H"},
}

// segment tells whether a row of a segment's map is implemented: "" or why not.
func (p *probe) segment(r row, with string) string {
	seg, field, whole := strings.Cut(r.id, "-")
	n, err := strconv.Atoi(field)
	if whole && err != nil {
		return "no field " + r.id
	}
	if typ := strings.ToUpper(r.typ); typ != "" && samples[typ][0] == "" {
		return "no sample of type " + typ
	}
	sample, tokens := p.sample(r)
	why := p.try(r, hostOf(r.table), with, seg, n, sample, tokens, r.target)
	if why == "" && r.literal == "" && n > 0 {
		p.carry(r, with)
	}
	return why
}

// sample is a value for a row and what must show: what the vocabulary gives for
// a code of it, the guide's literal, or the value's own marks.
func (p *probe) sample(r row) (sample, tokens string) {
	s := samples[strings.ToUpper(r.typ)]
	sample, tokens = s[0], s[1]
	if m := p.concepts[r.codes]; m != nil {
		for _, code := range slices.Sorted(maps.Keys(m)) {
			sample, tokens = code, m[code]
			break
		}
	}
	if r.literal != "" {
		tokens = r.literal
	}
	return sample, tokens
}

// carry notes that the data type map of an implemented row is at work there.
func (p *probe) carry(r row, with string) {
	typ := strings.ToUpper(r.typ)
	for _, by := range []string{r.by, typ + "[" + plainType(r.kind) + "]"} {
		if strings.HasPrefix(by, typ+"[") && len(p.carriers[by]) < 4 {
			p.carriers[by] = append(p.carriers[by], carrier{row: r, with: with, target: r.target})
		}
	}
}

func plainType(kind string) string {
	if in, ok := strings.CutPrefix(kind, "Reference("); ok {
		return strings.TrimSuffix(in, ")")
	}
	return kind
}

// datatype tells whether a row of a data type's map is implemented: at one of
// the places at least that the map is used at.
func (p *probe) datatype(r row, with string) string {
	why := "no field that is mapped by " + r.table
	typ := strings.ToUpper(r.typ)
	_, part, _ := strings.Cut(r.id, ".")
	n, err := strconv.Atoi(part)
	if err != nil {
		n = 0
	}
	for _, c := range p.carriers[r.table] {
		sample, tokens := p.sample(r)
		if n == 0 {
			sample = samples[strings.ToUpper(c.row.typ)][0]
			if r.literal == "" {
				tokens = samples[strings.ToUpper(c.row.typ)][1]
			}
		}
		if sample == "" && typ != "" {
			return "no sample of type " + typ
		}
		parts := append(c.parts[:len(c.parts):len(c.parts)], n)
		if n == 0 {
			parts = c.parts
		}
		whole := samples[strings.ToUpper(c.row.typ)][0]
		if m := p.concepts[c.row.codes]; m != nil {
			for _, code := range slices.Sorted(maps.Keys(m)) {
				whole = code
				break
			}
		}
		seg, field, _ := strings.Cut(c.row.id, "-")
		f, _ := strconv.Atoi(field)
		value := whole
		if len(parts) > 0 {
			value = putPart(whole, sample, parts)
		}
		target := c.target
		if r.target != "$this" && r.target != "$value" {
			target += "." + r.target
		}
		if why = p.try(c.row, hostOf(c.row.table), joined(c.with, rewrite(with, c.row.id)), seg, f, value, tokens, target); why == "" {
			if n > 0 && len(parts) == 1 && len(p.carriers[r.by]) < 4 && r.literal == "" {
				p.carriers[r.by] = append(p.carriers[r.by], carrier{c.row, c.with, parts, target})
			}
			return ""
		}
	}
	return why
}

// rewrite makes "=text" the whole field of the carrier.
func rewrite(with, id string) string {
	if strings.HasPrefix(with, "=") && !strings.HasPrefix(with, "=>") {
		return id + with
	}
	return with
}

// joined are the settings of both, and what the second expects.
func joined(a, b string) string {
	a, _, _ = strings.Cut(" "+a, " => ")
	return strings.Trim(a+"; "+b, "; ")
}

// putPart puts a value into a component, or into a subcomponent.
func putPart(whole, value string, parts []int) string {
	put := func(s, sep string, n int, f func(string) string) string {
		all := strings.Split(s, sep)
		for len(all) < n {
			all = append(all, "")
		}
		all[n-1] = f(all[n-1])
		return strings.Join(all, sep)
	}
	return put(whole, "^", parts[0], func(old string) string {
		if len(parts) == 1 {
			return strings.ReplaceAll(value, "^", "&")
		}
		return put(old, "&", parts[1], func(string) string { return strings.ReplaceAll(value, "^", " ") })
	})
}

// full are segments that say something, for messages that hold all of their
// structure.
var full = map[string]string{
	"SFT": "SFT|Maker|1.2|EHR|77", "EVN": "EVN|A01|20260102|||OP1^Op^Ann|20260102", "PID": "PID|1||P1^^^HOSP^MR||Doe^Jane||19700101|F||||||||||ACC9^^^HOSP||||||||||||||||20260101|REG",
	"PD1": "PD1||||G1^Gp^Ann|||Y", "ROL": "ROL|1|AD|CP|G7^Role^Rob", "PRT": "PRT|1|AD||PCP|G8^Part^Pat|SP8^Special^L||Org8^^^^^A^XX^^^O8|WARD8|D8^MAKER||||17 Quiz St^^Quizcity|^WPN^PH^^^555^1717|||||SER8", "ARV": "ARV|1|A|DEM|PHI",
	"NK1": "NK1|1|Kin^Ann|MTH", "PV1": "PV1|1|I|WARD^1^A||||D1^Doc^Dan||||||||||D1^Doc^Dan||V1^^^HOSP|SELF^20260101", "PV2": "PV2||||||||20260105", "DB1": "DB1|1|PT||Y",
	"OBX": "OBX|1|NM|R1^Result^L||5|mg|||||F", "AL1": "AL1|1|DA|A1^Nuts^L", "IAM": "IAM|1|DA|A2^Eggs^L", "DG1": "DG1|1||DX1^Gout^L", "PR1": "PR1|1||PR9^Repair^L||20260101",
	"GT1": "GT1|1||Payer^Pat", "IN1": "IN1|1|PLAN1||Insurance Inc", "IN2": "IN2||12", "IN3": "IN3|1|CERT1|||||||||||||||||||May Manager", "ACC": "ACC|20260101", "MRG": "MRG|P2^^^HOSP^MR||ACC8^^^HOSP",
	"ORC": "ORC|NW|O1^EHR|F1^LAB|||||||||D2^Order^Olga", "OBR": "OBR|1|O1^EHR|F1^LAB|T1^Test^L|||20260101|||||||||D2^Order^Olga|||||||||F", "NTE": "NTE|1||A remark", "TQ1": "TQ1|1|||||||20260103|20260104",
	"SPM": "SPM|1|S1&EHR^S2&LAB||BLD", "TXA": "TXA|1|DS|TX|20260101|||||D3^Author^Al|||N1^DOCS|||||AU", "SCH": "SCH|O1^EHR|A1^SCHED||||||||||^^^20260105080000+0000|||||||||||||||O1^EHR", "RGS": "RGS|1", "AIS": "AIS|1||SV1^Visit^L|20260105080000+0000",
	"AIG": "AIG|1||G1^Scope^L", "AIL": "AIL|1||WARD", "AIP": "AIP|1||D4^Person^Pia", "RXA": "RXA|0|1|20260101||03^MMR^CVX|1|mL", "RXR": "RXR|IM|LA", "RXO": "RXO|D1^Drug^L|1||mg", "RXC": "RXC|B|D2^Water^L",
	"ODS": "ODS|D||DI^Diet^L", "MSA": "MSA|AA|C0", "CTD": "CTD|PR|Contact^Carl",
}

// loose are segments that the guide has no map of, where full has none that says something.
var loose = map[string]string{
	"ARV": "ARV|1|A|HIV", "DB1": "DB1|1|PT|DN7^^^QAUTH",
	"AUT": "AUT|PL1|Insurer|Insurance Inc|20260101|20261231|AU7", "BLG": "BLG|D|CH|ACC9", "CON": "CON|1|001|||20260102||||||||20260102|20260103|E", "CTI": "CTI|ST7^SPONSOR|1^Phase^L|2^Point^L",
	"DRG": "DRG|470^Joint^DRG|20260102|Y|G", "DSC": "DSC|C2|F", "FT1": "FT1|1|T7||20260102||CG|CH7^Charge^L|||1", "ODT": "ODT|EARLY^Early^L||Late", "OH1": "OH1|1^Employed^L|A|20260101",
	"OH2": "OH2|1|A|20260101|C7^Nurse^L|I7^Hospital^L", "OH3": "OH3|A|C7^Nurse^L|I7^Hospital^L", "OH4": "OH4|A|20200101|20210101", "PDA": "PDA|I21^Infarct^I10|MORGUE|Y|20260102|D5^Cor^One|Y",
	"RF1": "RF1|A^Accepted^L|R|MED|||R7", "RQ1": "RQ1|17|MK|CAT7|VEN|V7|Y|N", "RQD": "RQD|1|IT7^Item^L|||5|BOX", "SAC": "SAC|||C7|||BLD|20260102", "SGH": "SGH|1|Group", "SGT": "SGT|1|Group",
	"TCD": "TCD|T1^Test^L|^1^:^5", "TQ2": "TQ2|1|S|O7^EHR", "UAC": "UAC|KERB^Kerberos^L|^TEXT^PLAIN^A^dGlja2V0", "UB1": "UB1|1|1|2", "UB2": "UB2|1|3|4",
}

// reads tells whether a segment says something where a message of the guide holds it:
// at the end of the message of a host, which is less without it.
func (p *probe) reads(t testing.TB, seg string) bool {
	line := cmp.Or(loose[seg], full[seg])
	if line == "" {
		t.Fatal("no sample of " + seg)
	}
	for _, host := range []string{"ADT", "ORU", "OML", "SIU", "MDM", "VXU"} {
		made := func(text string) string {
			result, err := mapping.Map(p.keys, message([]byte(text)))
			if err != nil {
				t.Fatalf("%s in %s: %v", seg, host, err)
			}
			var b strings.Builder
			for _, r := range result.Resources {
				b.Write(r.JSON())
			}
			return b.String()
		}
		if made(hosts[host]) != made(hosts[host]+"\r"+line) {
			return true
		}
	}
	return false
}

// message tells whether a row of a message's map is implemented: in a message of
// its whole structure the target's type is made, and without the segment it is
// not as it was. Lines of text say which of several segments of a name it is.
func (p *probe) message(r row, with string) string {
	r.id = regexp.MustCompile(`^[A-Z]{3}_[A-Z0-9]{3}`).ReplaceAllString(r.id, r.table)
	lines := slices.Clone(p.structures[r.table])
	const choice = ".CHOICE."
	taken := strings.Contains(r.id, choice)
	lines = slices.DeleteFunc(lines, func(id string) bool { // of a choice the row's own, else the first
		if !strings.Contains(id, choice) || id == r.id {
			return false
		}
		again := taken
		taken = true
		return again
	})
	at := slices.Index(lines, r.id)
	text := func(leave int) string {
		trigger := strings.Replace(r.table, "_", "^", 1)
		all := []string{`MSH|^~\&|APP|FAC|||20260102030405+0000||` + trigger + "^" + r.table + "|C1|P|2.5.1"}
		for i, id := range lines {
			seg := id[strings.LastIndexByte(id, '.')+1:]
			if seg != "MSH" && i != leave {
				if full[seg] == "" {
					panic("no sample of " + seg)
				}
				line := full[seg]
				if strings.HasSuffix(r.id, ".PRT") && strings.Contains(r.condition, `"OP"`) { // who ordered is told by it alone
					line = strings.ReplaceAll(line, "D2^Order^Olga", "")
				}
				if person := map[string]string{"PRT": "PRT-5", "ROL": "ROL-4"}[seg]; i == at && person != "" {
					line = set(line, person, "G9^Own^Olive")
					for _, c := range conditions(r.condition) {
						line = set(line, c[0], c[1])
					}
					if place, value, ok := strings.Cut(with, "="); ok {
						line = set(line, place, value)
					}
				}
				if slices.Index(lines, id) < i { // the second patient's
					line = strings.NewReplacer("|P1^", "|P2^", "|V1^", "|V2^").Replace(line)
				}
				all = append(all, line)
			}
		}
		return strings.Join(all, "\r")
	}
	typ := regexp.MustCompile(`^\w+`).FindString(r.target)
	path := regexp.MustCompile(`^\w+(\[[^]]*\])?\.?`).ReplaceAllString(r.target, "")
	of := func(leaves []leaf) (all []leaf) {
		for _, l := range leaves {
			if l.typ == typ && under(l.path, alternatives(path)[0]) {
				all = append(all, l)
			}
		}
		return all
	}
	whole, err := p.leaves(text(-1))
	if err != "" {
		return "not mapped: " + err
	}
	have := of(whole)
	if len(have) == 0 {
		return "no " + typ + " is made"
	}
	if strings.HasSuffix(r.id, ".MSH") {
		return ""
	}
	less, err := p.leaves(text(at))
	if err == "" && slices.Equal(have, of(less)) {
		return typ + " is the same without the segment"
	}
	return ""
}

// try maps the host with and without a value and looks for its tokens.
func (p *probe) try(r row, host, with, seg string, field int, sample, tokens, target string) string {
	settings, expect, told := strings.Cut(" "+with, " => ")
	if told {
		tokens = strings.TrimSpace(expect)
	}
	text := hosts[host]
	if seg == "SFT" {
		text = hosts["SN"]
	}
	for _, c := range conditions(r.condition) {
		text = set(text, c[0], c[1])
	}
	base := text
	if field > 0 {
		base = set(base, fmt.Sprintf("%s-%d", seg, field), "")
		text = set(text, fmt.Sprintf("%s-%d", seg, field), sample)
	}
	for s := range strings.SplitSeq(settings, ";") {
		s = strings.TrimSpace(s)
		if name, ok := strings.CutPrefix(s, "without "); ok {
			text, base = regexp.MustCompile(`\r`+name+`[^\r]*`).ReplaceAllString(text, ""), regexp.MustCompile(`\r`+name+`[^\r]*`).ReplaceAllString(base, "")
		} else if place, value, ok := strings.Cut(s, "="); ok {
			text = set(text, place, value)
			if !told && !strings.HasPrefix(place, seg+"-"+strconv.Itoa(field)) {
				base = set(base, place, value)
			}
		}
	}
	leaves, err := p.leaves(text)
	if err != "" {
		return "not mapped: " + err
	}
	old, _ := p.leaves(base)
	was := map[leaf]int{}
	for _, l := range old {
		was[l]++
	}
	typ := targetType(r.table)
	paths := alternatives(target)
	for _, l := range leaves {
		if l.typ != typ {
			continue
		}
		if was[l] > 0 && r.literal == "" && !(told && field == 0) {
			was[l]--
			continue
		}
		for _, path := range paths {
			if !under(l.path, path) {
				continue
			}
			if tokens == "" {
				return ""
			}
			for token := range strings.SplitSeq(tokens, " ") {
				if strings.Contains(l.value, token) {
					return ""
				}
			}
			if strings.Contains(l.value, tokens) {
				return ""
			}
		}
	}
	return "no " + typ + "." + paths[0] + " holds " + tokens
}

// targetType is the resource a map makes: of "ROL[Patient-GeneralPractitioner]" Patient.
func targetType(table string) string {
	_, in, _ := strings.Cut(table, "[")
	in, _, _ = strings.Cut(strings.TrimSuffix(in, "]"), "-")
	return in
}

var condition = regexp.MustCompile(`([A-Z][A-Z0-9]{2})[-.](\d+)(\.\d+)? *(?:IS +)?(NOT VALUED|VALUED|EQUALS|IN|IS|=) *(?:\( *)?("[^"]*")?`)

// conditions reads a condition as settings of fields, as far as it can be read.
func conditions(s string) (all [][2]string) {
	for _, m := range condition.FindAllStringSubmatch(s, -1) {
		place := m[1] + "-" + m[2] + m[3]
		switch value := strings.Trim(m[5], `"`); {
		case strings.Contains(s, "NOT IN"), m[4] == "VALUED" && strings.Contains(s, m[1]+"-"+m[2]+" IS NOT"):
		case m[4] == "NOT VALUED":
			all = append(all, [2]string{place, ""})
		case m[4] == "VALUED":
			all = append(all, [2]string{place, "1"})
		case value != "":
			all = append(all, [2]string{place, value})
		}
	}
	return all
}

// set puts a value into the first segment of that name: "PID-3", "OBX-5.1",
// "NTE[2]-3". A segment that is not there is left out.
func set(message, place, value string) string {
	m := regexp.MustCompile(`^([A-Z][A-Z0-9]{2})(?:\[(\d)\])?-(\d+)(?:\.(\d+))?$`).FindStringSubmatch(place)
	if m == nil {
		panic("not a place: " + place)
	}
	lines := strings.Split(message, "\r")
	nth, _ := strconv.Atoi(m[2])
	n, _ := strconv.Atoi(m[3])
	if m[1] == "MSH" {
		n--
	}
	for i, line := range lines {
		if line[:3] != m[1] {
			continue
		}
		if nth > 1 {
			nth--
			continue
		}
		fields := strings.Split(line, "|")
		for len(fields) <= n {
			fields = append(fields, "")
		}
		if part, err := strconv.Atoi(m[4]); err == nil {
			value = putPart(fields[n], value, []int{part})
		}
		fields[n] = value
		lines[i] = strings.Join(fields, "|")
		break
	}
	return strings.Join(lines, "\r")
}

// leaf is one value of a resource; what a literal reference leads to within the
// message counts as part of what refers.
type leaf struct{ typ, path, value string }

// leaves maps a message.
func (p *probe) leaves(text string) ([]leaf, string) {
	if known, ok := p.known[text]; ok {
		return known, ""
	}
	r, err := mapping.Map(p.keys, message([]byte(text)))
	if err != nil {
		return nil, err.Error()
	}
	all := map[string]any{}
	var order []string
	for _, res := range r.Resources {
		var v any
		if err := json.Unmarshal(res.JSON(), &v); err != nil {
			panic(err)
		}
		all[res.Ref().String()] = v
		order = append(order, res.Ref().String())
	}
	var out []leaf
	for _, name := range order {
		typ, _, _ := strings.Cut(name, "/")
		flatten(all[name], "", all, 2, func(path, value string) { out = append(out, leaf{typ, path, value}) })
	}
	p.known[text] = out
	return out, ""
}

func flatten(v any, path string, all map[string]any, deep int, yield func(path, value string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == "reference" && deep > 0 {
				if ref, ok := v[k].(string); ok && all[ref] != nil {
					flatten(all[ref], path, all, deep-1, yield)
				}
			}
			flatten(v[k], strings.TrimPrefix(path+"."+strings.TrimPrefix(k, "_"), "."), all, deep, yield)
		}
	case []any:
		for _, e := range v {
			flatten(e, path, all, deep, yield)
		}
	case nil:
	default:
		yield(path, fmt.Sprint(v))
	}
}

var (
	index     = regexp.MustCompile(`\[[\w.-]*\]`)
	following = regexp.MustCompile(`\(([A-Z]\w*)(?:\|[A-Z]\w*)?\.?`)
)

// alternatives are the paths that an element of the guide may be found at: with
// the references in it followed, and where the guide puts a PractitionerRole
// between, without it.
func alternatives(target string) []string {
	s := index.ReplaceAllString(target, "")
	s, _, _ = strings.Cut(s, "=")
	if s == "$this" {
		return []string{""}
	}
	s = strings.TrimPrefix(s, "$this.")
	direct := regexp.MustCompile(`\(PractitionerRole\.(practitioner|practioner|Practitioner|organization|organziation)\.?`).ReplaceAllString(s, "(PractitionerRole.")
	var all []string
	for _, s := range []string{s, direct} {
		s = following.ReplaceAllString(s, ".")
		s = strings.ReplaceAll(strings.Trim(strings.ReplaceAll(s, ")", ""), ". "), "..", ".")
		s = strings.ReplaceAll(s, ".reference.", ".")
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// under tells whether a path lies at an element or below it; "value" stands for
// any value[x].
func under(path, element string) bool {
	if element == "" {
		return true
	}
	have, want := strings.Split(path, "."), strings.Split(element, ".")
	if len(have) < len(want) {
		return false
	}
	for i, w := range want {
		h := have[i]
		if !strings.EqualFold(h, w) && !(strings.HasPrefix(h, w) && len(h) > len(w) && h[len(w)] >= 'A' && h[len(w)] <= 'Z') {
			return false
		}
	}
	return true
}

// concept is a row of a concept map of the guide.
type concept struct{ table, v2, code string }

// conceptMaps reads codes.tsv, which TestTables holds to the guide.
func conceptMaps(t testing.TB) (all []concept) {
	raw, err := os.ReadFile("codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		c := strings.Split(line, "\t")
		all = append(all, concept{c[0], c[1], c[3]})
	}
	return all
}
