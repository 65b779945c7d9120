package record_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"firebreak/fhir"
	"firebreak/search"
)

// A question about what is new is answered alike whether nothing came besides or
// something withheld for a thousand patients.
func TestWithheldChangesOfManyPatients(t *testing.T) {
	const patients = 1001
	answers := map[bool][]string{}
	for _, secrets := range []bool{false, true} {
		w := open(t, "sqlite:"+filepath.Join(t.TempDir(), "record.db"))
		var known, withheld []fhir.Resource
		for i := range patients {
			chart := fmt.Sprintf("p%04d", i)
			known = append(known, patient(t, chart, "Ash", "1980-01-02", chart), sodium(t, chart, "na", "140"))
			withheld = append(withheld, hiv(t, chart, "h", "reactive"))
		}
		w.tell(known...)
		if secrets {
			w.tell(withheld...)
		}
		w.n = 2
		w.tell(sodium(t, "p0007", "k", "4"))
		for _, more := range []url.Values{{}, {"_total": {"accurate"}}, {"_sort": {"-_lastUpdated"}}, {"_total": {"accurate"}, "code": {"7917-8"}}} {
			more.Set("_lastUpdated", "gt2026-03-01T12:01:30Z")
			q, err := search.ParseQuery("Observation", more)
			must(t, err)
			page, err := w.reader.Search(ctx, backend(t), q, "")
			total := -1
			if page.Total != nil {
				total = *page.Total
			}
			answers[secrets] = append(answers[secrets], fmt.Sprint(len(page.Matches), total, page.Next != "", err))
		}
	}
	for i, want := range answers[false] {
		if got := answers[true][i]; got != want {
			t.Errorf("question %d: %s with secrets, %s without", i, got, want)
		}
	}
}
