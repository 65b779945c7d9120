package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/adapters/peer"
	"firebreak/fhir"
)

// first gives each fault in turn, then none.
func first(all ...fault) func() fault {
	return func() fault {
		if len(all) == 0 {
			return none
		}
		f := all[0]
		all = all[1:]
		return f
	}
}

// pipes.dial fails the test when anything but the server is asked.
func TestNoOtherOriginIsAsked(t *testing.T) {
	for name, f := range map[string]fault{"a link to the next page": elsewhere, "a redirect": moved} {
		t.Run(name, func(t *testing.T) {
			within(t, func(h *house) {
				h.fill()
				h.up.fault = func() fault { return f }
				err := h.feed().Round(context.Background())
				if !errors.Is(err, peer.ErrForeign) {
					t.Errorf("got %v", err)
				}
				h.up.fault = func() fault { return none }
				time.Sleep(2 * time.Second)
				h.must(h.feed().Round(context.Background()))
				h.same()
			})
		})
	}
}

// A server that wants to be left alone is, as long as it says.
func TestWaitsAsToldAndGoesOn(t *testing.T) {
	for f, least := range map[fault]time.Duration{tooMany: 7 * time.Second, unavailable: 10 * time.Second, broken: time.Second} {
		within(t, func(h *house) {
			h.fill()
			time.Sleep(2 * time.Second)
			h.up.fault = first(none, none, f)
			began := time.Now()
			h.must(h.feed().Round(context.Background()))
			if took := time.Since(began); took < least || took > least+3*time.Second {
				t.Errorf("fault %d: it waited %v, want %v", f, took, least)
			}
			h.same()
		})
	}
}

func TestProofsOfIdentity(t *testing.T) {
	key, err := madeKey()
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public()
	within(t, func(h *house) {
		h.fill()
		h.up.secure = true
		f := h.feed()
		f.Server.Auth = &peer.Auth{ClientID: "firebreak", Key: privateKey(t), Types: f.Types}
		h.run(f, 9*time.Minute+30*time.Second, nil)
		h.same()
		if n := len(h.up.proofs); n != 2 {
			t.Errorf("%d tokens in less than ten minutes, each good for five", n)
		}
		seen := map[string]bool{}
		for _, p := range h.up.proofs {
			token, err := jwt.ParseSigned(p, []jose.SignatureAlgorithm{jose.ES384})
			h.must(err)
			var c jwt.Claims
			h.must(token.Claims(public, &c))
			switch {
			case c.Issuer != "firebreak", c.Subject != "firebreak", !c.Audience.Contains(h.up.base + "/token"), token.Headers[0].KeyID != "k1":
				t.Errorf("a proof says %+v", c)
			case c.Expiry.Time().Sub(c.IssuedAt.Time()) > 5*time.Minute:
				t.Error("a proof holds for longer than five minutes")
			case c.ID == "" || seen[c.ID]:
				t.Error("a proof has no id of its own")
			}
			seen[c.ID] = true
		}
		before := len(h.up.proofs)
		h.up.fault = first(none, expired)
		h.must(f.Round(context.Background()))
		if len(h.up.proofs) != before+1 {
			t.Errorf("%d new tokens for one that was refused", len(h.up.proofs)-before)
		}
	})
}

func TestTryingAServerSaysWhatIsWrong(t *testing.T) {
	within(t, func(h *house) {
		try := func(types ...string) string {
			if err := Try(context.Background(), h.feed().Server, types); err != nil {
				return err.Error()
			}
			return ""
		}
		if got := try("Patient", "Observation"); got != "" {
			t.Error(got)
		}
		h.up.secure = true
		if got := try("Patient"); got != "metadata: peer: the server answered with status 401 (login)" {
			t.Error(got)
		}
		h.up.secure = false
		h.up.fault = first(none, broken)
		if got := try("Patient"); got != "Patient: peer: the server answered with status 500" {
			t.Error(got)
		}
		h.up.base += "/other"
		if got := try("Patient"); !strings.HasPrefix(got, "metadata: ") {
			t.Error(got)
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","total":2,"link":[{"relation":"next","url":"?p=2"}],"entry":[{"resource":{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}},{"request":{"method":"DELETE","url":"Patient/2"}}]}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":7},{"resource":{"resourceType":"Patient","id":"a b"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			return
		}
		p, err := readPage(r, "Patient")
		for _, x := range p.all {
			if err == nil && (x.raw == nil) != fhir.ValidID(x.id) {
				t.Fatalf("an entry has the id %q", x.id)
			}
		}
	})
}

// What a server loses at a stroke is not deleted here.
func TestMostOfAServerDoesNotVanish(t *testing.T) {
	within(t, func(h *house) {
		h.up.deletes, h.up.page = false, 50
		h.fill()
		for n := range 200 {
			h.up.put("Observation", fmt.Sprint("more", n), "1", n)
		}
		time.Sleep(2 * time.Second)
		f := h.feed()
		f.Every = time.Hour
		h.run(f, time.Minute, nil)
		h.same()
		before := len(h.has())
		for n := range 190 {
			h.up.drop(fmt.Sprint("Observation/more", n))
		}
		h.run(f, 26*time.Hour, nil)
		if got := len(h.has()); got != before {
			t.Errorf("%d of %d are left", got, before)
		}
		if !strings.Contains(f.Status().Error, errVanished.Error()) {
			t.Errorf("the operator is told %q", f.Status().Error)
		}
		for n := range 100 {
			h.up.put("Observation", fmt.Sprint("more", n), "1", n)
		}
		h.run(f, 26*time.Hour, nil)
		h.same()
	})
}

// What cannot be taken for a resource is held and stops nothing.
func TestPoisonIsHeld(t *testing.T) {
	within(t, func(h *house) {
		h.fill()
		h.up.extra = []string{
			`{"resourceType":"Observation","id":"spaces in it","status":"final"}`,
			`{"resourceType":"Observation"}`,
			`{"resourceType":"Observation","id":"x","meta":{"lastUpdated":"1999-12-31T23:59:59Z"},"status":"final","code":{"text":"a"},"valueInteger":1,"valueString":"secret"}`,
			`{"resourceType":"Basic","id":"not-asked-for"}`,
		}
		f := h.feed()
		h.run(f, 3*time.Minute, nil)
		for s := range 100 {
			stats, err := h.record.Stats(context.Background())
			h.must(err)
			if stats.Pending == 0 || s == 99 {
				if stats.Held != 3 {
					t.Errorf("%d are held", stats.Held)
				}
				break
			}
			time.Sleep(time.Second)
		}
		held, err := h.record.Held(context.Background(), 0, 10)
		h.must(err)
		for _, x := range held {
			if x.Reason == "" || strings.Contains(x.Reason, "secret") || strings.Contains(x.Reason, "spaces") {
				t.Errorf("held: %s", x.Reason)
			}
		}
		if got := len(h.has()); got != 47 {
			t.Errorf("%d resources are there", got)
		}
		if f.Status().Error != "" {
			t.Errorf("the round failed: %s", f.Status().Error)
		}
	})
}

func TestExports(t *testing.T) {
	within(t, func(h *house) {
		h.fill()
		f := h.feed()
		f.Export, f.Every, f.List = "Group/7/$export", 10*time.Minute, 3*time.Hour
		if err := f.Round(context.Background()); err == nil {
			t.Error("an export of nothing that is there began")
		}
		f.Export = "$export"
		h.run(f, 5*time.Minute, nil)
		h.same()
		h.up.drop("Observation/3")
		h.up.put("Observation", "4", "2", 999)
		h.up.abandons = true // the next export vanishes before its files are read
		h.run(f, 30*time.Minute, nil)
		h.same()
		h.up.deletes = false // exports no longer tell deletions: one of everything finds them
		h.up.drop("Observation/5")
		h.run(f, 4*time.Hour, nil)
		h.same()
		if len(h.up.jobs) > 0 || h.up.forgot < 3 {
			t.Errorf("%d exports are left at the server, %d were told that they may go", len(h.up.jobs), h.up.forgot)
		}
		if h.up.asked["Observation"]+h.up.asked["Patient"] > 0 {
			t.Error("it searched too")
		}
	})
}

// A first reading is cut into windows that a server can hold.
func TestManyAreReadInWindows(t *testing.T) {
	within(t, func(h *house) {
		h.up.put("Patient", "1", "", 1)
		for n := range 300 {
			h.up.put("Observation", fmt.Sprint(n), "1", n)
			if n%50 == 0 {
				time.Sleep(40 * time.Minute)
			}
			time.Sleep(time.Second)
		}
		f := h.feed()
		f.most = 60
		h.run(f, time.Minute, nil)
		h.same()
		var s typeState
		h.must(f.load(context.Background(), "Observation", &s))
		if s.Upto.IsZero() || s.Window != nil {
			t.Errorf("the state is %+v", s)
		}
		if pages := h.up.asked["Observation"]; pages < 300/7 || pages > 200 {
			t.Errorf("%d requests", pages)
		}
	})
}
