package viewer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/record"
	"firebreak/registry"
)

// fakeOps runs feeds that a test sets.
type fakeOps struct {
	feeds  []record.FeedState
	shifts []record.Shift
}

func (o *fakeOps) Feeds(_ context.Context, s record.Shift, midnight time.Time) ([]record.FeedState, bool, error) {
	o.shifts = append(o.shifts, s)
	return o.feeds, false, nil
}

// operator makes the house's reader an operator.
func (h *house) operator() {
	h.session.Identity = accesstest.SignedIn(h.t, "lee")
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.SystemOperator, "")}
}

// The operator's pages open to operators alone, who open no chart and oversee
// nothing.
func TestOperatorsComeInAlone(t *testing.T) {
	h := newHouse(t, ayan(t))
	base := h.base(0)
	refused := func(who string, paths ...string) {
		t.Helper()
		for _, path := range paths {
			if w := h.do(httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusForbidden {
				t.Errorf("%s at %s: %d", who, path, w.Code)
			}
		}
	}
	ops := []string{"/ops"}
	refused("a physician", ops...)
	h.session.Identity = accesstest.SignedIn(t, "lee")
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.PrivacyOfficer, "")}
	refused("an officer", ops...)
	if len(h.ops.shifts) != 0 {
		t.Error("somebody else operates")
	}
	h.operator()
	if w := h.post("/worksite", url.Values{"worksite": {"oak"}, "purpose": {"TREAT"}}); w.Header().Get("Location") != "/ops" {
		t.Errorf("the worksite leads to %q", w.Header().Get("Location"))
	}
	refused("an operator", "/find", "/recent", base, "/officer", "/officer/log")
}

// A feed says when it was last heard, what it sends and what is held.
func TestFeedsAtAGlance(t *testing.T) {
	h := newHouse(t)
	h.operator()
	lab := record.FeedState{Source: "lab-a", Last: noon.Add(-5 * time.Minute), Today: 120, Lately: 7, Waiting: 2, Oldest: noon.Add(-9 * time.Second), Held: 3}
	lab.Course[3], lab.Course[23] = 20, 7
	h.ops.feeds = []record.FeedState{{Source: "lab-b", Last: noon.Add(-27 * time.Hour)}, lab}
	out := outline(h.get("/ops"))
	for _, want := range []string{
		"| General Hosp. | nothing yet | 0 | 0 | | 0 | 0",
		"| Lab A | 22-Nov-2026 14:20 PST | 7 | 120 | (line) | 2 the oldest for 9s | 3 held",
		"| Lab B | 21-Nov-2026 11:25 PST silent | 0 | 0 | | 0 | 0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page does not say %q:\n%s", want, out)
		}
	}
	if s := h.ops.shifts[0]; s.Operator.Caller().Name() != "Dr Ann Lee" || s.Request == "" {
		t.Errorf("shift %+v", s)
	}
}
