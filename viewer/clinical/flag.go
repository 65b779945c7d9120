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

	key string // of the words
}

// flags lists the codes whose meaning is known.
//
// Source: HL7 v2.5.1 table 0078; v3-ObservationInterpretation of R4
// (http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation); "H*"
// and "L*" are the critical flags of VistA (PX-02).
var flags = map[string]Flag{
	"HH": {Arrow: "▲▲", key: "flag.critically-high", Weight: Critical},
	"LL": {Arrow: "▼▼", key: "flag.critically-low", Weight: Critical},
	"AA": {Arrow: "◆◆", key: "flag.critically-abnormal", Weight: Critical},
	"H*": {Arrow: "▲▲", key: "flag.critically-high", Weight: Critical},
	"L*": {Arrow: "▼▼", key: "flag.critically-low", Weight: Critical},
	"HU": {Arrow: "▲▲", key: "flag.significantly-high", Weight: Critical},
	"LU": {Arrow: "▼▼", key: "flag.significantly-low", Weight: Critical},
	"H>": {Arrow: "▲▲", key: "flag.significantly-high", Weight: Critical},
	"L<": {Arrow: "▼▼", key: "flag.significantly-low", Weight: Critical},
	"H":  {Arrow: "▲", key: "flag.high", Weight: Abnormal},
	"HX": {Arrow: "▲", key: "flag.above-high-threshold", Weight: Abnormal},
	">":  {Arrow: "▲", key: "flag.above-the-measurable-range", Weight: Abnormal},
	"A":  {Arrow: "◆", key: "flag.abnormal", Weight: Abnormal},
	"L":  {Arrow: "▼", key: "flag.low", Weight: Low},
	"LX": {Arrow: "▼", key: "flag.below-low-threshold", Weight: Low},
	"<":  {Arrow: "▼", key: "flag.below-the-measurable-range", Weight: Low},
	"N":  {key: "flag.normal"},
	"U":  {key: "flag.significant-change-up"},
	"D":  {key: "flag.significant-change-down"},
	"B":  {key: "flag.better"},
	"W":  {key: "flag.worse"},
	"S":  {key: "flag.susceptible"},
	"R":  {key: "flag.resistant"},
	"I":  {key: "flag.intermediate"},
}

// readFlags takes the interpretations of a result, one flag for each concept.
// A code that is not in the table keeps its letters and gets no meaning.
func readFlags(n fhir.Node, say Words) []Flag {
	var all []Flag
	for item := range n.Items() {
		c := concept(item)
		f := Flag{}
		for _, k := range c.Codes {
			if k.Code == "" {
				continue
			}
			known, ok := flags[k.Code]
			if f.Letters == "" || ok && f.key == "" {
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
		if f.key != "" {
			f.Words = say(f.key)
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
