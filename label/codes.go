package label

import (
	"fmt"
	"sort"
	"strings"
)

// codes knows which codes of the public systems are sensitive, by range and
// hierarchy where a system has one.
type codes struct {
	system map[string]string // name as sent, see bare, to kind
	ranges map[string][]span // by kind, sorted by from
	loinc  map[string][]Label
	known  map[string]bool // LOINC codes that are harmless whatever they are called
}

// span covers from <= code and (code <= to or code begins with to).
type span struct {
	from, to string
	label    Label
	file     string
}

func newCodes() *codes {
	return &codes{system: map[string]string{}, ranges: map[string][]span{}, loinc: map[string][]Label{}, known: map[string]bool{}}
}

func (c *codes) add(kind, entry string, give Label, file string) error {
	switch {
	case kind == "loinc" && give == "":
		c.known[entry] = true
		return nil
	case give == "":
		return fmt.Errorf("no label for %s", entry)
	case kind == "loinc":
		c.loinc[entry] = append(c.loinc[entry], give)
		return nil
	}
	if kind == "icd-o" {
		c.ranges[kind] = append(c.ranges[kind], span{entry, entry, give, file})
		return nil
	}
	from, to, ok := strings.Cut(entry, "-")
	if !ok {
		to = from
	}
	s := span{tidy(from), tidy(to), give, file}
	if s.from == "" || s.to < s.from {
		return fmt.Errorf("no range: %s", entry)
	}
	c.ranges[kind] = append(c.ranges[kind], s)
	sort.SliceStable(c.ranges[kind], func(i, j int) bool { return c.ranges[kind][i].from < c.ranges[kind][j].from })
	return nil
}

// tidy writes a code in capitals without dots, blanks and what else is lost or
// added on the way ("Z21.", "T7421XA").
func tidy(code string) string {
	plain := true
	for i := range len(code) {
		c := code[i]
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			plain = false
		}
	}
	if plain {
		return code
	}
	b := make([]byte, 0, len(code))
	for i := range len(code) {
		switch c := code[i]; {
		case c >= 'a' && c <= 'z':
			b = append(b, c-'a'+'A')
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			b = append(b, c)
		}
	}
	return string(b)
}

// bare is the name of a system without what differs from sender to sender.
func bare(system string) string {
	s := strings.ToLower(strings.TrimSpace(system))
	for _, p := range []string{"http://", "https://", "urn:oid:", "urn:"} {
		s = strings.TrimPrefix(s, p)
	}
	s, _, _ = strings.Cut(s, "|")
	return strings.TrimRight(s, "/ ")
}

// kind names the system, or "" for a local one. Closed code systems of HL7 and
// FHIR itself are "hl7".
func (c *codes) kind(system string) string {
	s := bare(system)
	if k, ok := c.system[s]; ok {
		return k
	}
	if tail, ok := strings.CutPrefix(s, "www."); ok {
		if k, ok := c.system[tail]; ok {
			return k
		}
	}
	for _, p := range []string{"terminology.hl7.org/", "hl7.org/fhir/", "2.16.840.1.113883.5.", "2.16.840.1.113883.12.", "iso:", "iso-", "ietf:", "nucc.org/", "hl7 ", "hl70"} {
		if strings.HasPrefix(s, p) {
			return "hl7"
		}
	}
	return ""
}

// shape guesses the system of a code from its form and place, when none was
// sent or a local one. A LOINC form is believed only without any system:
// 2106-3 is a pregnancy test there and a race in another.
func shape(code, system string, in where) string {
	t := tidy(code)
	switch {
	case system == "" && in&(inTest|inValue) != 0 && loincForm(code):
		return "loinc"
	case in&(inDiagnosis|inAllergy) != 0 && len(t) >= 3 && len(t) <= 7 && t[0] >= 'A' && t[0] <= 'Z' && digit(t[1]) && (digit(t[2]) || t[2] == 'A' || t[2] == 'B'):
		return "icd-10"
	case len(code) == 6 && code[4] == '/' && digit(code[0]) && digit(code[1]) && digit(code[2]) && digit(code[3]) && digit(code[5]):
		return "icd-o"
	}
	return ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func loincForm(s string) bool {
	n := len(s)
	if n < 4 || n > 8 || s[n-2] != '-' || !digit(s[n-1]) {
		return false
	}
	for i := range n - 2 {
		if !digit(s[i]) {
			return false
		}
	}
	return true
}

// judge gives the labels of a code of a kind.
func (c *codes) judge(kind, code string) []codeHit {
	switch kind {
	case "loinc":
		var out []codeHit
		for _, l := range c.loinc[strings.TrimSpace(code)] {
			out = append(out, codeHit{l, "loinc " + code})
		}
		return out
	case "icd-o": // 8500/3: the digit after the slash is the behaviour; C50.9: topography of a tumour
		_, behaviour, ok := strings.Cut(code, "/")
		for _, s := range c.ranges["icd-o"] {
			if ok && strings.HasPrefix(strings.TrimSpace(behaviour), s.from) || !ok && strings.HasPrefix(tidy(code), "C") {
				return []codeHit{{s.label, "icd-o " + code}}
			}
		}
		return nil
	case "icd-9":
		code = nine(code)
	}
	t := tidy(code)
	if t == "" {
		return nil
	}
	var out []codeHit
	spans := c.ranges[kind]
	end := sort.Search(len(spans), func(i int) bool { return spans[i].from > t })
	for _, s := range spans[:end] {
		if t <= s.to || strings.HasPrefix(t, s.to) {
			if n := len(out); n == 0 || out[n-1].label != s.label {
				out = append(out, codeHit{s.label, kind + " " + s.from + "-" + s.to})
			}
		}
	}
	return out
}

type codeHit struct {
	label Label
	rule  string
}

// nine brings an ICD-9 code to its full three digits before the dot: "42" is
// "042". A code without a dot is taken as it stands.
func nine(code string) string {
	code = strings.TrimSpace(code)
	head, rest, ok := strings.Cut(code, ".")
	if head != "" && digit(head[0]) && (ok || len(head) < 3) {
		for len(head) < 3 {
			head = "0" + head
		}
	}
	return head + rest
}
