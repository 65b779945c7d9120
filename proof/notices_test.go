package proof_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access/accesstest"
)

// What subscribers are told: whether, when, under which number and with what, must be
// the same in both houses. They ask for everybody, those known from secrets alone too.

const hooked = "https://app.test/hook"

// hook is the receiver of a house's subscribers.
type hook struct {
	mu  sync.Mutex
	got []string
}

// RoundTrip takes a notice; of several subscribers they come in any order.
func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body))
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func (h *hook) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.got
	h.got = nil
	slices.Sort(all)
	return all
}

// subscriber is a backend that may have itself told.
func subscriber(t testing.TB) *audience {
	return &audience{name: "subscriber", token: "subscriber", caller: accesstest.Client(t, "", "system/*.cruds")}
}

// watchedTypes are what a subscriber asks about by patient.
var watchedTypes = []string{"Observation", "DiagnosticReport", "ServiceRequest", "DocumentReference", "Encounter", "Condition", "Appointment", "MedicationRequest"}

// subscribe has both houses asked to tell.
func (x *trial) subscribe() {
	x.round = dawn
	if x.deaf || !slices.ContainsFunc(x.asker.asks, func(a *audience) bool { return a.name == "backend" }) { // the subscriber is one
		return
	}
	var ids, numbers []string
	for _, p := range x.world.people[:min(len(x.world.people), 90)] {
		ids, numbers = append(ids, p.id()), append(numbers, p.phn)
	}
	if len(ids) == 0 {
		return
	}
	const extension = `{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-`
	var filters []string
	for _, typ := range watchedTypes {
		filters = append(filters, extension+`filter-criteria","valueString":"`+typ+`?patient=`+strings.Join(ids, ",")+`"}`)
	}
	for _, wish := range []struct{ criteria, content, more string }{
		{`"` + base + `/fhir/SubscriptionTopic/patient-data-change","_criteria":{"extension":[` + strings.Join(filters, ",") + `]}`, "full-resource", ""},
		{`"Patient?identifier=` + strings.Join(numbers, ",") + `"`, "id-only", `,"extension":[` + extension + `heartbeat-period","valueUnsignedInt":60}]`},
		{`"Observation?patient=` + strings.Join(ids, ",") + `&code:text=a"`, "empty", ""},
	} {
		q := question{who: subscriber(x.t), method: http.MethodPost, target: "/fhir/Subscription", at: dawn, form: `{"resourceType":"Subscription","status":"requested","reason":"new","criteria":` + wish.criteria +
			`,"channel":{"type":"rest-hook","endpoint":"` + hooked + `","payload":"application/fhir+json","_payload":{"extension":[` + extension + `payload-content","valueCode":"` + wish.content + `"}]}` + wish.more + `}}`}
		var got [2]answer
		for i, h := range x.house {
			got[i] = h.under(x.t, x.rules[0]).ask(q)
		}
		if why := differ(got[0], got[1]); why != "" || got[0].status != http.StatusCreated {
			x.t.Fatalf("seed %d: a subscription is taken with %d: %s\n%s", x.world.seed, got[0].status, why, got[0].body)
		}
		at := got[0].header.Get("Location")
		x.asker.told = append(x.asker.told, at[strings.LastIndexByte(at, '/')+1:])
	}
}

// notify lets the grid come to its next moments in both houses and compares what the
// subscribers are told. last is the last event.
func (x *trial) notify(last int) {
	for range 3 {
		next := x.round.Add(time.Minute)
		if now := x.now.Truncate(time.Minute).Add(time.Minute); now.After(next) {
			next = now
		}
		x.round = next
		var told [2][]string
		for i, h := range x.house {
			h.reader.Use(h.under(x.t, x.rules[0]).policy)
			h.now.Store(next.UnixMicro())
			if err := h.teller.Tell(x.t.Context(), next); err != nil {
				x.t.Fatal(err)
			}
			if err := h.teller.Look(x.t.Context(), next); err != nil {
				x.t.Fatal(err)
			}
			told[i] = h.told.take()
		}
		x.noticed += len(told[1])
		got := [2]answer{{body: []byte(strings.Join(told[0], "\n"))}, {body: []byte(strings.Join(told[1], "\n"))}}
		why := differ(got[0], got[1])
		if s := canary(got[1]); why == "" && s != "" {
			why = s
		}
		if why != "" {
			q := question{who: subscriber(x.t), method: http.MethodGet, target: "/fhir/Subscription/$status", at: next} // what it has heard
			x.fail(x.rules[0], q, last, got, "subscribers are told: "+why)
			return
		}
	}
}

// subscribed asks about a subscription.
func subscribed(what string) func(*asker, *audience) question {
	return func(g *asker, _ *audience) question {
		id := "none"
		if len(g.told) > 0 {
			id = g.told[g.IntN(len(g.told))]
		}
		return question{target: "/fhir/Subscription/" + id + what}
	}
}
