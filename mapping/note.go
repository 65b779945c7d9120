package mapping

import (
	"strings"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// annotations maps the NTE that follow a segment. Feeds send one comment as
// many NTE, a line each: those of the same author and time are one Annotation,
// its lines in order.
//
// Source: v2-to-FHIR, NTE[Observation], NTE[ServiceRequest].
func (b *build) annotations(notes []hl7.Segment) []r4.Annotation {
	var all []r4.Annotation
	for from := 0; from < len(notes); {
		by, at := notes[from].Field(5).Raw(), notes[from].Field(6).Raw()
		var lines []string
		end := from
		for ; end < len(notes) && notes[end].Field(5).Raw() == by && notes[end].Field(6).Raw() == at; end++ {
			lines = append(lines, commentLines(notes[end])...)
		}
		if text := unpad(strings.Join(lines, "\n")); text != "" {
			a := r4.Annotation{Text: text, Time: b.dateTime(notes[from], 6)}
			a.AuthorReference = b.practitioner(first(notes[from].Field(5)))
			all = append(all, a)
		}
		from = end
	}
	return all
}

// comment is the text of several NTE, a line each.
func comment(notes []hl7.Segment) string {
	var lines []string
	for _, nte := range notes {
		lines = append(lines, commentLines(nte)...)
	}
	return unpad(strings.Join(lines, "\n"))
}

// commentLines are the lines of one NTE; an empty NTE-3 is an empty line.
func commentLines(nte hl7.Segment) []string {
	f := nte.Field(3)
	if f.Null() || f.Empty() {
		return []string{""}
	}
	var lines []string
	for rep := range f.Reps() {
		lines = append(lines, verbatim(rep))
	}
	return lines
}

// noteExtensions are annotations of a resource that has no note in R4: R5's
// element as an extension, which is how the guide says Appointment.note.
func noteExtensions(typ string, notes []r4.Annotation) []r4.Extension {
	var all []r4.Extension
	for _, n := range notes {
		all = append(all, r4.Extension{Url: r5Ext + typ + ".note", ValueAnnotation: &n})
	}
	return all
}

const r5Ext = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
