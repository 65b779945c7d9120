package proof_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"firebreak/fhir/terminology"
)

// theCodes are value sets and code systems in which what is sensitive stands beside
// what is not, as an operator might bring them: searches by them find the one no
// more than by a code alone.
var theCodes = sync.OnceValues(func() (*terminology.Library, error) {
	concept := func(code string, below ...string) string {
		s := `{"code":"` + code + `"`
		if len(below) > 0 {
			s += `,"concept":[` + strings.Join(below, ",") + `]`
		}
		return s + "}"
	}
	plain := func(codes ...string) (all []string) {
		for _, c := range codes {
			all = append(all, concept(c))
		}
		return all
	}
	var tests, diseases []string
	for _, k := range kinds {
		tests, diseases = append(tests, k.code), append(diseases, k.icd)
	}
	harmless := []string{"2951-2", "2823-3", "2160-0", "24321-2", "36643-5", "8480-6", "8867-4"}
	system := func(id, url string, concepts ...string) string {
		return `{"resource":{"resourceType":"CodeSystem","id":"` + id + `","url":"` + url + `","status":"active","content":"complete","concept":[` + strings.Join(concepts, ",") + `]}}`
	}
	set := func(id string, includes ...string) string {
		return `{"resource":{"resourceType":"ValueSet","id":"` + id + `","url":"http://proof.test/` + id + `","status":"active","compose":{"include":[` + strings.Join(includes, ",") + `]}}}`
	}
	below := func(system, code string) string {
		return `{"system":"` + system + `","filter":[{"property":"concept","op":"is-a","value":"` + code + `"}]}`
	}
	const loinc, icd = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join([]string{
		system("tests", loinc, concept("ALL", concept("SENSITIVE", plain(tests...)...), concept("HARMLESS", plain(harmless...)...))),
		system("diseases", icd, concept("SENSITIVE", plain(diseases...)...), concept("I10")),
		set("sensitive", below(loinc, "SENSITIVE"), below(icd, "SENSITIVE")),
		set("harmless", below(loinc, "HARMLESS"), `{"system":"`+icd+`","concept":[{"code":"I10"}]}`),
		set("both", `{"system":"`+loinc+`"}`, `{"system":"`+icd+`"}`),
		set("below", below(loinc, "ALL")),
	}, ",") + `]}`
	dir, err := os.MkdirTemp("", "terms")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "codes.json")
	if err := os.WriteFile(file, []byte(bundle), 0o600); err != nil {
		return nil, err
	}
	return terminology.Read(file)
})

// A search by a value set, or by what is below a code, finds what is shown and no
// more, however many of its codes are withheld; where nothing is withheld it finds
// them, so that these are questions which could tell.
func TestTermsAreAsked(t *testing.T) {
	t.Parallel()
	w := create(0, 0)
	h := open(t, "")
	for _, e := range w.events {
		if m, ok := e.message(with); ok {
			if err := h.tell(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range policies(t) {
		d, sensitive, harmless := h.under(t, p), 0, 0
		for _, person := range w.people {
			who := audiences(t, person.id())[0]
			total := func(query string) int {
				t.Helper()
				a := d.ask(question{who: who, method: http.MethodGet, target: "/fhir/Observation?_summary=count&patient=" + person.id() + query, at: noon})
				var bundle struct{ Total *int }
				if err := json.Unmarshal(a.body, &bundle); err != nil || bundle.Total == nil {
					t.Fatalf("%s: %d %s", query, a.status, a.body)
				}
				return *bundle.Total
			}
			all, some, more := total(""), total("&code:in=http://proof.test/harmless"), total("&code:in=http://proof.test/sensitive")
			sensitive, harmless = sensitive+more, harmless+some
			for query, want := range map[string]int{
				"&code:in=http://proof.test/both": some + more, "&code:in=http://proof.test/harmless,http://proof.test/sensitive": some + more,
				"&code:not-in=http://proof.test/harmless": all - some, "&code:not-in=http://proof.test/sensitive": all - more,
				"&code:below=http://loinc.org%7CSENSITIVE": more, "&code:below=http://loinc.org%7CALL": some + more,
			} {
				if got := total(query); got != want {
					t.Errorf("%s, %s of %d: %d, want %d", p.name, query, all, got, want)
				}
			}
		}
		if harmless == 0 || (sensitive > 0) != (p.name == openPolicy) {
			t.Errorf("%s: %d harmless and %d sensitive are found", p.name, harmless, sensitive)
		}
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}
