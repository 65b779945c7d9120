package clinical

import "firebreak/fhir"

// Weight orders what flags mean. Letters and arrows carry the meaning on a
// page; colour only repeats it.
type Weight uint8

const (
	Plain    Weight = iota // no verdict: normal, or a code of unknown meaning
	Low                    // L
	Abnormal               // H, A and what counts with them
	Critical               // HH, LL and what counts with them
)

// Class is the name of the weight in the stylesheet.
func (w Weight) Class() string { return [...]string{"", "low", "abn", "crit"}[w] }

// Flag is a source's interpretation of a result, with its letters as sent.
type Flag struct {
	Letters string // as sent: "HH", "H*", "POS"
	Arrow   string // "▲▲", empty when the meaning is unknown or has no direction
	Words   string // for people who hear the page: "critically high"
	Weight  Weight
}

// flags lists the codes whose meaning is known.
//
// Source: HL7 v2.5.1 table 0078; v3-ObservationInterpretation of R4
// (http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation); "H*"
// and "L*" are the critical flags of VistA (PX-02).
var flags = map[string]Flag{
	"HH": {Arrow: "▲▲", Words: "critically high", Weight: Critical},
	"LL": {Arrow: "▼▼", Words: "critically low", Weight: Critical},
	"AA": {Arrow: "◆◆", Words: "critically abnormal", Weight: Critical},
	"H*": {Arrow: "▲▲", Words: "critically high", Weight: Critical},
	"L*": {Arrow: "▼▼", Words: "critically low", Weight: Critical},
	"HU": {Arrow: "▲▲", Words: "significantly high", Weight: Critical},
	"LU": {Arrow: "▼▼", Words: "significantly low", Weight: Critical},
	"H>": {Arrow: "▲▲", Words: "significantly high", Weight: Critical},
	"L<": {Arrow: "▼▼", Words: "significantly low", Weight: Critical},
	"H":  {Arrow: "▲", Words: "high", Weight: Abnormal},
	"HX": {Arrow: "▲", Words: "above high threshold", Weight: Abnormal},
	">":  {Arrow: "▲", Words: "above the measurable range", Weight: Abnormal},
	"A":  {Arrow: "◆", Words: "abnormal", Weight: Abnormal},
	"L":  {Arrow: "▼", Words: "low", Weight: Low},
	"LX": {Arrow: "▼", Words: "below low threshold", Weight: Low},
	"<":  {Arrow: "▼", Words: "below the measurable range", Weight: Low},
	"N":  {Words: "normal"},
	"U":  {Words: "significant change up"},
	"D":  {Words: "significant change down"},
	"B":  {Words: "better"},
	"W":  {Words: "worse"},
	"S":  {Words: "susceptible"},
	"R":  {Words: "resistant"},
	"I":  {Words: "intermediate"},
}

// readFlags takes the interpretations of a result, one flag for each concept.
// A code that is not in the table keeps its letters and gets no meaning.
func readFlags(n fhir.Node) []Flag {
	var all []Flag
	for item := range n.Items() {
		c := concept(item)
		f := Flag{}
		for _, k := range c.Codes {
			if k.Code == "" {
				continue
			}
			known, ok := flags[k.Code]
			if f.Letters == "" || ok && f.Words == "" {
				f = known
				f.Letters = k.Code
				if !ok {
					f.Words = k.Display
				}
			}
		}
		// The text is what the source wrote; a translated code beside it must not replace its letters.
		if known, ok := flags[c.Text]; ok && f.Weight <= known.Weight {
			f = known
			f.Letters = c.Text
		} else if f.Letters == "" {
			f.Letters = c.Name()
		}
		if f.Letters != "" {
			all = append(all, f)
		}
	}
	return all
}

// worst is the heaviest of the flags; the zero Flag when there are none.
func worst(all []Flag) Flag {
	var w Flag
	for i, f := range all {
		if i == 0 || f.Weight > w.Weight {
			w = f
		}
	}
	return w
}
