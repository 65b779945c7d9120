package label

import (
	"fmt"
	"strings"
	"testing"

	"firebreak/fhir"
)

const typical = `{"resourceType":"Observation","id":"%s","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},
"identifier":[{"system":"urn:lab","value":"%d-1"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium [Moles/volume] in Serum or Plasma"},{"system":"urn:lab","code":"NA","display":"SODIUM"}],"text":"Sodium"},
"subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"},"effectiveDateTime":"2026-01-02T03:04:05Z","issued":"2026-01-02T04:04:05Z",
"performer":[{"reference":"Organization/o","display":"General Laboratory, Main Street"}],"valueQuantity":{"value":140,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"},
"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"Normal"}]}],
"note":[{"text":"Specimen %d slightly haemolysed, result may be affected"}],"referenceRange":[{"low":{"value":135,"unit":"mmol/L"},"high":{"value":145,"unit":"mmol/L"},"text":"135-145"}]}`

// BenchmarkLabel: a typical laboratory Observation with a note never seen
// before, one whose every text is new, and a page of prose.
func BenchmarkLabel(b *testing.B) {
	r := rules(b)
	b.Run("observation", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			res, err := fhir.Parse(fmt.Appendf(nil, typical, "x", n, n))
			if err != nil {
				b.Fatal(err)
			}
			r.Label("lab", []fhir.Resource{res})
		}
	})
	b.Run("parse alone", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if _, err := fhir.Parse(fmt.Appendf(nil, typical, "x", n, n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	page := strings.Repeat("The patient was seen in clinic with her mother; blood pressure and renal function were stable, creatinine 80, no oedema. ", 30)
	b.Run("page of prose", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			r.match.judge(page, inNote)
		}
	})
	b.Run("load the rules", func(b *testing.B) {
		for b.Loop() {
			if _, err := Default(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
