package viewer

import (
	"encoding/json"
	"strings"
	"testing"

	"firebreak/internal/corpus"
)

// Whole records that nobody here wrote: every page of them can be drawn, every
// link leads somewhere, and the big ones stay within reach of a phone.
func TestRealRecordsCanBeRead(t *testing.T) {
	for n, line := range corpus.Lines(t, corpus.Dir(t, "corpus", "fhir", "synthea-bundles.ndjson.gz"))[:6] {
		var bundle struct {
			Entry []struct {
				FullURL  string          `json:"fullUrl"`
				Resource json.RawMessage `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal(line, &bundle); err != nil {
			t.Fatal(err)
		}
		var names []string // "urn:uuid:x" to "Type/x"
		for _, e := range bundle.Entry {
			var r struct{ ResourceType, ID string }
			if err := json.Unmarshal(e.Resource, &r); err != nil {
				t.Fatal(err)
			}
			names = append(names, `"`+e.FullURL+`"`, `"`+r.ResourceType+"/"+r.ID+`"`)
		}
		replace := strings.NewReplacer(names...)
		var arrivals []arrival
		for _, e := range bundle.Entry {
			arrivals = append(arrivals, arrival{"hospital", noon, noon, json.RawMessage(replace.Replace(string(e.Resource)))})
		}
		h := newHouse(t, charted(t, arrivals))
		if out := outline(h.get(h.base(0))); !strings.Contains(out, "# Summary") || strings.Contains(out, "Name not received") {
			t.Errorf("record %d:\n%s", n, out)
		}
		pages := h.crawl()
		if len(pages) < 30 {
			t.Errorf("record %d has %d pages", n, len(pages))
		}
		for path, page := range pages {
			if len(page) > 1<<20 {
				t.Errorf("record %d: %s is %d bytes", n, path, len(page))
			}
		}
	}
}
