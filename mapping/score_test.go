package mapping_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/internal/corpus"
	"firebreak/internal/score"
	"firebreak/mapping"
)

// purpose is a row of a table "Where we differ on purpose" in docs/mapping.md.
type purpose struct {
	score.Difference
	most int // facts that it sets aside in all comparisons
}

// onPurpose reads the table of docs/mapping.md whose rows are of what: type, path,
// value and what ours says instead are regular expressions.
func onPurpose(t testing.TB, what string) (all []purpose) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "mapping.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "| facts | "+what+" | path | value | ours instead | why |\n|---|---|---|---|---|---|\n")
	if !ok {
		t.Fatal("docs/mapping.md has no table of differences of a " + what)
	}
	for line := range strings.Lines(rest) {
		c := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") {
			break
		}
		if len(c) != 6 {
			t.Fatalf("docs/mapping.md: %q has not six columns", line)
		}
		for i := range c {
			c[i] = strings.ReplaceAll(strings.Trim(strings.TrimSpace(c[i]), "`"), `\|`, "|")
		}
		row := purpose{Difference: score.Difference{Type: c[1], Path: c[2], Value: c[3], Instead: c[4], Why: c[5]}}
		if row.Instead == "" {
			if row.most, err = strconv.Atoi(c[0]); err != nil {
				t.Fatalf("docs/mapping.md: %q does not say how many facts it sets aside", line)
			}
		}
		all = append(all, row)
	}
	return all
}

// pairs gives each message of a folder of the corpus with what another mapping
// made of it.
func pairs(t testing.TB, folder string, want func(hl7 string) string, yield func(name string, message []byte, want []fhir.Resource)) {
	root := corpus.Dir(t, "corpus", "hl7v2", folder)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".hl7") {
			return err
		}
		other := want(path)
		if _, err := os.Stat(other); err != nil {
			return nil
		}
		bundle, err := fhir.Parse(corpus.Read(t, other))
		if err != nil {
			t.Errorf("%s: %v", other, err)
			return nil
		}
		resources, err := score.Entries(bundle)
		if err != nil {
			t.Errorf("%s: %v", other, err)
			return nil
		}
		name, _ := filepath.Rel(root, path)
		for part := range hl7.Split(corpus.Read(t, path)) {
			if part.Kind == hl7.MessagePart {
				yield(name, part.Message(), resources)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// deletion is ADT^A29, which deletes a person (HL7 v2.9 3.3.29): it is held, and what
// another mapping makes of it, that person, is not compared.
const deletion = "ADT-A29-01.hl7"

// part is a type of resource, in messages of one kind or all, and the recall that
// is held for it.
type part struct {
	typ, in string
	least   float64
}

// TestScore prints how many of the facts that other mappings find in the same
// messages ours finds too, and what it misses most, and holds what was reached.
func TestScore(t *testing.T) {
	rows := onPurpose(t, "type")
	var differ []score.Difference
	for _, r := range rows {
		differ = append(differ, r.Difference)
	}
	used, ran := map[score.Difference]int{}, 0
	k := mapping.NewKeys(secret)
	for _, of := range []struct {
		folder string
		want   func(string) string
		least  float64
		parts  []part
	}{
		{"fhir-converter", func(p string) string {
			return filepath.Join(filepath.Dir(p), "expected", strings.TrimSuffix(filepath.Base(p), ".hl7")+".json")
		}, 0.66, []part{
			{"Patient", "", 0.97}, {"RelatedPerson", "", 0.97}, {"Encounter", "", 0.97}, {"AllergyIntolerance", "", 0.97},
			{"Appointment", "", 0.97}, {"DocumentReference", "", 0.97}, {"Observation", "ORU", 0.97},
		}},
	} {
		t.Run(of.folder, func(t *testing.T) {
			byType := map[string]score.Table{}
			var all score.Table
			n, held := 0, 0
			pairs(t, of.folder, of.want, func(name string, body []byte, want []fhir.Resource) {
				r, err := mapping.Map(k, message(withPatient(body)))
				if name == deletion && err != nil {
					return
				}
				if err != nil {
					held++
					t.Logf("%s: %v", name, err)
				}
				var got []fhir.Resource
				for _, res := range r.Resources {
					got = append(got, res.Resource)
				}
				table := score.Compare(got, want, differ...)
				typ := hl7Type(body)
				sum := byType[typ]
				sum.Add(table)
				byType[typ] = sum
				all.Add(table)
				n++
			})
			if n == 0 {
				t.Fatal("no pairs")
			}
			t.Logf("%d pairs, %d held\n%s", n, held, all)
			for _, row := range all.Rows {
				of := score.Table{}
				for _, m := range all.Missing {
					if m.Type == row.Type {
						of.Missing = append(of.Missing, m)
					}
				}
				t.Logf("%s, most missed:\n%s", row.Type, of.Lacking(25))
			}
			for _, typ := range slices.Sorted(maps.Keys(byType)) {
				t.Logf("%-8s %5.1f%%", typ, 100*byType[typ].Recall())
			}
			if all.Recall() < of.least {
				t.Errorf("%.1f%% of the facts, want %.0f%%", 100*all.Recall(), 100*of.least)
			}
			for _, p := range of.parts {
				table := all
				if p.in != "" {
					table = score.Table{}
					for typ, of := range byType {
						if strings.HasPrefix(typ, p.in) {
							table.Add(of)
						}
					}
				}
				got := table.Recall(p.typ)
				t.Logf("%-20s %-4s %5.1f%%", p.typ, p.in, 100*got)
				if got < p.least {
					t.Errorf("%.1f%% of the facts of %s %s, want %.0f%%", 100*got, p.typ, p.in, 100*p.least)
				}
			}
			ran++
			for d, n := range all.Used {
				used[d] += n
			}
		})
	}
	if ran == 1 {
		inUse(t, rows, used)
	}
}

// inUse holds each row to what it says of itself: it is of use, and sets no more
// facts aside.
func inUse(t *testing.T, rows []purpose, used map[score.Difference]int) {
	for _, r := range rows {
		switch n := used[r.Difference]; {
		case n == 0:
			t.Errorf("the row %s.%s = %s of the differences is of no use any more", r.Type, r.Path, r.Value)
		case r.Instead == "" && n > r.most:
			t.Errorf("the row %s.%s = %s of the differences sets %d facts aside, it says %d", r.Type, r.Path, r.Value, n, r.most)
		default:
			t.Logf("%6d %s.%s = %s", n, r.Type, r.Path, r.Value)
		}
	}
}

func hl7Type(body []byte) string {
	m, err := hl7.Parse(body)
	if err != nil {
		return "none"
	}
	return m.Type().String()
}

// withPatient gives a message that names no patient one, and one without results an
// empty order: those of a single field's pair have neither.
func withPatient(body []byte) []byte {
	m, err := hl7.Parse(body)
	if err != nil {
		return body
	}
	lines := strings.FieldsFunc(string(m.Bytes()), func(r rune) bool { return r == '\r' || r == '\n' })
	if pid := m.Segment("PID"); !pid.Exists() {
		lines = slices.Insert(lines, 1, "PID|1||made-up")
	} else if !pid.Field(2).Present() && !pid.Field(3).Present() && !pid.Field(4).Present() {
		lines[pid.Index()-1] = set(lines[pid.Index()-1], "PID-3", "made-up")
	}
	if m.Type().Code == "ORU" && !m.Segment("OBR").Exists() && !m.Segment("OBX").Exists() {
		lines = append(lines, "OBR|1")
	}
	return []byte(strings.Join(lines, "\r"))
}
