package record_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/record"
)

// report makes a message one about its results, so that a visit in it only says where.
func report(t testing.TB, chart, name string) fhir.Resource {
	return parse(t, `{"resourceType":"DiagnosticReport","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"24321-2","display":"Basic metabolic panel"}]},"subject":{"reference":"Patient/%s"},"encounter":{"reference":"%s"},"result":[{"reference":"%s"}]}`,
		thing(chart, "DiagnosticReport", name).ID, key(chart), thing(chart, "Encounter", "v"), thing(chart, "Observation", name))
}

func visit(t testing.TB, chart, ward string) fhir.Resource {
	return parse(t, `{"resourceType":"Encounter","id":%q,"status":"finished","class":{"code":"IMP"},"subject":{"reference":"Patient/%s"},"location":[{"location":{"display":%q}}]}`,
		thing(chart, "Encounter", "v").ID, key(chart), ward)
}

// seen is a resource's history as someone sees it, but for the ids of versions
// and the name of the chart.
func (w *world) seen(a record.Ask, chart, typ, name string) string {
	w.t.Helper()
	all, err := w.reader.History(ctx, a, thing(chart, typ, name))
	if absent(err) {
		return "absent"
	}
	must(w.t, err)
	var b strings.Builder
	for _, v := range all {
		res, err := v.Resource().Without("meta")
		must(w.t, err)
		fmt.Fprintf(&b, "%s %s %s\n", v.At().Format(time.TimeOnly), v.Recorded().Format(time.TimeOnly), strings.ReplaceAll(string(res.JSON()), key(chart), "CHART"))
	}
	return b.String()
}

// TestItTurnsOutLater: two charts are told the same, one of them some results
// besides of which it turns out later, by a correction or a decision, that they
// are sensitive. Then both are known alike: of whom, where and when.
func TestItTurnsOutLater(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
		for seed := range uint64(15) {
			r := rand.New(rand.NewPCG(seed, 7))
			secretly, plainly := fmt.Sprintf("s%02d", seed), fmt.Sprintf("p%02d", seed)
			received := 0
			tell := func(secret bool, at int, message func(chart string) []fhir.Resource) record.Stored {
				t.Helper()
				received++
				var first record.Stored
				for _, chart := range []string{secretly, plainly}[:2-int(number(secret))] {
					m := inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: fmt.Sprint(chart, " ", received), Received: minute(received), Body: fmt.Append(nil, "later ", chart, received)}
					receipt, err := w.Put(ctx, m)
					must(t, err)
					stored, s := record.Stored{ID: receipt.ID, Message: m}, said{At: minute(at), Resources: message(chart)}
					made.Store(w.dsn+string(m.Body), s.Resources)
					must(t, w.commit(stored, s))
					if first.ID == 0 {
						first = stored
					}
					if r.IntN(4) == 0 { // it is applied once more
						must(t, w.commit(stored, s))
					}
				}
				return first
			}
			about := func(chart, name string, result fhir.Resource) []fhir.Resource {
				all := []fhir.Resource{result, report(t, chart, name), patient(t, chart, "Ash", fmt.Sprint("1980-01-0", 1+r.IntN(2)), "7")}
				if r.IntN(3) > 0 {
					all = append(all, visit(t, chart, fmt.Sprint("Ward ", r.IntN(2))))
				}
				return all
			}
			code := fmt.Sprint("QX", seed)
			var open []string
			decided := false
			harmless := 0
			for n := range 4 + r.IntN(6) {
				name, at := fmt.Sprint("n", n), r.IntN(6)
				switch r.IntN(3) {
				case 0:
					harmless++
					state := r.Uint64()
					tell(false, at, func(chart string) []fhir.Resource {
						r = rand.New(rand.NewPCG(state, 1)) // the same to both
						return about(chart, name, sodium(t, chart, name, "140"))
					})
				case 1:
					open = append(open, name)
					tell(true, at, func(chart string) []fhir.Resource {
						return about(chart, name, result(t, chart, name, "24323-8", "Result", "pending"))
					})
				default:
					decided = true
					tell(true, at, func(chart string) []fhir.Resource { return about(chart, name, local(t, chart, name, code, "7")) })
				}
			}
			for _, name := range open {
				tell(true, 6+r.IntN(3), func(chart string) []fhir.Resource { return about(chart, name, hiv(t, chart, name, "reactive")) })
			}
			if decided {
				w.decide(label.Code{Source: "ward", System: "urn:lab", Code: code, Display: "Panel " + code}, label.HIV)
				_, err := w.Relabel(ctx)
				must(t, err)
			}
			tell(false, r.IntN(9), func(chart string) []fhir.Resource {
				r = rand.New(rand.NewPCG(seed, 2))
				return about(chart, "last", sodium(t, chart, "last", "141"))
			})
			look := func(typ, name string) {
				t.Helper()
				if got, want := w.seen(me, secretly, typ, name), w.seen(me, plainly, typ, name); got != want {
					t.Errorf("seed %d, %s %s: with secrets\n%s\nwithout\n%s", seed, typ, name, got, want)
				}
			}
			look("Patient", "")
			look("Encounter", "v")
			look("Observation", "last")
			for n := range 9 {
				look("Observation", fmt.Sprint("n", n))
				look("DiagnosticReport", fmt.Sprint("n", n))
			}
			if t.Failed() {
				return
			}
		}
	})
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
