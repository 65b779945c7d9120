package pull

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/mapping"
	"firebreak/record"
	"firebreak/search"
)

// shelf puts a document with its files into the upstream.
func (h *house) shelf(id string, files ...string) {
	h.up.put("DocumentReference", id, "1", 0)
	h.up.all["DocumentReference/"+id].Files = files
}

func (h *house) binary(id, text string) {
	h.up.put("Binary", id, "", 0)
	h.up.all["Binary/"+id].Text = text
}

// A document that is a file of its own comes with the file, from the same server and
// none else, once for each version; without it when the server does not give it, or
// when it is too long. What a file says judges its document: both are withheld.
func TestDocumentsComeWithTheirFiles(t *testing.T) {
	within(t, func(h *house) {
		h.up.put("Patient", "1", "", 1)
		h.binary("a", "Lungs are clear.")
		h.binary("raw", "Heart is well.")
		h.binary("long", strings.Repeat("x", 2000))
		h.binary("secret", "HIV positive since May.")
		h.shelf("1", h.up.base+"/Binary/a")
		h.shelf("2", "Binary/raw", "http://169.254.169.254/fhir/Binary/a", "https://127.0.0.1/fhir/Binary/a")
		h.shelf("3", "Binary/gone", "Binary/long", "Binary/a")
		h.shelf("4", "Binary/secret")
		f := h.feed()
		f.Types, f.longest = []string{"Patient", "DocumentReference"}, 2000
		h.run(f, 3*time.Hour, nil)
		if got := h.up.asked["Binary"]; got != 6 {
			t.Errorf("files were asked for %d times", got)
		}
		ask := record.Ask{Caller: h.staff, Request: "r"}
		want := map[string]string{"1": "Lungs are clear.", "2": "Heart is well.", "3": "Lungs are clear."}
		q, err := search.ParseQuery("DocumentReference", url.Values{"patient": {mapping.NewKeys([]byte("keys of this test")).Patient("up", "urn:ietf:rfc:3986#fhir-id", "1")}})
		h.must(err)
		page, err := h.reader.Search(context.Background(), ask, q, "")
		h.must(err)
		got := map[string]string{}
		for _, m := range page.Matches {
			r := m.Resource()
			id := strings.TrimPrefix(r.Root().At("identifier.value").Text(), "DocumentReference/")
			for n := range r.All("content.attachment.url") {
				ref, ok := fhir.ParseRef(n.Text())
				if !ok {
					continue
				}
				b, err := h.reader.Get(context.Background(), ask, ref)
				if err != nil {
					continue
				}
				text, err := base64.StdEncoding.DecodeString(b.Resource().Get("data").Text())
				h.must(err)
				got[id] += string(text)
			}
		}
		if len(page.Matches) != 3 || got["1"] != want["1"] || got["2"] != want["2"] || got["3"] != want["3"] {
			t.Errorf("%d documents with files %q", len(page.Matches), got)
		}
		h.shelf("1", "Binary/a")
		h.run(f, time.Hour, nil)
		if got := h.up.asked["Binary"]; got != 7 {
			t.Errorf("files were asked for %d times after one document changed", got)
		}
	})
}
