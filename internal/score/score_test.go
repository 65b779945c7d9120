package score

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firebreak/fhir"
)

func parse(t *testing.T, s string) fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTriplesAreFactsWithoutWhatEachMappingMakesUp(t *testing.T) {
	r := parse(t, `{"resourceType":"Observation","id":"1","meta":{"versionId":"2"},"text":{"status":"generated","div":"<div>x</div>"},
		"contained":[{"resourceType":"Device","id":"d","version":[{"value":" 1.0 "}]}],
		"status":"final","code":{"text":"Na","coding":[{"code":"a","display":"A"},{"code":"b"}]},"subject":{"reference":"Patient/1","display":"X"},
		"effectiveDateTime":"2024-01-01T10:00:00.000-05:00","issued":"2024-01-01","valueQuantity":{"value":1.50}}`)
	want := []Triple{
		{"Device", "version.value", "1.0"}, {"Observation", "status", "final"}, {"Observation", "code.text", "Na"},
		{"Observation", "code.coding.code", "a"}, {"Observation", "code.coding.code", "b"}, {"Observation", "subject.type", "Patient"},
		{"Observation", "effectiveDateTime", "2024-01-01T15:00:00Z"}, {"Observation", "issued", "2024-01-01"}, {"Observation", "valueQuantity.value", "3/2"},
	}
	if diff := cmp.Diff(want, Triples(r)); diff != "" {
		t.Error(diff)
	}
}

func TestCompareCountsAFactAsOftenAsItIsSaid(t *testing.T) {
	want := parse(t, `{"resourceType":"Bundle","entry":[
		{"resource":{"resourceType":"Condition","code":{"coding":[{"system":"s","code":"1"}]}}},
		{"resource":{"resourceType":"Condition","code":{"coding":[{"system":"s","code":"1"}]}}},
		{"resource":{"resourceType":"Goal","description":{"text":"run"},"lifecycleStatus":"active","note":[{"text":"a"},{"text":"b"}]}}]}`)
	theirs, err := Entries(want)
	if err != nil || len(theirs) != 3 {
		t.Fatal(len(theirs), err)
	}
	ours := []fhir.Resource{
		parse(t, `{"resourceType":"Condition","code":{"coding":[{"code":"1","system":"s"}],"text":"one"}}`),
		parse(t, `{"resourceType":"Task","description":"a"}`),
	}
	got := Compare(ours, theirs, Difference{Type: "Goal", Path: "life.*", Why: "to see it set aside"},
		Difference{Type: "(G)oal", Path: "note.text", Value: "(.*)", Instead: "Task.description = $2", Why: "to see one found elsewhere and one not"})
	if diff := cmp.Diff([]Row{{"Condition", 4, 2, 0}, {"Goal", 3, 1, 1}}, got.Rows); diff != "" {
		t.Error(diff)
	}
	if used := slices.Sorted(maps.Values(got.Used)); !slices.Equal(used, []int{1, 1}) {
		t.Errorf("the rows of differences were used %v times, each is once", used)
	}
	if got.Recall("Condition") != 0.5 || got.Recall() != 3.0/7 || got.Recall("Patient") != 1 || len(got.Missing) != 4 {
		t.Errorf("%v %v", got.Recall(), got.Missing)
	}
	got.Add(got)
	for _, said := range []string{"Condition                       8      4      0   50.0%", "all                            14      6      2   42.9%"} {
		if !strings.Contains(got.String(), said) {
			t.Errorf("%q is not in\n%s", said, got)
		}
	}
	if first, _, _ := strings.Cut(got.Lacking(1), "\n"); first != "    2 Condition.code.coding.code = 1" {
		t.Errorf("%q", got.Lacking(1))
	}
}
