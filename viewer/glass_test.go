package viewer

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"firebreak/access/accesstest"
)

// Emergency access is offered to whom the policy offers it, on every page of
// every chart, with a form that wants a reason and words; while it lasts every
// page says so and ends it.
func TestEmergencyAccess(t *testing.T) {
	h := newHouse(t, ayan(t))
	const offer, open = "[Emergency access]", "Emergency access to this chart until 15:25 PST: for reading, and for this patient only."
	if out := outline(h.get(h.base(0))); strings.Contains(out, "Emergency access") {
		t.Error("it is offered to an app's user")
	}
	h.session.Identity = accesstest.SignedIn(t, "lee")
	base := h.base(0)
	for _, page := range []string{"", "/results", "/people"} {
		if out := outline(h.get(base + page)); !strings.Contains(out, offer) || strings.Contains(out, open) {
			t.Errorf("the chart's %q offers no emergency access:\n%s", page, out)
		}
	}
	if out := outline(h.get(base + "/print")); strings.Contains(out, "Emergency access") {
		t.Error("the paper speaks of emergency access")
	}
	form := outline(h.get(base + "/glass"))
	for _, want := range []string{"For 60 minutes this chart shows you", "It does not say whether there is more to see.", "Somebody's life or health is in danger now"} {
		if !strings.Contains(form, want) {
			t.Errorf("the form does not say %q:\n%s", want, form)
		}
	}
	const words = "Found <b>unconscious</b> on the ward"
	w := h.post(base+"/glass", url.Values{"words": {words}})
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Found &lt;b&gt;unconscious&lt;/b&gt; on the ward</textarea>") || !strings.Contains(w.Body.String(), `aria-invalid="true"`) {
		t.Errorf("without a reason: %d\n%s", w.Code, w.Body)
	}
	w = h.post(base+"/glass", url.Values{"reason": {"emergency"}, "words": {words}})
	if w.Header().Get("Location") != base {
		t.Errorf("leads to %d %q", w.Code, w.Header().Get("Location"))
	}
	for _, page := range []string{"", "/results", "/glass"} {
		if out := outline(h.get(base + page)); !strings.Contains(out, open) || strings.Contains(out, offer) {
			t.Errorf("the chart's %q does not say that it is open:\n%s", page, out)
		}
	}
	if w := h.post(base+"/glass/end", nil); w.Header().Get("Location") != base {
		t.Errorf("ending leads to %d %q", w.Code, w.Header().Get("Location"))
	}
	if out := outline(h.get(base)); strings.Contains(out, open) || !strings.Contains(out, offer) {
		t.Errorf("after the end:\n%s", out)
	}
}
