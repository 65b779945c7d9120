package demo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/internal/corpus"
	"firebreak/policy"
)

// open is a configuration whose policy withholds nothing from backends: what
// is lost by the way must not hide behind what is withheld. key fixes all ids.
func openConfig(t *testing.T, key string) string {
	t.Helper()
	var file map[string]any
	if err := json.Unmarshal(policy.Demo(), &file); err != nil {
		t.Fatal(err)
	}
	backend := file["audiences"].(map[string]any)["backend"].(map[string]any)
	backend["withhold"], backend["unclassified"] = []string{}, "release"
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, body := range map[string]string{
		"policy.json": string(text),
		"key":         key,
		"config.json": `{"policy": "policy.json", "key": {"file": "key"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.json")
}

const testKey = "the key of this test, which makes all its ids"

// The whole of Simulated Hospital goes in over MLLP and is read back over the
// FHIR API: nothing is lost, nothing is there twice, nothing is another patient's.
func TestWholeStream(t *testing.T) {
	messages := corpus.Stream(t)
	want := newLedger(messages)
	if len(messages) != 3000 || len(want.patients) != 714 || len(want.into) != 70 {
		t.Fatalf("the ledger has %d messages, %d patients, %d merges: the stream has 3000, 714, 70", len(messages), len(want.patients), len(want.into))
	}
	d := demotest.Start(t, demo.Options{Empty: true, Config: openConfig(t, testKey)})
	app := backend(t, d)
	d.Send(t, 16, messages...)
	figures(t, d, map[string]float64{"firebreak_inbox_messages_total": 3000, "firebreak_inbox_pending": 0, "firebreak_inbox_held": 0})

	var once state
	t.Run("is there, once, in its patient's chart", func(t *testing.T) {
		once = readAll(t, app)
		compare(t, want, once)
		files(t, app, want, once)
	})
	t.Run("is found patient by patient", func(t *testing.T) {
		perPatient(t, app, want, once)
	})
	t.Run("sent again changes nothing", func(t *testing.T) {
		d.Send(t, 16, messages...)
		figures(t, d, map[string]float64{"firebreak_inbox_messages_total": 3000, "firebreak_inbox_pending": 0})
		readAll(t, app).equals(t, once, false)
	})
	t.Run("sent again under other control ids changes nothing but where it is from", func(t *testing.T) {
		again := make([][]byte, len(messages))
		for i, m := range messages {
			f := bytes.SplitN(m, []byte("|"), 11)
			f[9] = append([]byte("again"), f[9]...)
			again[i] = bytes.Join(f, []byte("|"))
		}
		d.Send(t, 16, again...)
		figures(t, d, map[string]float64{"firebreak_inbox_messages_total": 6000, "firebreak_inbox_pending": 0, "firebreak_inbox_held": 0})
		after := readAll(t, app)
		delete(after, "Provenance")
		before := maps.Clone(once)
		delete(before, "Provenance")
		after.equals(t, before, true) // facts of one second follow each other again
	})
	t.Run("in another order of patients is the same", func(t *testing.T) {
		other := demotest.Start(t, demo.Options{Empty: true, Config: openConfig(t, testKey)})
		other.Send(t, 16, reordered(messages)...)
		readAll(t, backend(t, other)).equals(t, once, true)
		other.Stop()
	})
}

func backend(t *testing.T, d *demotest.Demo) *demotest.App {
	t.Helper()
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Close)
	return app
}

// reordered has the last patient's messages first, each patient's in their order.
// So some merges come before what they merge.
func reordered(messages [][]byte) [][]byte {
	of := map[string][][]byte{}
	var order []string
	for _, m := range messages {
		who := mrn(m)
		if of[who] == nil {
			order = append(order, who)
		}
		of[who] = append(of[who], m)
	}
	slices.Reverse(order)
	var all [][]byte
	for _, who := range order {
		all = append(all, of[who]...)
	}
	return all
}

// state is all that an app can read, by type and id.
type state map[string]map[string]demotest.Resource

// readAll reads every resource of every type that the CapabilityStatement names.
func readAll(t *testing.T, app *demotest.App) state {
	t.Helper()
	answer, err := app.Get(t.Context(), "/metadata")
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		Rest []struct {
			Resource []struct{ Type string }
		}
	}
	if err := json.Unmarshal(answer.Body, &metadata); err != nil {
		t.Fatal(err)
	}
	all := state{}
	// A search across patients leaves the cache of charts alone, for one such
	// search must not push out what others use. Fill it first.
	patients, _, err := app.Search(t.Context(), "/Patient?_count=250")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patients {
		if _, err := app.Get(t.Context(), "/Patient/"+p.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range metadata.Rest[0].Resource {
		found, _, err := app.Search(t.Context(), "/"+r.Type+"?_count=250")
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			all[r.Type] = map[string]demotest.Resource{}
		}
		for _, f := range found {
			all[r.Type][f.ID] = f
		}
	}
	return all
}

// received is when a store took something in; it differs between two stores.
var received = regexp.MustCompile(`"(lastUpdated|recorded)":"[^"]*"`)

// equals compares every body and version with before. elsewhere: they are two
// stores, and what was received at another time was.
func (s state) equals(t *testing.T, before state, elsewhere bool) {
	t.Helper()
	tidy := func(r demotest.Resource) string {
		if elsewhere {
			return string(received.ReplaceAll(r.JSON, []byte(`"$1":""`)))
		}
		return string(r.JSON)
	}
	var changed []string
	for typ, were := range before {
		for id, was := range were {
			if is, ok := s[typ][id]; !ok {
				changed = append(changed, "gone: "+typ+"/"+id)
			} else if is.Version != was.Version || tidy(is) != tidy(was) {
				changed = append(changed, fmt.Sprintf("changed: %s\nnow:     %s", was.JSON, is.JSON))
			}
		}
	}
	for typ, are := range s {
		for id := range are {
			if _, ok := before[typ][id]; !ok {
				changed = append(changed, "new: "+typ+"/"+id)
			}
		}
	}
	few(t, "changed", changed)
}

// few fails with a list's length and beginning.
func few(t *testing.T, what string, list []string) {
	t.Helper()
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	t.Errorf("%d %s:\n%s", len(list), what, strings.Join(list[:min(len(list), 6)], "\n"))
}

// compare holds what was read against the ledger, both ways.
func compare(t *testing.T, want *ledger, got state) {
	t.Helper()
	patients := map[string]string{} // id to MRN
	charts := map[string]string{}   // MRN to id
	for id, p := range got["Patient"] {
		number := numbered(p, "MRN")
		if charts[number] != "" {
			t.Errorf("%s is two patients", number)
		}
		patients[id], charts[number] = number, id
	}
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for number, p := range want.patients {
		is, ok := got["Patient"][charts[number]]
		if !ok {
			bad("lost: patient %s", number)
			continue
		}
		born, _, _ := strings.Cut(digits(at(is, "birthDate")), " ")
		if at(is, "name.0.family") != p.family || at(is, "name.0.given.0") != p.given || !strings.HasPrefix(p.born, born) || born == "" ||
			at(is, "gender") != map[string]string{"F": "female", "M": "male"}[p.sex] {
			bad("patient %s is %s", number, is.JSON)
		}
		link := ""
		if to := want.into[number]; to != "" {
			link = "Patient/" + charts[to]
		}
		replaced := ""
		if at(is, "link.0.type") == "replaced-by" {
			replaced = at(is, "link.0.other.reference")
		}
		if replaced != link {
			bad("patient %s is replaced by %q, want %q", number, replaced, link)
		}
	}
	few(t, "patients", wrong)
	if len(got["Patient"]) != len(want.patients) {
		t.Errorf("%d patients, want %d", len(got["Patient"]), len(want.patients))
	}
	owner := func(r demotest.Resource, element string) string {
		return patients[strings.TrimPrefix(at(r, element+".reference"), "Patient/")]
	}

	wrong = nil
	results, reports, members := map[result]told{}, map[result]string{}, map[string]bool{}
	for _, r := range got["DiagnosticReport"] {
		key := result{mrn: owner(r, "subject"), placer: numbered(r, "PLAC"), filler: numbered(r, "FILL")}
		if _, twice := reports[key]; twice {
			bad("twice: report %v", key)
		}
		reports[key] = at(r, "status")
		list, _ := r.Value["result"].([]any)
		for n := range list {
			id := strings.TrimPrefix(at(r, fmt.Sprintf("result.%d.reference", n)), "Observation/")
			o, ok := got["Observation"][id]
			if !ok {
				bad("report %v names Observation/%s, which is not there", key, id)
				continue
			}
			key := result{owner(o, "subject"), key.placer, key.filler, at(o, "code.coding.0.code")}
			if _, twice := results[key]; twice || members[id] {
				bad("twice: result %v", key)
			}
			members[id] = true
			results[key] = told{value(o), at(o, "valueQuantity.unit"), at(o, "status"), digits(at(o, "issued"))}
		}
	}
	for id := range got["Observation"] {
		if !members[id] {
			bad("Observation/%s is in no report", id)
		}
	}
	few(t, "results", wrong)
	status := map[string]string{"AU": "unknown", "P": "preliminary", "F": "final", "C": "corrected"}
	words := map[result]told{}
	for key, last := range want.results {
		key.mrn, last.status = want.now(key.mrn), status[last.status]
		if last.unit != "" && !strings.HasPrefix(last.value, ">") && results[key].unit == "" {
			last.unit = "" // text has none
		}
		words[key] = last
	}
	same(t, "results", words, results)
	said := map[result]string{}
	for key, s := range want.reports {
		key.mrn = want.now(key.mrn)
		said[key] = status[s]
	}
	same(t, "reports", said, reports)

	pairs := func(typ, element string, number func(demotest.Resource) string) map[[2]string]int {
		found := map[[2]string]int{}
		for _, r := range got[typ] {
			if n := number(r); n != "" {
				found[[2]string{owner(r, element), n}]++
			}
		}
		return found
	}
	moved := func(pairs map[[2]string]bool) map[[2]string]int { // each of two merged patients may have one
		now := map[[2]string]int{}
		for p := range pairs {
			now[[2]string{want.now(p[0]), p[1]}]++
		}
		return now
	}
	same(t, "orders", moved(want.orders), pairs("ServiceRequest", "subject", func(r demotest.Resource) string { return numbered(r, "PLAC") }))
	same(t, "visits", moved(want.visits), pairs("Encounter", "subject", func(r demotest.Resource) string { return numbered(r, "VN") }))
	same(t, "notes", moved(want.notes), pairs("DocumentReference", "subject", func(r demotest.Resource) string { return at(r, "masterIdentifier.value") }))
	same(t, "allergies", moved(want.allergic), pairs("AllergyIntolerance", "patient", func(r demotest.Resource) string { return at(r, "code.coding.0.code") }))
}

// files reads what reports hold as files, byte by byte.
func files(t *testing.T, app *demotest.App, want *ledger, got state) {
	t.Helper()
	var wrong []string
	found := 0
	for _, r := range got["DiagnosticReport"] {
		url := at(r, "presentedForm.0.url")
		if url == "" {
			continue
		}
		found++
		answer, err := app.Get(t.Context(), "/"+url)
		if err != nil {
			t.Fatal(err)
		}
		for key, text := range want.files { // who does not ask for FHIR is given the file
			if key.filler == numbered(r, "FILL") && text != string(answer.Body) {
				wrong = append(wrong, fmt.Sprintf("%v: %d bytes, want %d", key, len(answer.Body), len(text)))
			}
		}
	}
	few(t, "files", wrong)
	if found != len(want.files) {
		t.Errorf("%d files, want %d", found, len(want.files))
	}
}

func same[K comparable, V comparable](t *testing.T, what string, want, got map[K]V) {
	t.Helper()
	var wrong []string
	for k, w := range want {
		if g, ok := got[k]; !ok {
			wrong = append(wrong, fmt.Sprintf("lost: %v", k))
		} else if g != w {
			wrong = append(wrong, fmt.Sprintf("wrong: %v is %v, want %v", k, g, w))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			wrong = append(wrong, fmt.Sprintf("from nowhere: %v", k))
		}
	}
	few(t, what, wrong)
	t.Logf("%d %s", len(got), what)
}

// perPatient searches each chart by its patient and expects what lies in the whole.
func perPatient(t *testing.T, app *demotest.App, want *ledger, whole state) {
	t.Helper()
	of := map[string]int{}
	for _, o := range whole["Observation"] {
		of[strings.TrimPrefix(at(o, "subject.reference"), "Patient/")]++
	}
	ids := map[string]string{}
	for number := range want.patients {
		found, _, err := app.Search(t.Context(), "/Patient?identifier="+number)
		if err != nil || len(found) != 1 {
			t.Fatalf("patient %s: found %d, error %v", number, len(found), err)
		}
		ids[number] = found[0].ID
	}
	for number, id := range ids {
		survivor := number // who asks for a merged record gets that of the one it lives on in
		for want.into[survivor] != "" {
			survivor = want.into[survivor]
		}
		expected := of[ids[survivor]]
		results, total, err := app.Search(t.Context(), "/Observation?patient="+id+"&_count=3&_sort=-date&_total=accurate")
		if err != nil {
			t.Fatal(err)
		}
		if len(results) != expected || total != expected {
			t.Errorf("patient %s: %d results in pages of 3, total %d, want %d", number, len(results), total, expected)
		}
		for i, r := range results {
			if r.Version != whole["Observation"][r.ID].Version {
				t.Errorf("patient %s: result %d of the search is no result of the whole", number, i)
			}
		}
	}
}

// at is the text at a path of names and indexes; "" when there is none.
func at(r demotest.Resource, path string) string {
	var v any = r.Value
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			n := int(name[0] - '0')
			if len(name) != 1 {
				_, _ = fmt.Sscan(name, &n)
			}
			if n >= len(x) {
				return ""
			}
			v = x[n]
		default:
			return ""
		}
	}
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	}
	return ""
}

// numbered is the identifier of a kind.
func numbered(r demotest.Resource, kind string) string {
	list, _ := r.Value["identifier"].([]any)
	for n := range list {
		if at(r, fmt.Sprintf("identifier.%d.type.coding.0.code", n)) == kind {
			return at(r, fmt.Sprintf("identifier.%d.value", n))
		}
	}
	return ""
}

func value(o demotest.Resource) string {
	if q := at(o, "valueQuantity.value"); q != "" {
		return at(o, "valueQuantity.comparator") + q
	}
	return at(o, "valueString")
}

// digits is a FHIR time as HL7 v2 writes it, without its offset.
func digits(s string) string {
	if len(s) > 19 {
		s = s[:19]
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
