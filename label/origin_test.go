package label

import (
	"testing"

	"firebreak/fhir"
)

// TestDeclared: everything from a declared source has its labels, and no other
// rules judged it.
func TestDeclared(t *testing.T) {
	plain := rules(t)
	r := plain.Declare(map[string][]Label{"detox": {Part2}})
	if r.Version() == plain.Version() || plain.Declare(nil) != plain || r.Version() != rules(t).Declare(map[string][]Label{"detox": {Part2, Part2}}).Version() {
		t.Error("the version does not follow what is declared")
	}
	message := []fhir.Resource{
		resource(t, obj{"resourceType": "Patient", "id": "p"}),
		resource(t, obj{"resourceType": "Observation", "id": "a", "code": local("Sodium"), "performer": arr{obj{"reference": "Organization/o"}}}),
		resource(t, obj{"resourceType": "Organization", "id": "o", "name": "General Hospital"}),
	}
	for _, alone := range [][]fhir.Resource{message[:1], {message[0], message[2]}} {
		if l := r.Label("detox", alone)[0]; l.Context() != "context:part2" {
			t.Errorf("a patient registered there has %v", l.Labels())
		}
	}
	for source, want := range map[string][]string{"detox": {"context:part2", "part2", "context:part2 part2"}, "ward": {"", "", ""}} {
		for i, l := range r.Label(source, message) {
			if got := joined(l.Labels()); got != want[i] {
				t.Errorf("%s: %s has %q, want %q", source, l.Resource().Type(), got, want[i])
			}
		}
	}
}

// TestClassified: what a person decided on a local code holds for its source and
// its name alone, and takes nothing away that the rules find.
func TestClassified(t *testing.T) {
	r := rules(t)
	code := func(code, display string) obj { return coded("urn:lab", code, display) }
	of := func(source, code, display string) Code { return Code{source, "urn:lab", code, display} }
	observation := func(c obj) obj { return obj{"resourceType": "Observation", "code": c} }
	r.Classify(map[Code]Class{
		of("lab", "QX7", "Panel 7"):       {Labels: []Label{HIV}, Round: 1},
		of("lab", "QX8", "Panel 8"):       {Round: 2},
		of("lab", "HIVX", "HIV Ag/Ab"):    {Round: 1},
		of("lab", "NAX", "Sodium"):        {Labels: []Label{Genetic}, Round: 1},
		{Source: "lab", Display: "Set 9"}: {Labels: []Label{STI}, Round: 1},
	})
	for _, row := range []struct {
		name, source string
		model        obj
		want         string
		use          string // code or name, "" for none
		round        int64
	}{
		{"sensitive", "lab", observation(code("QX7", "Panel 7")), "hiv", "QX7", 1},
		{"harmless", "lab", observation(code("QX8", "Panel 8")), "", "QX8", 2},
		{"of another source", "clinic", observation(code("QX8", "Panel 8")), "unclassified", "QX8", 0},
		{"by another name", "lab", observation(code("QX8", "Panel 80")), "unclassified", "QX8", 0},
		{"harmless by mistake", "lab", observation(code("HIVX", "HIV Ag/Ab")), "hiv", "HIVX", 1},
		{"sensitive with a harmless name", "lab", observation(code("NAX", "Sodium")), "genetic", "NAX", 1},
		{"a name without a code", "lab", observation(text("Set 9")), "sti", "", 1},
		{"what the rules know is nobody's to classify", "lab", observation(code("NA", "Sodium")), "", "none", 0},
		{"what somebody wrote of a patient is no code", "lab", obj{"resourceType": "Condition", "code": text("qwertz")}, "unclassified", "none", 0},
		{"no code at all", "lab", obj{"resourceType": "Observation"}, "unclassified", "none", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := r.Label(row.source, []fhir.Resource{resource(t, row.model)})[0]
			if got := joined(l.Labels()); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
			switch u := l.Use(); {
			case u == nil && row.use != "none", u != nil && (u.Code.Code != row.use || u.Round != row.round || u.Source != row.source || u.Element != "Observation.code"):
				t.Errorf("use %+v, want %s in round %d", u, row.use, row.round)
			}
		})
	}
}
