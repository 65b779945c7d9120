package record_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
)

func consent(t testing.TB, chart, status, provision string) fhir.Resource {
	return parse(t, `{"resourceType":"Consent","id":%q,"status":%q,"scope":{"coding":[{"code":"patient-privacy"}]},"patient":{"reference":"Patient/%s"},"provision":%s}`,
		thing(chart, "Consent", "directive").ID, status, key(chart), provision)
}

// TestDirectiveHoldsFromTheNextRequestOn: whatever is kept ready, and on every
// node, and each sees only what was made for them.
func TestDirectiveHoldsFromTheNextRequestOn(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		nurse, physician, pharmacist := ask(accesstest.Person(t, access.Nurse)), ask(accesstest.Person(t, access.Physician)), ask(accesstest.Person(t, access.Pharmacist))
		nodes := []*world{w}
		if w.Postgres() {
			nodes = append(nodes, w.beside())
		}
		ref := thing("a", "Observation", "na")
		see := func(when string, want map[string]string) {
			t.Helper()
			for range 2 {
				for _, node := range nodes {
					for name, a := range map[string]record.Ask{"nurse": nurse, "physician": physician, "pharmacist": pharmacist} {
						if got := node.value(a, ref); got != want[name] {
							t.Errorf("%s the %s sees %q, want %q", when, name, got, want[name])
						}
					}
				}
			}
		}
		against := func(role string) string {
			return fmt.Sprintf(`{"type":"deny","class":[{"code":"Observation"}],"actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"identifier":{"system":"urn:firebreak:role","value":%q}}}]}`, role)
		}
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		see("before,", map[string]string{"nurse": "140", "physician": "140", "pharmacist": "140"})
		w.tell(consent(t, "a", "active", against("nurse")))
		see("denied to nurses,", map[string]string{"nurse": "absent", "physician": "140", "pharmacist": "140"})
		w.tell(consent(t, "a", "active", against("physician")))
		see("denied to physicians,", map[string]string{"nurse": "140", "physician": "absent", "pharmacist": "140"})
		w.tell(consent(t, "a", "active", `{"type":"deny","class":[{"code":"Weather"}]}`))
		see("denied by who knows what,", map[string]string{"nurse": "absent", "physician": "absent", "pharmacist": "absent"})
		unread, err := w.Unread(ctx, w.policy)
		must(t, err)
		if want := []policy.Unread{{Consent: thing("a", "Consent", "directive"), Path: "provision.class[0]"}}; !slices.Equal(unread, want) {
			t.Errorf("not understood: %v, want %v", unread, want)
		}
		w.tell(consent(t, "a", "inactive", `{"type":"deny"}`))
		see("taken back,", map[string]string{"nurse": "140", "physician": "140", "pharmacist": "140"})
	})
}

// TestDirectiveWhileItChanges: many who are concerned differently look at one
// chart, and at one merged into it, while its directives change. Each is
// answered, none sees what was denied to her throughout, and at the end all see
// what holds then.
func TestDirectiveWhileItChanges(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		against := func(actors string) string {
			return fmt.Sprintf(`{"type":"deny","class":[{"code":"Observation"}],"actor":[%s]}`, actors)
		}
		named := func(system, value string) string {
			return fmt.Sprintf(`{"role":{"coding":[{"code":"IRCP"}]},"reference":{"identifier":{"system":"urn:firebreak:%s","value":%q}}}`, system, value)
		}
		nurse, physician := named("role", "nurse"), named("person", "p-physician")
		rules := []string{against(nurse), against(nurse + "," + physician), `{"type":"deny","provision":[{"type":"permit","actor":[` + physician + `]}]}`,
			against(nurse + "," + named("worksite", "elsewhere")), `{"type":"deny"}`, against(nurse + "," + named("role", "pharmacist"))}
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"), consent(t, "a", "active", rules[0]))
		w.tell(patient(t, "b", "Ash", "1980-01-02", "2"), sodium(t, "b", "na", "141"))
		callers := []record.Ask{ask(accesstest.Person(t, access.Nurse)), ask(accesstest.Person(t, access.Physician)), ask(accesstest.Person(t, access.Pharmacist)), ask(accesstest.AssistantTo(t, access.Physician)), backend(t)}
		ended := make(chan struct{})
		var all sync.WaitGroup
		for i, c := range callers {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-ended:
						return
					default:
					}
					if got := w.value(c, thing("a", "Observation", "na")); got != "absent" && i == 0 {
						t.Errorf("the nurse sees %q", got)
					}
					w.value(c, thing("b", "Observation", "na"))
				}
			})
		}
		for i := range 24 {
			w.tell(consent(t, "a", "active", rules[i%len(rules)]))
			if i%4 == 1 { // the directive governs what is merged into its chart, while it is
				w.say(said{Links: []record.Link{{From: key("b"), Into: key("a"), Undo: i%8 == 5}}})
			}
		}
		w.say(said{Links: []record.Link{{From: key("b"), Into: key("a")}}})
		close(ended)
		all.Wait()
		for _, x := range []string{"a", "b"} {
			for i, want := range []string{"absent", "seen", "absent", "seen", "seen"} {
				if got := w.value(callers[i], thing(x, "Observation", "na")); (got == "absent") != (want == "absent") {
					t.Errorf("at the end caller %d sees %q of %s, want it %s", i, got, x, want)
				}
			}
		}
	})
}
