package record_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/search"
)

// everything is an export's resources, type/id to JSON; each must stand in it once.
func (w *world) everything(a record.Ask, id string) (all map[string]string, files int) {
	w.t.Helper()
	x, err := w.reader.Exported(ctx, a, id)
	for must(w.t, err); !x.Done; must(w.t, err) { // another process may be at it
		x, err = w.reader.Exported(ctx, a, id)
	}
	all = map[string]string{}
	for n, typ := range x.Files {
		before := len(all)
		must(w.t, w.reader.ExportFile(ctx, a, id, n, func(r fhir.Resource) error {
			if r.Type() != typ || all[r.Ref().String()] != "" {
				w.t.Errorf("file %d of %s holds %s, or holds it again", n, typ, r.Ref())
			}
			all[r.Ref().String()] = string(r.JSON())
			return nil
		}))
		if len(all) == before {
			w.t.Errorf("file %d is empty", n)
		}
	}
	return all, len(x.Files)
}

// readAll is what a search of each type shows on all its pages.
func (w *world) readAll(a record.Ask, types ...string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, typ := range types {
		q, err := search.ParseQuery(typ, nil)
		must(w.t, err)
		for next := ""; ; {
			page, err := w.reader.Search(ctx, a, q, next)
			must(w.t, err)
			for _, m := range page.Matches {
				all[m.Ref().String()] = string(m.Resource().JSON())
			}
			if next = page.Next; next == "" {
				break
			}
		}
	}
	return all
}

func (w *world) order(a record.Ask, x record.Export) string {
	w.t.Helper()
	id, err := w.reader.Export(ctx, a, x)
	must(w.t, err)
	return id
}

// An export is what its client can read one by one, each once: of a merged person as
// of one, and whatever process began it.
func TestAnExportHoldsWhatCanBeRead(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.FilesOf(3000)
		for i := range 40 {
			chart := fmt.Sprintf("c%02d", i)
			rs := []fhir.Resource{patient(t, chart, "Ash", "1980-01-02", chart), sodium(t, chart, "na", fmt.Sprint(i)), sodium(t, chart, "nb", fmt.Sprint(i))}
			if i%3 == 0 {
				rs = append(rs, hiv(t, chart, "secret", "reactive"))
			}
			w.tell(rs...)
		}
		w.tell(hiv(t, "dxx", "alone", "reactive")) // known from a secret alone
		w.say(said{Links: []record.Link{{From: key("c03"), Into: key("c30")}}})
		me, types := backend(t), []string{"Observation", "Patient"}
		id := w.order(me, record.Export{Types: types})
		want := w.readAll(me, types...)
		if len(want) != 120 {
			t.Fatalf("%d resources can be read", len(want))
		}
		got, files := w.everything(me, id)
		if !maps.Equal(got, want) {
			t.Errorf("exported %d, read %d", len(got), len(want))
		}
		if files < 20 {
			t.Errorf("%d files of 3,000 bytes", files)
		}
		some := w.order(me, record.Export{Types: types, People: true, Patients: []string{key("c03"), key("c30"), key("c05"), key("dxx"), key("none")}})
		if got, _ := w.everything(me, some); len(got) != 9 {
			t.Errorf("of a merged person and another: %v", slices.Sorted(maps.Keys(got)))
		}
		few := w.order(me, record.Export{Types: types, Filters: []string{"Observation?value-string=7", "Observation?value-string=8", "Patient?identifier=c05"}})
		if got, _ := w.everything(me, few); len(got) != 5 {
			t.Errorf("what filters find: %v", slices.Sorted(maps.Keys(got)))
		}

		last := w.order(me, record.Export{Types: types})
		other := w.another()
		other.FilesOf(3000)
		if got, _ := other.everything(me, last); !maps.Equal(got, want) {
			t.Errorf("after another start: exported %d, read %d", len(got), len(want))
		}
	})
}

// What changes after it was ordered is the next export's, and what is withheld by
// the time a file is fetched is not in it.
func TestAnExportIsReadAsItIsFetched(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "a"), sodium(t, "a", "na", "140"), result(t, "a", "sti", "5292-8", "Reagin Ab", "nonreactive"))
		me, types := backend(t), []string{"Observation"}
		first := w.order(me, record.Export{Types: types})
		if got, _ := w.everything(me, first); len(got) != 2 {
			t.Fatalf("%d exported", len(got))
		}
		w.tell(sodium(t, "a", "nb", "141")) // received at noon and two minutes
		next := w.order(me, record.Export{Types: types, Since: noon.Add(2 * time.Minute)})
		if got, _ := w.everything(me, next); len(got) != 1 || got[thing("a", "Observation", "nb").String()] == "" {
			t.Errorf("since then: %v", got)
		}
		all := w.order(me, record.Export{Types: types})
		w.n += int(time.Since(noon)/time.Minute) + 60
		w.tell(sodium(t, "a", "late", "142"))
		if got, _ := w.everything(me, all); len(got) != 3 {
			t.Errorf("%d exported after another came", len(got))
		}

		x, err := w.reader.Exported(ctx, me, all)
		must(t, err)
		w.n = 3
		early := w.put(said{Resources: []fhir.Resource{sodium(t, "a", "waits", "143")}}) // received long ago, not applied yet
		meanwhile, err := w.reader.Exported(ctx, me, w.order(me, record.Export{Types: types}))
		must(t, err)
		if !meanwhile.Began.Before(early.Received) || !x.Began.After(early.Received) {
			t.Errorf("with a message waiting since %v all that came by %v is said to be there", early.Received, meanwhile.Began)
		}

		var file map[string]any
		must(t, json.Unmarshal(policy.Default(), &file))
		backend := file["audiences"].(map[string]any)["backend"].(map[string]any)
		backend["withhold"] = append(backend["withhold"].([]any), "sti")
		b, err := json.Marshal(file)
		must(t, err)
		stricter, err := policy.Load(b)
		must(t, err)
		w.reader.Use(stricter)
		if got, _ := w.everything(me, all); len(got) != 2 || got[thing("a", "Observation", "sti").String()] != "" {
			t.Errorf("by a stricter policy: %v", got)
		}
	})
}

// An export is its client's alone, and of what its token covers.
func TestAnExportIsItsClientsAlone(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "a"), sodium(t, "a", "na", "140"))
		me, types := backend(t), []string{"Observation", "Patient"}
		id := w.order(me, record.Export{Types: types})
		if _, files := w.everything(me, id); files != 2 {
			t.Fatalf("%d files", files)
		}
		id2 := accesstest.Identity(t, map[string]any{"sub": "other", "client_id": "other", "scope": "system/*.rs"})
		c, err := access.AdmitClient(id2, access.Client{ID: "other", Issuer: accesstest.Issuer, Name: "Other", Active: true, Audience: access.Backend, Scopes: []string{"system/*.rs"}}, accesstest.Now)
		must(t, err)
		other := ask(c)
		drop := func(fhir.Resource) error { return nil }
		for name, other := range map[string]record.Ask{"another system": other, "a person": physician(t)} {
			_, err := w.reader.Exported(ctx, other, id)
			if _, never := w.reader.Exported(ctx, other, "never"); !absent(err) || err.Error() != never.Error() {
				t.Errorf("%s is told %v of it, and %v of none", name, err, never)
			}
			if err := w.reader.ExportFile(ctx, other, id, 0, drop); !absent(err) {
				t.Errorf("%s fetches it: %v", name, err)
			}
			if err := w.reader.DropExport(ctx, other, id); !absent(err) {
				t.Errorf("%s deletes it: %v", name, err)
			}
		}
		for name, c := range map[string]struct {
			ask  record.Ask
			typ  string
			want int
		}{
			"a person":                      {physician(t), "Patient", 403},
			"a type that no scope covers":   {ask(accesstest.Client(t, "", "system/Patient.rs")), "Observation", 403},
			"a type that can be read alone": {ask(accesstest.Client(t, "", "system/Patient.r")), "Patient", 403},
		} {
			if _, err := w.reader.Export(ctx, c.ask, record.Export{Types: []string{c.typ}}); status(err) != c.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.reader.ExportFile(ctx, ask(accesstest.Client(t, "", "system/Patient.rs")), id, 0, drop); !absent(err) {
			t.Errorf("with a token for less the file of observations is told as %v", err)
		}
		for n := 1; n < 10; n++ {
			w.order(me, record.Export{Types: types})
		}
		if _, err := w.reader.Export(ctx, me, record.Export{Types: types}); status(err) != 429 {
			t.Errorf("one more: %v", err)
		}
		must(t, w.reader.DropExport(ctx, me, id))
		w.order(me, record.Export{Types: types})
		if _, err := w.reader.Exported(ctx, me, id); !absent(err) {
			t.Errorf("deleted: %v", err)
		}
	})
}
