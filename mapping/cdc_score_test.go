package mapping_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/internal/score"
	"firebreak/mapping"
)

// cdc is a Bundle of CDC's as far as it can be compared.
type cdc struct {
	facts []fhir.Resource // what it says
	aside int             // facts of what is left out
}

// directory are who and where. CDC's translation makes one for each mention.
var (
	directory = []string{"Practitioner", "PractitionerRole", "Organization", "Location", "Device"}
	persons   = []string{"Practitioner", "RelatedPerson"}
)

// comparable leaves out of a Bundle of CDC's
//
//   - the extensions that keep the parts of v2 fields for CDC's way back to v2;
//   - what CDC says of its own conversion: who did it, when, by which rules, and
//     that it "updated" the patient then;
//   - persons, places, organizations and devices that nothing leads to but those
//     extensions or the MessageHeader's destination;
//   - an Organization with neither number nor name, which R4 does not allow (org-1);
//   - a ServiceRequest that says nothing of an order: status "unknown" and the code
//     that the report has, of an OBR without an ORC (ORU_R01: IF ORC VALUED);
//   - a PractitionerRole of nobody's and nowhere, and what says nothing but of whom;
//   - the second half of a group's number that has none: an EI in ORC-4 is the
//     placer's, and only an EIP has a filler's (ORC[ServiceRequest]);
//   - where a visit is to be and where it was for a time (PV1-42, PV1-43): the one
//     is reserved, the other not mapped by the guide (PV1[Encounter]);
//   - of an NK1 that names nobody, and is the patient's contact here, what theirs
//     says both of the contact and of a RelatedPerson: the second;
//   - all but one of several persons, places and organizations that say the same, or
//     persons that have one number: one number is one person, called as ours is.
func comparable(t testing.TB, theirs, ours []fhir.Resource) cdc {
	var out cdc
	var kept []fhir.Resource
	gone := map[string]bool{}
	for _, r := range theirs {
		bare := withoutExtensions(t, r)
		out.aside += len(score.Triples(r)) - len(score.Triples(bare))
		if ofConversion(bare) || nobody(bare) || noOrder(bare) || noRole(bare) || len(matter(bare)) == 0 {
			out.aside += len(score.Triples(bare))
			gone[r.Ref().String()] = true
			continue
		}
		kept = append(kept, bare)
	}
	for range 2 { // a role may be nowhere's once its organization is gone
		for i, r := range kept {
			kept[i] = withoutLinks(t, r, gone)
			out.aside += len(score.Triples(r)) - len(score.Triples(kept[i]))
		}
		kept = slices.DeleteFunc(kept, func(r fhir.Resource) bool {
			if !noRole(r) {
				return false
			}
			out.aside += len(score.Triples(r))
			return true
		})
	}
	kept = onceOfContact(t, kept, &out.aside)
	say := map[score.Triple]bool{}
	for _, r := range ours {
		for _, f := range score.Triples(r) {
			say[f] = true
		}
	}
	reached := map[string]bool{}
	var follow func(r fhir.Resource)
	follow = func(r fhir.Resource) {
		for _, to := range leads(r) {
			if reached[to] {
				continue
			}
			reached[to] = true
			for _, next := range kept {
				if next.Ref().String() == to {
					follow(next)
				}
			}
		}
	}
	for _, r := range kept {
		if !slices.Contains(directory, r.Type()) {
			follow(r)
		}
	}
	best := map[string]int{} // by what it is called: index in out.facts
	for _, r := range kept {
		called := ""
		if slices.Contains(directory, r.Type()) {
			if !reached[r.Ref().String()] {
				out.aside += len(score.Triples(r))
				continue
			}
			called = r.Type() + fmt.Sprint(score.Triples(r))
		}
		if n := r.Root().At("identifier.value").Text(); n != "" && slices.Contains(persons, r.Type()) {
			called = r.Type() + n
		}
		if i, twice := best[called]; twice {
			if same(say, r) > same(say, out.facts[i]) {
				r, out.facts[i] = out.facts[i], r
			}
			out.aside += len(score.Triples(r))
			continue
		}
		if called != "" {
			best[called] = len(out.facts)
		}
		out.facts = append(out.facts, r)
	}
	return out
}

// onceOfContact takes from each RelatedPerson without name and number the telecoms
// and addresses that the Patient's contacts have too.
func onceOfContact(t testing.TB, all []fhir.Resource, aside *int) []fhir.Resource {
	contacts := map[string]bool{}
	for _, r := range all {
		for c := range r.All("contact") {
			for item := range c.All("telecom") {
				contacts[string(item.Raw())] = true
			}
			contacts[string(c.Get("address").Raw())] = true
		}
	}
	for i, r := range all {
		if r.Type() != "RelatedPerson" || !r.Get("name").IsZero() || !r.Get("identifier").IsZero() {
			continue
		}
		v := decoded(r).(map[string]any)
		for _, name := range []string{"telecom", "address"} {
			items, _ := v[name].([]any)
			v[name] = slices.DeleteFunc(items, func(item any) bool {
				raw, err := json.Marshal(item)
				return err == nil && contacts[string(raw)]
			})
			if len(v[name].([]any)) == 0 {
				delete(v, name)
			}
		}
		delete(v, "patient")
		less := encoded(t, v)
		*aside += len(score.Triples(r)) - len(score.Triples(less))
		all[i] = less
	}
	return all
}

// same counts the facts of r that ours says.
func same(say map[score.Triple]bool, r fhir.Resource) (n int) {
	for _, f := range score.Triples(r) {
		if say[f] {
			n++
		}
	}
	return n
}

func nobody(r fhir.Resource) bool {
	return r.Type() == "Organization" && r.Get("identifier").IsZero() && r.Get("name").IsZero()
}

func noOrder(r fhir.Resource) bool {
	return r.Type() == "ServiceRequest" && r.Get("status").Is("unknown") && !slices.ContainsFunc(matter(r), func(f score.Triple) bool {
		return f.Path != "status" && f.Path != "intent" && !strings.HasPrefix(f.Path, "code.")
	})
}

func noRole(r fhir.Resource) bool {
	return r.Type() == "PractitionerRole" && r.Get("organization").IsZero() && r.Get("location").IsZero()
}

// matter are the facts of r but for whom it is about.
func matter(r fhir.Resource) []score.Triple {
	return slices.DeleteFunc(score.Triples(r), func(f score.Triple) bool { return f.Path == "subject.type" || f.Path == "patient.type" })
}

// withoutLinks is r without its references to what is gone.
func withoutLinks(t testing.TB, r fhir.Resource, gone map[string]bool) fhir.Resource {
	var strip func(v any) bool
	strip = func(v any) bool {
		switch v := v.(type) {
		case map[string]any:
			if to, ok := v["reference"].(string); ok && gone[to] {
				return false
			}
			for name, inner := range v {
				if items, ok := inner.([]any); ok {
					items = slices.DeleteFunc(items, func(item any) bool { return !strip(item) })
					if v[name] = items; len(items) == 0 {
						delete(v, name)
					}
				} else if !strip(inner) {
					delete(v, name)
				}
			}
		}
		return true
	}
	v := decoded(r)
	strip(v)
	return encoded(t, v)
}

// ofConversion tells whether a Provenance says what CDC's translator did.
func ofConversion(r fhir.Resource) bool {
	code := r.Root().At("activity.coding.code").Text()
	return r.Type() == "Provenance" && (code == "v2-FHIR transformation" || code == "UPDATE" && r.Get("occurredDateTime").IsZero())
}

// leads are the resources that r's references name, but for where a message went.
func leads(r fhir.Resource) (all []string) {
	var walk func(v any, name string)
	walk = func(v any, name string) {
		switch v := v.(type) {
		case map[string]any:
			if to, ok := v["reference"].(string); ok && name != "receiver" {
				all = append(all, to)
			}
			for name, v := range v {
				walk(v, name)
			}
		case []any:
			for _, v := range v {
				walk(v, name)
			}
		}
	}
	walk(decoded(r), "")
	return all
}

func decoded(r fhir.Resource) any {
	d := json.NewDecoder(bytes.NewReader(r.JSON()))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

// withoutExtensions is r without the extensions that are CDC's own.
func withoutExtensions(t testing.TB, r fhir.Resource) fhir.Resource {
	var strip func(v any) (any, bool)
	strip = func(v any) (any, bool) {
		switch v := v.(type) {
		case map[string]any:
			if url, _ := v["url"].(string); strings.Contains(url, "://reportstream.cdc.gov/") {
				return nil, false
			}
			for name, inner := range v {
				bare, ok := strip(inner)
				if ok {
					v[name] = bare
				} else {
					delete(v, name)
				}
			}
			if ids, ok := v["identifier"].([]any); ok && (v["resourceType"] == "ServiceRequest" || v["resourceType"] == "DiagnosticReport") {
				v["identifier"] = slices.DeleteFunc(ids, func(id any) bool { return fillersGroup(id, ids) })
			}
			if v["resourceType"] == "Encounter" {
				places, _ := v["location"].([]any)
				v["location"] = slices.DeleteFunc(places, func(at any) bool {
					m, _ := at.(map[string]any)
					temporary := strings.Contains(fmt.Sprint(m["extension"]), "valueBoolean:true")
					return m["status"] == "planned" || m["status"] == "completed" && temporary
				})
			}
			return v, len(v) > 0
		case []any:
			var all []any
			for _, item := range v {
				if bare, ok := strip(item); ok {
					all = append(all, bare)
				}
			}
			return all, len(all) > 0
		}
		return v, true
	}
	bare, _ := strip(decoded(r))
	return encoded(t, bare)
}

func encoded(t testing.TB, v any) fhir.Resource {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := fhir.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fillersGroup tells whether id is the filler's number of a group and among all
// stands the placer's that is the same.
func fillersGroup(id any, all []any) bool {
	typed := func(id any) (typ, value any) {
		m, _ := id.(map[string]any)
		kind, _ := m["type"].(map[string]any)
		codings, _ := kind["coding"].([]any)
		if len(codings) > 0 {
			coding, _ := codings[0].(map[string]any)
			typ = coding["code"]
		}
		return typ, m["value"]
	}
	typ, value := typed(id)
	return typ == "FGN" && slices.ContainsFunc(all, func(x any) bool {
		t, v := typed(x)
		return t == "PGN" && v == value
	})
}

// underTest are the facts that a pair of ReportStream is about, by its folder: the
// files are named after what becomes of what, "OBX-to-Observation", "xad-to-address".
// The rest of each message is there because a message needs it.
var underTest = map[string]*regexp.Regexp{
	"msh":    regexp.MustCompile(`^(MessageHeader|Organization)\.`),
	"nk1":    regexp.MustCompile(`^(RelatedPerson|Patient\.contact|Organization)`),
	"nte":    regexp.MustCompile(`\.(note\.|extension\.valueAnnotation)|^Practitioner\.`),
	"obx":    regexp.MustCompile(`^(Observation|Device|Organization|PractitionerRole|Practitioner)\.`),
	"orcobr": regexp.MustCompile(`^(ServiceRequest|DiagnosticReport|Specimen|Organization|PractitionerRole|Practitioner|Location)\.`),
	"pid":    regexp.MustCompile(`^Patient\.`),
	"pv1pv2": regexp.MustCompile(`^(Encounter|Location|Practitioner)\.`),
	"spm":    regexp.MustCompile(`^Specimen\.`),
	"xad":    regexp.MustCompile(`^(RelatedPerson|Patient\.contact|Organization\.contact)\.address\.`),
	"xtn":    regexp.MustCompile(`^(RelatedPerson|Patient\.contact)\.telecom\.`),
}

// TestCDC prints how many of the facts that CDC's translations find in the same
// messages ours finds too, of ReportStream's pairs besides how many are found
// whole: those of what the pair is about. Each that is not stands in
// testdata/reportstream.tsv with its reason.
func TestCDC(t *testing.T) {
	rows := onPurpose(t, "CDC's type")
	var differ []score.Difference
	for _, r := range rows {
		differ = append(differ, r.Difference)
	}
	used, ran := map[score.Difference]int{}, 0
	k := mapping.NewKeys(secret)
	var aside []score.Difference // rows that say nothing instead
	for _, d := range differ {
		if d.Instead == "" {
			aside = append(aside, d)
		}
	}
	compare := func(body []byte, want []fhir.Resource) (score.Table, cdc, error) {
		r, err := mapping.Map(k, message(withPatient(body)))
		var got []fhir.Resource
		for _, res := range r.Resources {
			got = append(got, res.Resource)
		}
		other := comparable(t, want, got)
		table := score.Compare(got, other.facts, differ...)
		for d, n := range table.Used {
			used[d] += n
		}
		return table, other, err
	}
	t.Run("reportstream", func(t *testing.T) {
		said, n, whole, nothing, out := missedPairs(t), 0, 0, 0, 0
		var all score.Table
		pairs(t, "reportstream", func(p string) string { return strings.TrimSuffix(p, ".hl7") + ".fhir" }, func(name string, body []byte, want []fhir.Resource) {
			table, theirs, err := compare(body, want)
			if err != nil {
				t.Logf("%s: %v", name, err)
			}
			out += theirs.aside
			all.Add(table)
			name = strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "mapping-pairs/"), ".hl7")
			folder, _, _ := strings.Cut(name, "/")
			if underTest[folder] == nil {
				t.Fatalf("%s: what are the pairs of this folder about?", name)
			}
			other := func(m score.Triple) bool { return !underTest[folder].MatchString(m.String()) }
			table.Missing = slices.DeleteFunc(table.Missing, other)
			if len(slices.DeleteFunc(score.Compare(nil, theirs.facts, aside...).Missing, other)) == 0 {
				nothing++
			}
			n++
			_, listed := said[name]
			delete(said, name)
			switch {
			case len(table.Missing) == 0:
				whole++
				if listed {
					t.Errorf("testdata/reportstream.tsv: %s is found whole", name)
				}
			case !listed:
				t.Errorf("testdata/reportstream.tsv does not list %s\t%d facts, such as %s", name, len(table.Missing), table.Missing[0])
			}
			if len(table.Missing) > 0 {
				t.Logf("%s misses\n%s", name, table.Lacking(30))
			}
		})
		for name := range said {
			t.Errorf("testdata/reportstream.tsv: there is no pair %s", name)
		}
		print(t, all, out)
		t.Logf("%d of %d pairs are found whole: %.1f%%; in %d of these everything that the pair is about is set aside", whole, n, 100*float64(whole)/float64(n), nothing)
		hold(t, all, 0.92, out, 20_682)
		ran++
	})
	t.Run("trusted-intermediary", func(t *testing.T) {
		var all score.Table
		out := 0
		pairs(t, "trusted-intermediary", func(p string) string {
			number, _, _ := strings.Cut(filepath.Base(p), "_") // of a chain of messages the first is what was translated
			all, _ := filepath.Glob(filepath.Join(filepath.Dir(p), number+"_*_hl7_translation.fhir.json.gz"))
			if len(all) != 1 || strings.Contains(p, "translation_final") {
				return ""
			}
			return all[0]
		}, func(name string, body []byte, want []fhir.Resource) {
			table, theirs, err := compare(body, want)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			out += theirs.aside
			all.Add(table)
		})
		print(t, all, out)
		hold(t, all, 0.97, out, 13_575)
		ran++
	})
	if ran == 2 {
		inUse(t, rows, used)
	}
}

func print(t *testing.T, all score.Table, aside int) {
	t.Logf("%d facts set aside before\n%s", aside, all)
	for _, row := range all.Rows {
		of := score.Table{}
		for _, m := range all.Missing {
			if m.Type == row.Type {
				of.Missing = append(of.Missing, m)
			}
		}
		if len(of.Missing) > 0 {
			t.Logf("%s, most missed:\n%s", row.Type, of.Lacking(25))
		}
	}
}

// hold fails when fewer of the facts are found, or more are left out before they
// are compared.
func hold(t *testing.T, all score.Table, least float64, aside, most int) {
	if aside > most {
		t.Errorf("%d facts are left out, at most %d were", aside, most)
	}
	if all.Recall() < least {
		t.Errorf("%.1f%% of the facts, want %.0f%%", 100*all.Recall(), 100*least)
	}
}

// missedPairs reads testdata/reportstream.tsv: the pairs of ReportStream that are
// not found whole, with the reason, tab between.
func missedPairs(t testing.TB) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "reportstream.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		name, why, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !ok || why == "" || all[name] != "" {
			t.Fatalf("reportstream.tsv: %q is not one pair and its reason", line)
		}
		all[name] = why
	}
	return all
}
