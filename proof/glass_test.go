package proof_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestGlass: breaking the glass is offered, done and ended alike on every chart,
// whether or not there is anything behind it; afterwards all is as before.
func TestGlass(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{2, 5} {
		w := create(seed, 0)
		// What is opened is shown while it is open, a newer name of the person too, and
		// that a record was joined of which only what is opened told.
		w.events = slices.DeleteFunc(w.events, func(e *event) bool {
			return namesPerson(e) || e.pair != nil && namesPerson(e.pair) || bytes.Contains(e.whole, []byte("\rMRG|"))
		})
		x := newTrial(t, w, [2]side{without, with}, [2]string{})
		for _, e := range x.world.events {
			x.tell(e)
		}
		x.traffic()
		rules := x.rules[1]
		who := x.asker.all[len(x.asker.all)-3] // a physician at the pages
		ask := func(method, target string, form url.Values) {
			t.Helper()
			if x.failure == nil {
				x.compare(rules, question{who: who, method: method, target: target, form: form.Encode(), at: x.now}, len(x.world.events)-1)
			}
		}
		opened := 0
		for _, p := range x.world.people {
			ask(http.MethodPost, "/find", url.Values{"number": {p.number}})
			ask(http.MethodPost, "/find", url.Values{"number": {p.phn}})
		}
		for _, base := range charts(x.asker.found.pages[who.name]) {
			ask(http.MethodGet, base+"/glass", nil)
			ask(http.MethodPost, base+"/glass", url.Values{"reason": {"request"}, "words": {"She asks me to look"}})
			ask(http.MethodGet, base+"/glass", nil)
			ask(http.MethodPost, base+"/glass/end", nil)
			ask(http.MethodGet, base, nil)
			ask(http.MethodGet, base+"/glass", nil)
			opened++
		}
		if x.failure != nil {
			t.Errorf("seed %d: %v\n%s", seed, x.failure.ask, x.failure.why)
		}
		if opened == 0 {
			t.Errorf("seed %d: no chart was opened", seed)
		}
		x.close()
	}
}

// namesPerson tells whether a sensitive event states who the patient is.
func namesPerson(e *event) bool {
	return e.secret() && (bytes.Contains(e.whole, []byte("|ADT^")) || bytes.Contains(e.whole, []byte(`"resourceType":"Patient"`)))
}

// charts are the addresses of charts among those of pages.
func charts(pages []string) []string {
	var all []string
	for _, a := range pages {
		if strings.HasPrefix(a, "/p/") && strings.Count(a, "/") == 2 && !strings.Contains(a, "?") {
			all = append(all, a)
		}
	}
	return all
}
